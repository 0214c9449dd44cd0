"""`ImageTextModel`: what all systems share: two encoders, their preprocessing, and how the pair is built and saved."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import keras
from keras import ops

from mmkeras._config import constructor_arguments, laid_over
from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.image import build_image_encoder  # noqa: F401 - for the names that a model's file may hold
from mmkeras.encoders.text import build_text_encoder  # noqa: F401
from mmkeras.errors import MmkerasError
from mmkeras.models.batch_checks import check_batch
from mmkeras.models.batch_encoder import BatchEncoder, Pictures, Texts
from mmkeras.models.batch_ids import batch_ids
from mmkeras.models.preset import Preset
from mmkeras.models.staged_model import StagedModel
from mmkeras.models.sub_batches import Tower
from mmkeras.preprocessing import ImagePreprocessor, StringPreprocessor, TextPreprocessor, Tokenizer  # noqa: F401
from mmkeras.preprocessing.published_tokenizer import published_tokenizer  # noqa: F401
from mmkeras.tensors import Array, Arrays, Tensor, Tensors, Vectors

if TYPE_CHECKING:
    from mmkeras.data.paired import PairedData
    from mmkeras.models.learnt_temperature import LearntTemperature
    from mmkeras.models.modality_adversary import ModalityAdversary
    from mmkeras.models.momentum_teacher import MomentumTeacher
    from mmkeras.models.pair_matcher import PairMatcher

Supervision: TypeAlias = Literal["pairs", "categories", "pairs_and_categories"]


@keras.saving.register_keras_serializable("mmkeras")
class ImageTextModel(StagedModel):
    """Two encoders into one space, with the preprocessing that feeds them.

    It trains nothing by itself: a system subclasses it and puts its arithmetic into `compute_losses`, see
    `StagedModel`. A system with categories sets `label_names`, `multi_label` and `category_head`, a layer from
    embeddings to logits, or overrides `category_logits_of`. What not every system has stands here as `None`.

    Args:
        image_encoder: `Encoder` from `image` to a dict with `embedding` (B, D).
        text_encoder: `Encoder` from `token_ids`, strings or features (B, F) to a dict with `embedding` (B, D).
        image_preprocessor: `ImagePreprocessor`; `None` for models over feature vectors.
        text_preprocessor: a `Tokenizer`; `None` for models over feature vectors, or only given `token_ids`.

    Attributes:
        temperature: `LearntTemperature` of the contrast; `None` where nothing is learnt by one.
        adversary: `ModalityAdversary`; `None` where the system has no modality classifier.
        teacher: `MomentumTeacher`; `None` where nothing teaches the system.
        matcher: method that returns a `PairMatcher`; `None` where pairs have no score beside their embeddings.
        word_masks: method that tells what each word looks at; `None` where nothing looks.
        represent_image: method that returns the representation before the embedding; `None` where there is none.
        represent_text: method that returns that representation of texts; `None` where there is none.

    Call arguments:
        inputs: dict with `image` (B, H, W, C) or (B, F), and `token_ids` int (B, L) or `text`, strings (B,) or features
            (B, F), as the text encoder takes them. Other keys of a batch are let through. An encoder takes (B, F) too
            where its backbone is frozen: the features that the backbone made, see `mmkeras.encoders.FrozenFeatures`
            and `mmkeras.encoders.FrozenTexts`.

    Returns:
        dict: `image_embedding` and `text_embedding`, float32 (B, D), unit norm.

    Raises:
        MmkerasError: encoders that are none, or whose embeddings differ in length.
    """

    supervision: Supervision = "pairs"  # which batches a system trains on
    builds_upon_encoders: bool = False  # whether those that are exported are more than the constructor's
    label_names: tuple[str, ...] = ()
    multi_label: bool = False
    category_head: keras.layers.Layer | None = None
    temperature: LearntTemperature | None = None
    adversary: ModalityAdversary | None = None
    teacher: MomentumTeacher | None = None
    matcher: Callable[..., PairMatcher] | None = None
    word_masks: Callable[..., list[dict[str, Any]]] | None = None
    represent_image: Callable[..., Vectors] | None = None
    represent_text: Callable[..., Vectors] | None = None

    def __init__(
        self,
        image_encoder: Encoder,
        text_encoder: Encoder,
        image_preprocessor: ImagePreprocessor | None = None,
        text_preprocessor: Tokenizer | StringPreprocessor | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        encoders = {"image_encoder": image_encoder, "text_encoder": text_encoder}
        for name, encoder in encoders.items():
            if not isinstance(encoder, Encoder):
                raise MmkerasError(
                    f"Expected {name} as an Encoder: mmkeras.encoders.Encoder(inputs, outputs) makes one of a "
                    f"functional model. Received: {type(encoder).__name__}"
                )
        if image_encoder.embedding_dim != text_encoder.embedding_dim:
            raise MmkerasError(
                "Expected one embedding_dim for both encoders. "
                f"Received: image_encoder {image_encoder.embedding_dim}, text_encoder {text_encoder.embedding_dim}"
            )
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.image_preprocessor = image_preprocessor
        self.text_preprocessor = text_preprocessor
        self.embedding_dim = image_encoder.embedding_dim

    @classmethod
    def from_preset(
        cls,
        preset: str | os.PathLike[str] | dict[str, Any] | Preset,
        texts: Iterable[str] | None = None,
        text_preprocessor: Tokenizer | StringPreprocessor | None = None,
        image_encoder: Encoder | None = None,
        **overrides: Any,
    ) -> Self:
        """Build an untrained model from a preset.

        Args:
            preset: a name from `list_presets()`, the path of a JSON file, a dict, or a `Preset`.
            texts: training texts that the tokenizer is learnt from. A preset over features of texts needs neither.
            text_preprocessor: a ready `Tokenizer`, in place of `texts`.
            image_encoder: what `Preset.build_image_encoder` returned; built here where left out.
            **overrides: further constructor arguments, over the preset's own; of a part, those that differ.

        Raises:
            MmkerasError: neither or both of `texts` and `text_preprocessor`, or a preset of another class.

        Example:
            >>> model = DualEncoder.from_preset("dual_encoder_glyphs", texts=["LATIN SMALL LETTER A", ...])
        """
        preset = Preset.load(preset)
        if preset.model != cls.__name__:
            raise MmkerasError(f"Preset {preset.name} is of {preset.model}. Received: {cls.__name__}.from_preset")
        if preset.text_encoder["kind"] != "features":
            if (texts is None) == (text_preprocessor is None):
                raise MmkerasError("Expected either texts, to learn the tokenizer from, or a text_preprocessor")
            if text_preprocessor is None:
                text_preprocessor = preset.build_text_preprocessor(texts)  # type: ignore[arg-type]
        own = ("image_encoder", "text_encoder", "image_preprocessor", "text_preprocessor")
        allowed = [name for name in constructor_arguments(cls) if name not in own]
        arguments = preset.build_arguments()
        if unknown := set(arguments) - set(allowed):
            raise MmkerasError(
                f"Preset {preset.name}: {cls.__name__} takes {', '.join(allowed)}. "
                f"Received: {', '.join(sorted(unknown))}"
            )
        return cls(
            image_encoder=preset.build_image_encoder() if image_encoder is None else image_encoder,
            text_encoder=preset.build_text_encoder(text_preprocessor),
            image_preprocessor=preset.build_image_preprocessor(),
            text_preprocessor=text_preprocessor,
            **laid_over(arguments, overrides),
        )

    @classmethod
    def arguments_for(cls, data: PairedData) -> dict[str, Any]:
        """Return the constructor arguments that follow from the data that are trained on, for `from_preset`.

        Raises:
            MmkerasError: data without categories, of a system that trains on them.
        """
        if "categories" not in cls.supervision:
            return {}
        if data.label is None:
            raise MmkerasError(
                f"{cls.__name__} trains on categories. Expected targets to be category or tags. Received: targets=''"
            )
        return {"label_names": data.label_names, "multi_label": data.label.ndim == 2}

    @property
    def parts(self) -> dict[str, keras.layers.Layer]:
        """What training may change or leave alone, by name: a dict of layers.

        The encoders are those of the constructor. A pretrained network within one is a part of its own,
        `image_backbone` or `text_backbone`.
        """
        parts = self.given_encoders()
        for modality in ("image", "text"):
            if (network := parts[f"{modality}_encoder"].pretrained) is not None:
                parts[f"{modality}_backbone"] = network
        return parts

    def given_encoders(self) -> dict[str, Encoder]:
        """Return the encoders as the constructor took them, by its arguments' names; more may be built upon them.

        No property: Keras would take it for one more place where layers are kept, and name weights in files after it.
        """
        return {"image_encoder": self.image_encoder, "text_encoder": self.text_encoder}

    def build(self, input_shape: Any = None) -> None:
        # The encoders are functional, hence built; nothing here depends on a shape.
        self.built = True

    def call(self, inputs: Arrays, training: bool | None = None) -> Tensors:
        towers = self.towers(inputs, bool(training))
        return {f"{side}_embedding": one.encoder(one.rows, training=one.training)["embedding"] for side, one in towers}

    def towers(self, inputs: Arrays, training: bool) -> list[tuple[str, Tower]]:
        """Return `"image"` and `"text"`, each with its `Tower`: what embeds a batch, and what of it is embedded.

        A frozen encoder drops nothing and keeps its batch statistics, whatever else trains.

        Args:
            inputs: see the call.
            training: whether this is a step of training.
        """
        text, image = self._text_input(inputs), inputs["image"]
        return [
            ("image", Tower(self.image_encoder.accepting(image), image, training and self.image_encoder.trainable)),
            ("text", Tower(self.text_encoder.accepting(text), text, training and self.text_encoder.trainable)),
        ]

    def _text_input(self, batch):
        """What the text encoder takes of a batch, which is checked."""
        check_batch(batch, self.image_encoder)
        if "token_ids" in batch:
            return batch["token_ids"]
        text = batch["text"]
        features = self.text_encoder.takes == "features" or self.text_encoder.is_features(text)
        return text if features else self.batch_encoder.tokenize(text)

    def ids_of(self, batch: Arrays) -> tuple[Tensor, Tensor]:
        """Return the ids by which pictures and texts of a batch answer each other, of both, see `batch_ids`."""
        return batch_ids(batch, self._text_input(batch))

    def match(self, images: Array, token_ids: Array) -> Tensor:
        """Score pairs: the cosine of their embeddings. Systems with a fusion encoder override it.

        Args:
            images: (B, H, W, C) or (B, F).
            token_ids: int (B, L), or features (B, F).

        Returns:
            float32 (B,), in [-1, 1].
        """
        embeddings = self({"image": images, "token_ids": token_ids}, training=False)
        return ops.sum(embeddings["image_embedding"] * embeddings["text_embedding"], axis=-1)

    def classify(self, encoded: Arrays, modality: Literal["image", "text"]) -> Tensor:
        """Turn what an encoder returned into category probabilities: of all together, or each alone if `multi_label`.

        Args:
            encoded: dict of the encoder's outputs, `embedding` (B, D) among them.
            modality: the encoder's, `"image"` or `"text"`.

        Returns:
            float32 (B, C), in [0, 1]; rows sum to 1 unless `multi_label`.
        """
        logits = self.category_logits_of(encoded, modality)
        return ops.sigmoid(logits) if self.multi_label else ops.softmax(logits, axis=-1)

    def category_logits_of(self, encoded: Arrays, modality: Literal["image", "text"]) -> Tensor:
        """Return category logits, (B, C), of what an encoder returned; see `classify`."""
        return self.category_head(encoded["embedding"])  # type: ignore[misc]  # it has one, or overrides this

    # --- Encoding ---

    @functools.cached_property
    def batch_encoder(self) -> BatchEncoder:
        """What encodes lists; it holds the encoders and is no layer, or they would be saved a second time."""
        return BatchEncoder(self.image_encoder, self.text_encoder, self.image_preprocessor, self.text_preprocessor)

    def encode_image(self, images: Pictures, batch_size: int = 256) -> Vectors:
        """Embed pictures.

        Args:
            images: array (N, H, W, C) or (N, F), as the encoder takes it, or (N, F) as its frozen backbone returns it;
                or a list of paths, encoded bytes or arrays.
            batch_size: pictures a call.

        Returns:
            float32 (N, D), unit norm.

        Raises:
            MmkerasError: an array of another shape than the encoder's input, or a picture that cannot be read.
        """
        return self.batch_encoder.encode_images(images, batch_size)["embedding"]

    def encode_text(self, texts: Texts, batch_size: int = 256) -> Vectors:
        """Embed texts.

        Args:
            texts: list of N strings; for an encoder over features an array (N, F).
            batch_size: texts a call.

        Returns:
            float32 (N, D), unit norm.

        Raises:
            MmkerasError: one string in place of a list, an entry that is no string, or no features of the encoder's
                length.
        """
        return self.batch_encoder.encode_texts(texts, batch_size)["embedding"]

    def classify_image(self, images: Pictures, batch_size: int = 256) -> Vectors:
        """Category probabilities of pictures, float32 (N, C), in the order of `label_names`; see `encode_image`.

        Raises:
            MmkerasError: a system without categories, or as `encode_image`.
        """
        self._check_categories()
        return ops.convert_to_numpy(self.classify(self.batch_encoder.encode_images(images, batch_size), "image"))

    def classify_text(self, texts: Texts, batch_size: int = 256) -> Vectors:
        """Category probabilities of texts, float32 (N, C), in the order of `label_names`; see `encode_text`.

        Raises:
            MmkerasError: a system without categories, or as `encode_text`.
        """
        self._check_categories()
        return ops.convert_to_numpy(self.classify(self.batch_encoder.encode_texts(texts, batch_size), "text"))

    def _check_categories(self):
        if not self.label_names:
            raise MmkerasError(f"Expected a system with categories. Received: {type(self).__name__}, which has none")

    # --- Config ---

    def get_config(self) -> dict[str, Any]:
        # With the dtype policy: without it a mixed_float16 model would be compiled without loss scaling when loaded.
        return {name: _serialized(value) for name, value in {**super().get_config(), **self.given_encoders()}.items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(
            **{
                name: keras.saving.deserialize_keras_object(value) if _is_serialized(value) else value
                for name, value in config.items()
            }
        )


def _serialized(value):
    return keras.saving.serialize_keras_object(value) if hasattr(value, "get_config") else value


def _is_serialized(value):
    return isinstance(value, dict) and {"class_name", "config"} <= set(value)
