"""The generators of a cross-modal GAN: two pathways into one representation and back."""

from __future__ import annotations

from typing import Any, Literal

import keras

from mmkeras._config import ConfigFromSignature
from mmkeras.layers.initialization import linear
from mmkeras.layers.projection_block import ProjectionBlock
from mmkeras.tensors import Tensor, TensorLike

STREAMS = {"image": 0, "text": 1}


@keras.saving.register_keras_serializable("mmkeras")
class CrossModalAutoencoder(ConfigFromSignature, keras.layers.Layer):
    """Two pathways, from features of pictures and of texts to a common representation, and back to the features.

        s = E2(E1(h)),    r = D2(D1(s)),    category logits = C(s)

    E1, E2 and D1 are `ProjectionBlock`s, D2 and C linear. Each modality has its own; E2 is one for both, with batch
    statistics for each, unless `share_weights` is off, and so is C where `share_category_head` is on. It has no `call`:
    a game runs the parts one at a time.

    Args:
        image_features: length of the pictures' features.
        text_features: length of the texts' features.
        classes: C.
        units: outputs of each block, and length of the representation s.
        share_weights: whether E2 is one layer for both modalities.
        share_category_head: whether C is one layer for both modalities.
        dropout: rate on the outputs of E1 and E2 in training, in [0, 1).

    Raises:
        ValueError: no units, a dropout outside [0, 1).

    Example:
        >>> autoencoder = CrossModalAutoencoder(4096, 300, classes=20)
        >>> representation = autoencoder.encode("text", text_features, training=True)

    Reference:
        Peng, Qi & Yuan 2019 (arXiv 1710.05106): the weight-shared cross-modal autoencoders; sizes as in the authors'
        code.
    """

    def __init__(
        self,
        image_features: int,
        text_features: int,
        classes: int,
        units: int = 1024,
        share_weights: bool = True,
        share_category_head: bool = False,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"Expected units of 1 or more. Received: units={units}")
        if not 0 <= dropout < 1:
            raise ValueError(f"Expected dropout in [0, 1). Received: dropout={dropout}")
        self.image_features = image_features
        self.text_features = text_features
        self.classes = classes
        self.units = units
        self.share_weights = share_weights
        self.share_category_head = share_category_head
        self.dropout = dropout

        def block(name, inputs, streams=1, dropout=0.0):
            layer = ProjectionBlock(units, streams, dropout=dropout, dtype=self.dtype_policy, name=name)
            layer.build((None, inputs))
            return layer

        # Without sharing each second encoder keeps both streams too, so that nothing else differs.
        self.image_encoder_1 = block("image_encoder_1", image_features, 1, dropout)
        self.text_encoder_1 = block("text_encoder_1", text_features, 1, dropout)
        self.image_encoder_2 = block("shared_encoder" if share_weights else "image_encoder_2", units, 2, dropout)
        self.text_encoder_2 = self.image_encoder_2
        if not share_weights:
            self.text_encoder_2 = block("text_encoder_2", units, 2, dropout)
        self.image_decoder = block("image_decoder", units)
        self.text_decoder = block("text_decoder", units)
        self.image_output = linear(image_features, units, dtype="float32", name="image_output")
        self.text_output = linear(text_features, units, dtype="float32", name="text_output")
        self.image_category_head = linear(classes, units, dtype="float32", name="image_category_head")
        self.text_category_head = self.image_category_head
        if not share_category_head:
            self.text_category_head = linear(classes, units, dtype="float32", name="text_category_head")
        self.built = True

    def encode(self, modality: Literal["image", "text"], feature: TensorLike, training: bool | None = None) -> Tensor:
        """Return the common representation s of features h: float32 (B, units).

        Args:
            modality: `"image"` or `"text"`.
            feature: (B, F), or a Keras tensor.
            training: see `ProjectionBlock`.
        """
        x = self._layer(modality, "encoder_1")(feature, training=training)
        return self._layer(modality, "encoder_2")(x, stream=STREAMS[modality], training=training)

    def decode(
        self, modality: Literal["image", "text"], representation: TensorLike, training: bool | None = None
    ) -> Tensor:
        """Return the features r that a representation stands for: float32 (B, F)."""
        x = self._layer(modality, "decoder")(representation, training=training)
        return self._layer(modality, "output")(x)

    def category_logits(self, modality: Literal["image", "text"], representation: TensorLike) -> Tensor:
        """Return the category logits of representations: float32 (B, C)."""
        return self._layer(modality, "category_head")(representation)

    def variables_of(
        self, modality: Literal["image", "text"], decoder: bool = True, category_head: bool = True
    ) -> list[keras.Variable]:
        """Return the trainable variables of a pathway: the encoders' (a shared layer is in both pathways), and more.

        Args:
            modality: `"image"` or `"text"`.
            decoder: whether with those of the decoder.
            category_head: whether with those of the category head.
        """
        names = ["encoder_1", "encoder_2"]
        names += ["decoder", "output"] if decoder else []
        names += ["category_head"] if category_head else []
        return [variable for name in names for variable in self._layer(modality, name).trainable_variables]

    def _layer(self, modality, name):
        return getattr(self, f"{modality}_{name}")
