"""`ImageTextModel`: what all systems share: two encoders, their preprocessing, and how the pair is built and saved."""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from mmkeras.encoders.backbone_split import feature_head, frozen_backbone, taking, vectors_of
from mmkeras.encoders.image import build_image_encoder  # noqa: F401 - for the names that a model's file may hold
from mmkeras.encoders.text import build_text_encoder, takes_text_features
from mmkeras.errors import MmkerasError
from mmkeras.models.fused_adam import FusedAdam
from mmkeras.models.preset import (
    load_preset,
    preset_image_encoder,
    preset_image_preprocessor,
    preset_text_preprocessor,
)
from mmkeras.models.staged import Staged
from mmkeras.models.weight_decay import without_decay_of_scales
from mmkeras.preprocessing import ImagePreprocessor, StringPreprocessor, TextPreprocessor  # noqa: F401


@keras.saving.register_keras_serializable("mmkeras")
class ImageTextModel(Staged, keras.Model):
    """Two encoders into one space, with the preprocessing that feeds them.

    It trains nothing by itself: a system subclasses it and puts its arithmetic into `compute_loss`. A system with
    categories sets `label_names`, `multi_label` and `category_head`, a layer from embeddings to logits, or overrides
    `category_logits_of`.

    Args:
        image_encoder: functional model from `image` to a dict with `embedding` (B, D).
        text_encoder: functional model from `token_ids`, or from features (B, F), to a dict with `embedding` (B, D).
        image_preprocessor: `ImagePreprocessor`; `None` for models over feature vectors.
        text_preprocessor: `TextPreprocessor`; `None` for models over feature vectors, or only given `token_ids`.

    Call arguments:
        inputs: dict with `image` (B, H, W, C) or (B, F), and `token_ids` int (B, L) or `text`, strings (B,) or features
            (B, F), as the text encoder takes them. Other keys of a batch are let through. An encoder of pictures takes
            (B, F) too where its backbone is frozen: the features that the backbone made of them, see
            `mmkeras.encoders.FrozenFeatures`.

    Returns:
        dict: `image_embedding` and `text_embedding`, float32 (B, D), unit norm.

    Raises:
        MmkerasError: encoders whose embeddings differ in length.
    """

    supervision = "pairs"  # or "categories", "pairs_and_categories": which batches a system trains on
    label_names = ()
    multi_label = False
    category_head = None

    def __init__(self, image_encoder, text_encoder, image_preprocessor=None, text_preprocessor=None, **kwargs):
        super().__init__(**kwargs)
        dims = [encoder.output["embedding"].shape[-1] for encoder in (image_encoder, text_encoder)]
        if dims[0] != dims[1]:
            raise MmkerasError(
                "Expected one embedding_dim for both encoders. "
                f"Received: image_encoder {dims[0]}, text_encoder {dims[1]}"
            )
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.image_preprocessor = image_preprocessor
        self.text_preprocessor = text_preprocessor
        self.embedding_dim = dims[0]

    @classmethod
    def from_preset(cls, preset, texts=None, text_preprocessor=None, image_encoder=None, **overrides):
        """Build an untrained model from a preset.

        Args:
            preset: a name from `list_presets()`, the path of a JSON file, or a dict.
            texts: training texts that the tokenizer is learnt from. A preset over features of texts needs neither.
            text_preprocessor: a ready `TextPreprocessor`, in place of `texts`.
            image_encoder: what `preset_image_encoder` returned for this preset; built here where left out.
            **overrides: further constructor arguments, over the preset's own.

        Raises:
            MmkerasError: neither or both of `texts` and `text_preprocessor`, or a preset of another class.

        Example:
            >>> model = DualEncoder.from_preset("dual_encoder_glyphs", texts=["LATIN SMALL LETTER A", ...])
        """
        settings = load_preset(preset)
        if settings["model"] != cls.__name__:
            raise MmkerasError(f"Preset {preset!r} is of {settings['model']}. Received: {cls.__name__}.from_preset")
        if settings["text_encoder"]["kind"] != "features":
            if (texts is None) == (text_preprocessor is None):
                raise MmkerasError("Expected either texts, to learn the tokenizer from, or a text_preprocessor")
            if text_preprocessor is None:
                text_preprocessor = preset_text_preprocessor(preset, texts)
        return cls(
            image_encoder=preset_image_encoder(settings) if image_encoder is None else image_encoder,
            text_encoder=build_text_encoder(
                vocabulary_size=getattr(text_preprocessor, "vocabulary_size", None),
                sequence_length=getattr(text_preprocessor, "sequence_length", None),
                **settings["text_encoder"],
            ),
            image_preprocessor=preset_image_preprocessor(settings),
            text_preprocessor=text_preprocessor,
            **{**settings.get("arguments", {}), **overrides},
        )

    def build(self, input_shape=None):
        # The encoders are functional, hence built; nothing here depends on a shape.
        self.built = True

    def call(self, inputs, training=None):
        image, text = inputs["image"], self._text_input(inputs)
        return {
            "image_embedding": _run(taking(self.image_encoder, image), image, training, self.image_encoder.trainable),
            "text_embedding": _run(self.text_encoder, text, training, self.text_encoder.trainable),
        }

    def _text_input(self, batch):
        """What the text encoder takes of a batch."""
        if "token_ids" in batch:
            return batch["token_ids"]
        return batch["text"] if takes_text_features(self.text_encoder) else self._tokenize(batch["text"])

    def match(self, images, token_ids):
        """Score pairs: the cosine of their embeddings. Systems with a fusion encoder override it.

        Args:
            images: (B, H, W, C) or (B, F).
            token_ids: int (B, L), or features (B, F).

        Returns:
            float32 (B,), in [-1, 1].
        """
        embeddings = self({"image": images, "token_ids": token_ids}, training=False)
        return ops.sum(embeddings["image_embedding"] * embeddings["text_embedding"], axis=-1)

    def classify(self, encoded, modality):
        """Turn what an encoder returned into category probabilities: of all together, or each alone if `multi_label`.

        Args:
            encoded: dict of the encoder's outputs, `embedding` (B, D) among them.
            modality: the encoder's, `"image"` or `"text"`.

        Returns:
            float32 (B, C), in [0, 1]; rows sum to 1 unless `multi_label`.
        """
        logits = self.category_logits_of(encoded, modality)
        return ops.sigmoid(logits) if self.multi_label else ops.softmax(logits, axis=-1)

    def category_logits_of(self, encoded, modality):
        """Return category logits, (B, C), of what an encoder returned; see `classify`."""
        return self.category_head(encoded["embedding"])

    # --- Training ---

    def compile(self, optimizer="auto", *, jit_compile=False, **kwargs):
        """Configure training; `compile()` alone trains sensibly.

        Args:
            optimizer: `"auto"` is `FusedAdam` with learning rate 1e-3, weight decay 0.01 and the gradient clipped to
                norm 1; otherwise as in `keras.Model.compile`. Weight decay leaves out biases, the scales and offsets of
                normalisation, and the temperature.
            jit_compile: off by default: XLA slows the small encoders' convolutions on a CPU (docs/performance.md).
            **kwargs: as in `keras.Model.compile`, but for the loss, which is the model's own.
        """
        if optimizer == "auto":
            optimizer = FusedAdam(1e-3, weight_decay=0.01, global_clipnorm=1.0)
        optimizer = without_decay_of_scales(keras.optimizers.get(optimizer))
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)

    def compile_from_config(self, config):
        """Compile as the saved model was, with the optimizer's variables built, ready to be restored."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.build_optimizers()

    def build_optimizers(self):
        """Make every optimizer's variables, ready to be restored from a file."""
        self.optimizer.build(self.trainable_variables)

    # --- Encoding ---

    # Functions, and no models: as an attribute a model would be saved, a second time.

    @functools.cached_property
    def _embed_image(self):
        return _embedder(self.image_encoder)

    @functools.cached_property
    def _embed_features(self):
        return _embedder(feature_head(self.image_encoder))

    @functools.cached_property
    def _embed_text(self):
        return _embedder(self.text_encoder)

    def encode_image(self, images, batch_size=256):
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
        return self._encoded_images(images, batch_size)["embedding"]

    def _encoded_images(self, images, batch_size=256):
        """What the image encoder returns of pictures, but for their tokens; see `encode_image`."""
        images = self.checked_images(images)
        of_features = images.ndim == 2 < len(self.image_encoder.input.shape)
        return self._in_batches(self._embed_features if of_features else self._embed_image, images, batch_size)

    def checked_images(self, images):
        """Return pictures, as `encode_image` takes them, as an array that fits the image encoder."""
        if not isinstance(images, np.ndarray):
            if self.image_preprocessor is None:
                raise MmkerasError("Expected an array of feature vectors: this model has no image_preprocessor")
            images = self.image_preprocessor.load(images)
        takes = self.image_encoder.input.shape[1:]
        backbone = frozen_backbone(self.image_encoder) if images.ndim == 2 else None
        expected = takes if backbone is None else backbone.output.shape[1:]
        if images.shape[1:] != tuple(expected):
            raise MmkerasError(
                f"Expected an array (N, {', '.join(map(str, takes))}), as the image encoder takes it"
                f"{f', or features (N, {expected[0]})' if backbone else ''}. "
                f"Received: images of shape {images.shape}; a list of arrays is resized"
            )
        return images

    def encode_text(self, texts, batch_size=256):
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
        return self._encoded_texts(texts, batch_size)["embedding"]

    def _encoded_texts(self, texts, batch_size=256):
        """What the text encoder returns of texts, but for their tokens; see `encode_text`."""
        return self._in_batches(self._embed_text, self.checked_texts(texts), batch_size)

    def checked_texts(self, texts):
        """Return texts, as `encode_text` takes them, as an array that fits the text encoder: ids, or features."""
        if takes_text_features(self.text_encoder):
            expected = tuple(self.text_encoder.input.shape[1:])
            if np.ndim(texts) != 2 or np.shape(texts)[1:] != expected:
                received = (
                    f"texts of shape {np.shape(texts)}" if isinstance(texts, np.ndarray) else type(texts).__name__
                )
                raise MmkerasError(
                    f"Expected an array (N, {expected[0]}), features of texts, as the text encoder takes them. "
                    f"Received: {received}"
                )
            return np.asarray(texts)
        if isinstance(texts, (str, bytes)):
            raise MmkerasError(f"Expected a list of strings. Received: texts={texts!r}; write [texts]")
        texts = list(texts)
        for position, text in enumerate(texts):
            if not isinstance(text, (str, bytes)):
                raise MmkerasError(f"Expected a list of strings. Received: text {position} = {text!r}")
        return self._tokenize(tf.constant(texts, tf.string)).numpy()

    def classify_image(self, images, batch_size=256):
        """Category probabilities of pictures, float32 (N, C), in the order of `label_names`; see `encode_image`.

        Raises:
            MmkerasError: a system without categories, or as `encode_image`.
        """
        self._check_categories()
        return ops.convert_to_numpy(self.classify(self._encoded_images(images, batch_size), "image"))

    def classify_text(self, texts, batch_size=256):
        """Category probabilities of texts, float32 (N, C), in the order of `label_names`; see `encode_text`.

        Raises:
            MmkerasError: a system without categories, or as `encode_text`.
        """
        self._check_categories()
        return ops.convert_to_numpy(self.classify(self._encoded_texts(texts, batch_size), "text"))

    def _check_categories(self):
        if not self.label_names:
            raise MmkerasError(f"Expected a system with categories. Received: {type(self).__name__}, which has none")

    def _tokenize(self, texts):
        if self.text_preprocessor is None:
            raise MmkerasError("Expected token_ids: this model has no text_preprocessor")
        return self.text_preprocessor(texts)

    def _in_batches(self, embed, rows, batch_size):
        if not len(rows):
            return {name: np.zeros((0, tensor.shape[-1]), np.float32) for name, tensor in self._vectors.items()}
        parts = [embed(rows[start : start + batch_size]) for start in range(0, len(rows), batch_size)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    @property
    def _vectors(self):
        """What both encoders return of an item as a whole, by name."""
        return vectors_of(self.image_encoder.output)

    # --- Config ---

    def get_config(self):
        preprocessors = {part: getattr(self, part) for part in ("image_preprocessor", "text_preprocessor")}
        parts = self.given_encoders() | preprocessors
        config = {part: keras.saving.serialize_keras_object(value) for part, value in parts.items()}
        # With the dtype policy: without it a mixed_float16 model would be compiled without loss scaling when loaded.
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        parts = ("image_encoder", "text_encoder", "image_preprocessor", "text_preprocessor")
        return cls(
            **{
                key: keras.saving.deserialize_keras_object(value) if key in parts else value
                for key, value in config.items()
            }
        )


def _run(encoder, inputs, training, trainable):
    """Embed a batch; a frozen encoder drops nothing and keeps its batch statistics, whatever else trains."""
    return encoder(inputs, training=bool(training) and trainable)["embedding"]


def _embedder(encoder):
    """Return a function from an array, a batch, to what `vectors_of` has of it; traced once for any size and dtype."""
    signature = tf.TensorSpec(encoder.input.shape, encoder.input.dtype)

    @tf.function(input_signature=[signature])
    def embed(batch):
        return vectors_of(encoder(batch, training=False))

    return lambda batch: embed(tf.cast(batch, signature.dtype))
