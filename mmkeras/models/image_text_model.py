"""`ImageTextModel`: what all systems share: two encoders, their preprocessing, and how the pair is built and saved."""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from mmkeras.encoders.backbone_split import feature_head, frozen_backbone
from mmkeras.encoders.text import build_text_encoder
from mmkeras.errors import MmkerasError
from mmkeras.models.preset import (
    load_preset,
    preset_image_encoder,
    preset_image_preprocessor,
    preset_text_preprocessor,
)
from mmkeras.models.staged import Staged


@keras.saving.register_keras_serializable("mmkeras")
class ImageTextModel(Staged, keras.Model):
    """Two encoders into one space, with the preprocessing that feeds them.

    It trains nothing by itself: a system subclasses it and puts its arithmetic into `compute_loss`. A system with
    categories sets `label_names`, `multi_label` and `category_head`, a layer from embeddings to logits.

    Args:
        image_encoder: functional model from `image` to a dict with `embedding` (B, D).
        text_encoder: functional model from `token_ids` to a dict with `embedding` (B, D).
        image_preprocessor: `ImagePreprocessor`; `None` for models over feature vectors.
        text_preprocessor: `TextPreprocessor`; `None` for models that are only given `token_ids`.

    Call arguments:
        inputs: dict with `image` (B, H, W, C) or (B, F), and `token_ids` int (B, L) or `text`, strings (B,). Other
            keys of a batch are let through. An encoder of pictures takes (B, F) too where its backbone is frozen: the
            features that the backbone made of them, see `mmkeras.encoders.FrozenFeatures`.

    Returns:
        dict: `image_embedding` and `text_embedding`, float32 (B, D), unit norm.

    Raises:
        MmkerasError: encoders whose embeddings differ in length.
    """

    supervision = "pairs"  # or "categories": which batches a system trains on
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
            texts: training texts that the tokenizer is learnt from.
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
        if (texts is None) == (text_preprocessor is None):
            raise MmkerasError("Expected either texts, to learn the tokenizer from, or a text_preprocessor")
        if text_preprocessor is None:
            text_preprocessor = preset_text_preprocessor(preset, texts)
        return cls(
            image_encoder=preset_image_encoder(settings) if image_encoder is None else image_encoder,
            text_encoder=build_text_encoder(
                vocabulary_size=text_preprocessor.vocabulary_size,
                sequence_length=text_preprocessor.sequence_length,
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
        token_ids = inputs["token_ids"] if "token_ids" in inputs else self._tokenize(inputs["text"])
        return {
            "image_embedding": self._image_embedding(inputs["image"], training),
            "text_embedding": _run(self.text_encoder, token_ids, training),
        }

    def _image_embedding(self, images, training):
        if len(images.shape) == 2 < len(self.image_encoder.input.shape):
            if frozen_backbone(self.image_encoder) is None:  # it may have been, when the head was made
                feature_head(self.image_encoder)  # raises
            training = bool(training) and self.image_encoder.trainable
            return self._feature_head(images, training=training)["embedding"]
        return _run(self.image_encoder, images, training)

    def match(self, images, token_ids):
        """Score pairs: the cosine of their embeddings. Systems with a fusion encoder override it.

        Args:
            images: (B, H, W, C) or (B, F).
            token_ids: int (B, L).

        Returns:
            float32 (B,), in [-1, 1].
        """
        embeddings = self({"image": images, "token_ids": token_ids}, training=False)
        return ops.sum(embeddings["image_embedding"] * embeddings["text_embedding"], axis=-1)

    def classify(self, embedding):
        """Turn embeddings into category probabilities: of all categories together, or each alone when `multi_label`.

        Args:
            embedding: (B, D), unit norm, of either modality.

        Returns:
            float32 (B, C), in [0, 1]; rows sum to 1 unless `multi_label`.
        """
        logits = self.category_head(embedding)
        return ops.sigmoid(logits) if self.multi_label else ops.softmax(logits, axis=-1)

    # --- Training ---

    def compile(self, optimizer="auto", *, jit_compile=False, **kwargs):
        """Configure training; `compile()` alone trains sensibly.

        Args:
            optimizer: `"auto"` is AdamW with learning rate 1e-3, weight decay 0.01 and the gradient clipped to norm 1;
                otherwise as in `keras.Model.compile`. Weight decay leaves out biases, the scales and offsets of
                normalisation, and the temperature.
            jit_compile: off by default: XLA slows the small encoders' convolutions on a CPU (docs/performance.md).
            **kwargs: as in `keras.Model.compile`, but for the loss, which is the model's own.
        """
        if optimizer == "auto":
            optimizer = keras.optimizers.AdamW(learning_rate=1e-3, weight_decay=0.01, global_clipnorm=1.0)
        optimizer = keras.optimizers.get(optimizer)
        decaying = getattr(optimizer, "inner_optimizer", optimizer)  # what a LossScaleOptimizer wraps
        if not decaying.built:  # compiled before, it has its exclusions; Keras takes them only until then
            # Decay shrinks directions of matrices; scales, offsets and the temperature it would only bias towards 0.
            decaying.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "log_temperature"])
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)

    def compile_from_config(self, config):
        """Compile as the saved model was, with the optimizer's variables built, ready to be restored."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.build_optimizers()

    def build_optimizers(self):
        """Make every optimizer's variables, ready to be restored from a file."""
        self.optimizer.build(self.trainable_variables)

    # --- Encoding ---

    @functools.cached_property
    def _embed_image(self):
        return _embedder(self.image_encoder)

    # Functions, and no models: as an attribute a model would be saved, a second time.

    @functools.cached_property
    def _feature_head(self):
        head = feature_head(self.image_encoder)
        return lambda features, training=None: head(features, training=training)

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
        return self._in_batches(self._embed_features if backbone else self._embed_image, images, batch_size)

    def encode_text(self, texts, batch_size=256):
        """Embed texts.

        Args:
            texts: list of N strings.
            batch_size: texts a call.

        Returns:
            float32 (N, D), unit norm.

        Raises:
            MmkerasError: one string in place of a list, or an entry that is no string.
        """
        if isinstance(texts, (str, bytes)):
            raise MmkerasError(f"Expected a list of strings. Received: texts={texts!r}; write [texts]")
        texts = list(texts)
        for position, text in enumerate(texts):
            if not isinstance(text, (str, bytes)):
                raise MmkerasError(f"Expected a list of strings. Received: text {position} = {text!r}")
        token_ids = self._tokenize(tf.constant(texts, tf.string)).numpy()
        return self._in_batches(self._embed_text, token_ids, batch_size)

    def classify_image(self, images, batch_size=256):
        """Category probabilities of pictures, float32 (N, C), in the order of `label_names`; see `encode_image`.

        Raises:
            MmkerasError: a system without categories, or as `encode_image`.
        """
        return self._probabilities(self.encode_image(images, batch_size))

    def classify_text(self, texts, batch_size=256):
        """Category probabilities of texts, float32 (N, C), in the order of `label_names`; see `encode_text`.

        Raises:
            MmkerasError: a system without categories, or as `encode_text`.
        """
        return self._probabilities(self.encode_text(texts, batch_size))

    def _probabilities(self, embeddings):
        if self.category_head is None:
            raise MmkerasError(f"Expected a system with categories. Received: {type(self).__name__}, which has none")
        return ops.convert_to_numpy(self.classify(embeddings))

    def _tokenize(self, texts):
        if self.text_preprocessor is None:
            raise MmkerasError("Expected token_ids: this model has no text_preprocessor")
        return self.text_preprocessor(texts)

    def _in_batches(self, embed, rows, batch_size):
        parts = [embed(rows[start : start + batch_size]) for start in range(0, len(rows), batch_size)]
        return np.concatenate(parts) if parts else np.zeros((0, self.embedding_dim), np.float32)

    # --- Config ---

    def get_config(self):
        parts = ("image_encoder", "text_encoder", "image_preprocessor", "text_preprocessor")
        config = {part: keras.saving.serialize_keras_object(getattr(self, part)) for part in parts}
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


def _run(encoder, inputs, training):
    """Embed a batch; a frozen encoder drops nothing and keeps its batch statistics, whatever else trains."""
    return encoder(inputs, training=bool(training) and encoder.trainable)["embedding"]


def _embedder(encoder):
    """Return a function from an array, a batch, to its embeddings; traced once for any batch size and dtype."""
    signature = tf.TensorSpec(encoder.input.shape, encoder.input.dtype)

    @tf.function(input_signature=[signature])
    def embed(batch):
        return encoder(batch, training=False)["embedding"]

    return lambda batch: embed(tf.cast(batch, signature.dtype))
