"""`Encoder`: a functional model of one modality that says what it takes and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import keras

from mmkeras.encoders.backbone import Backbone, freeze_again
from mmkeras.encoders.embedding_head import PROJECTION, FeatureNorm
from mmkeras.encoders.feature_scaling import FeatureScaling
from mmkeras.encoders.features_and_ids import FeaturesAndIds
from mmkeras.encoders.hub import HubLayer
from mmkeras.encoders.published_projection import PublishedProjection
from mmkeras.errors import MmkerasError
from mmkeras.layers.attention_pooling import AttentionPooling
from mmkeras.layers.cell_tokens import CellTokens
from mmkeras.layers.end_token_pooling import EndTokenPooling
from mmkeras.layers.fused.fused_layer_normalization import FusedLayerNormalization
from mmkeras.layers.last_token_pooling import LastTokenPooling
from mmkeras.layers.patch_embedding import PatchEmbedding
from mmkeras.layers.prepend_token import PrependToken
from mmkeras.layers.token_and_position_embedding import TokenAndPositionEmbedding
from mmkeras.layers.token_bag import TokenBag
from mmkeras.layers.transformer_block import TransformerBlock
from mmkeras.tensors import Array, Tensor, TensorLike

T = TypeVar("T")
# A head begins with the first of them: what stands before makes the features.
HEADS = (FeaturesAndIds, FeatureNorm, FeatureScaling, PublishedProjection)


@keras.saving.register_keras_serializable("mmkeras")
class Encoder(keras.Model):
    """A functional model from one input to a dict with `embedding` (B, D), and with `tokens` (B, T, W) if it has them.

    What it takes and holds follows from its input and from the types of its layers, those within a `Backbone` among
    them, so that a loaded, copied or hand-built encoder tells the same as the one that a preset named.

    Args:
        inputs: Keras tensor: `image`, pixels (B, H, W, C) or features (B, F); `token_ids`, int (B, L); or `text`,
            strings (B,) or features (B, F).
        outputs: dict of Keras tensors.
        name: the model's name.

    Attributes:
        takes: `"pixels"`, `"token_ids"`, `"strings"` or `"features"`.
        patches: its `PatchEmbedding`, whose `grid` is (rows, columns) of patches; `None` without one.
        token_grid: (rows, columns) of the tokens that stand behind one class token, patches or cells of a feature map;
            `None` where tokens are otherwise or there are none.
        token_embedding: its `TokenAndPositionEmbedding` or `keras.layers.Embedding`; `None` without one.
        class_token: the `PrependToken` that puts an id before every text; `None` where nothing does.
        blocks: its `TransformerBlock`s, a list in their order.
        norms: the `FusedLayerNormalization`s before and after its blocks, a list in their order.
        norm: the first of them; `None` without one.
        projection: the `keras.layers.Dense` that makes the embedding of features; `None` with `embedding_dim` null.
        pooling: its `AttentionPooling`; `None` without one.
        end_token: the `EndTokenPooling` that finds where a text ends; `None` without one.
        padding_counts: whether the embedding follows from what stands behind a text's ids too, as in SigLIP, so that
            texts have to be padded as the published model's were: a bool.
        pretrained: the layer that holds a published network, a `Backbone` or a `HubLayer`; `None` without one.

    Example:
        >>> encoder = vit_image_encoder(256, 256)
        >>> encoder.takes, encoder.patches.grid
        ('pixels', (16, 16))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        freeze_again(self)

    @property
    def takes(self) -> Literal["pixels", "token_ids", "strings", "features"]:
        if self.input.dtype == "string":
            return "strings"
        if self.input.dtype.startswith("int"):
            return "token_ids"
        return "pixels" if len(self.input.shape) == 4 else "features"

    @property
    def patches(self) -> PatchEmbedding | None:
        return self._only(PatchEmbedding)

    @property
    def token_grid(self) -> tuple[int, int] | None:
        if (cells := self._only(CellTokens)) is not None:
            return cells.grid
        patches = self.patches
        return patches.grid if patches is not None and patches.use_class_token and not patches.registers else None

    @property
    def token_embedding(self) -> TokenAndPositionEmbedding | keras.layers.Embedding | None:
        return self._only(TokenAndPositionEmbedding, keras.layers.Embedding)

    @property
    def class_token(self) -> PrependToken | None:
        return self._only(PrependToken)

    @property
    def blocks(self) -> list[TransformerBlock]:
        return [layer for layer in self._whole if isinstance(layer, TransformerBlock)]

    @property
    def norms(self) -> list[FusedLayerNormalization]:
        norms = (layer for layer in self._whole if isinstance(layer, FusedLayerNormalization))
        return [layer for layer in norms if not isinstance(layer, FeatureNorm)]

    @property
    def norm(self) -> FusedLayerNormalization | None:
        return next(iter(self.norms), None)

    @property
    def projection(self) -> keras.layers.Dense | None:
        return next((layer for layer in self.layers if layer.name == PROJECTION), None)

    @property
    def pooling(self) -> AttentionPooling | None:
        return self._only(AttentionPooling)

    @property
    def end_token(self) -> EndTokenPooling | None:
        return self._only(EndTokenPooling)

    @property
    def padding_counts(self) -> bool:
        return self._only(LastTokenPooling) is not None

    @property
    def pretrained(self) -> Backbone | HubLayer | None:
        return self._only(Backbone, HubLayer)

    @property
    def embedding_dim(self) -> int:
        """Length of the embedding, D."""
        return self.output["embedding"].shape[-1]

    @property
    def vectors(self) -> dict[str, keras.KerasTensor]:
        """What it makes of an item as a whole: its outputs without the tokens, a dict of Keras tensors (B, D)."""
        return vectors_of(self.output)

    def ids_of_tokens(self, token_ids: TensorLike) -> Tensor:
        """Return the ids that stand behind `tokens`, the class token's first; see `mask_of_tokens` for which count.

        Args:
            token_ids: int (B, L), what the encoder takes.

        Returns:
            int (B, T), an id for each of the T `tokens`.

        Example:
            >>> text_encoder.ids_of_tokens([[7, 9, 0]])  # of a BERT that puts id 2 before them
            [[2, 7, 9, 0]]
        """
        if self.class_token is None:
            return keras.ops.convert_to_tensor(token_ids)
        return self.class_token(token_ids)

    def mask_of_tokens(self, token_ids: TensorLike) -> Tensor:
        """Return where `tokens` are of a text: all but padding, whose id is 0.

        Two kinds of encoders give 0 no meaning: one that finds a text's end, where a text is what stands up to there;
        and one whose padding counts, where all of it is the text.

        Args:
            token_ids: int (B, L), what the encoder takes.

        Returns:
            bool (B, T), for each of the T `tokens`.

        Example:
            >>> fused = fusion(text_encoder(ids)["tokens"], patches, mask=text_encoder.mask_of_tokens(ids))
        """
        ids = self.ids_of_tokens(token_ids)
        if self.end_token is not None:
            return self.end_token.mask_of(ids)
        return keras.ops.ones_like(ids, dtype="bool") if self.padding_counts else keras.ops.not_equal(ids, 0)

    # --- A frozen backbone: the encoder as two models, from items to features and from features to the embedding ---

    def frozen_backbone(self) -> keras.Model | None:
        """Return what turns items into features and never changes in training.

        Returns:
            `keras.Model` from the encoder's input, pixels, ids or strings, to features (B, F), on its own layers;
            `None` where the encoder has no network before a head, or where something before the head trains.
        """
        if self.takes == "features" or self.head_input is None:
            return None
        backbone = keras.Model(self.input, self.head_input, name="frozen_backbone")
        return backbone if backbone.weights and not backbone.trainable_variables else None

    def feature_head(self) -> keras.Model:
        """Return what turns the features of a frozen backbone into the embedding, on the encoder's own layers.

        Returns:
            `keras.Model` from `features` (B, F) to the encoder's outputs but for the tokens: `embedding` (B, D), ...

        Raises:
            MmkerasError: an encoder without a frozen backbone.
        """
        if self.frozen_backbone() is None:
            taken = {"pixels": f"pixels of shape (N, {', '.join(map(str, self.input.shape[1:]))})"}
            raise MmkerasError(
                f"Expected {taken.get(self.takes, self.takes)}: this encoder has no frozen backbone whose features it "
                "could take in their place"
            )
        return keras.Model(self.head_input, self.vectors, name="feature_head")

    @property
    def head_input(self) -> keras.KerasTensor | None:
        """The features that the head is put upon, as a Keras tensor (B, F); `None` without such a head."""
        head = self._only(*HEADS)
        return None if head is None else head.input

    def is_features(self, inputs: Array) -> bool:
        """Return whether inputs are floats (B, F) in place of the pixels, ids or strings that the encoder takes."""
        return self.takes != "features" and len(inputs.shape) == 2 and "float" in str(inputs.dtype)

    def accepting(self, inputs: Array) -> keras.Model:
        """Return the model for these inputs: the encoder, or its `feature_head` for features of its frozen backbone."""
        return self.feature_head() if self.is_features(inputs) else self

    def adapted_layers(self) -> list[FeatureScaling | TokenBag]:
        """Return its layers whose statistics are taken of the training data, a list in their order."""
        return [layer for layer in self.layers if isinstance(layer, (FeatureScaling, TokenBag))]

    def _only(self, *kinds):
        return next((layer for layer in self._whole if isinstance(layer, kinds)), None)

    @property
    def _whole(self):
        """Its layers, and after a `Backbone` those within it."""
        for layer in self.layers:
            yield layer
            if isinstance(layer, Backbone):
                yield from layer.layers


def vectors_of(encoded: Mapping[str, T]) -> dict[str, T]:
    """Return what an encoder made of items as a whole: its outputs without the tokens, a dict of (B, D)."""
    return {name: value for name, value in encoded.items() if name != "tokens"}
