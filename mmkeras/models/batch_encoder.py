"""`BatchEncoder`: images and texts of any number, as a user has them, through a model's encoders."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmkeras.data.stored_pictures import StoredPictures
from mmkeras.encoders.encoder import Encoder, vectors_of
from mmkeras.errors import MmkerasError
from mmkeras.models.layer_tree import layers_within
from mmkeras.preprocessing.image import ImagePreprocessor, Picture
from mmkeras.preprocessing.strings import StringPreprocessor
from mmkeras.preprocessing.tokenizer import Tokenizer
from mmkeras.progress import Progress
from mmkeras.tensors import Tensor, TensorLike, Vectors

# What a user embeds: many of either, or an array as the encoder takes it.
Pictures: TypeAlias = Iterable[Picture] | NDArray[Any] | StoredPictures
Texts: TypeAlias = Iterable[str | bytes] | NDArray[Any]


class BatchEncoder:
    """Checks what it is given, brings it into the form that the encoders take, and runs them batch by batch.

    Args:
        image_encoder: `Encoder`.
        text_encoder: `Encoder`.
        image_preprocessor: `ImagePreprocessor` or `None`.
        text_preprocessor: a `Tokenizer`, `StringPreprocessor` or `None`.
    """

    def __init__(
        self,
        image_encoder: Encoder,
        text_encoder: Encoder,
        image_preprocessor: ImagePreprocessor | None = None,
        text_preprocessor: Tokenizer | StringPreprocessor | None = None,
    ) -> None:
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.image_preprocessor = image_preprocessor
        self.text_preprocessor = text_preprocessor

    def encode_images(self, images: Pictures, batch_size: int) -> dict[str, Vectors]:
        """Return what the image encoder makes of images, but for their tokens: a dict of float32 (N, D).

        Args:
            images: see `ImageTextModel.encode_image`.
            batch_size: images a call.
        """
        images = self.checked_images(images)
        embed = self._embed_features if self.image_encoder.is_features(images) else self._embed_image
        return self._in_batches(embed, images, batch_size, "picture")

    def encode_texts(self, texts: Texts, batch_size: int) -> dict[str, Vectors]:
        """Return what the text encoder makes of texts, but for their tokens: a dict of float32 (N, D).

        Args:
            texts: see `ImageTextModel.encode_text`.
            batch_size: texts a call.
        """
        texts = self.checked_texts(texts)
        embed = self._embed_text_features if self.text_encoder.is_features(texts) else self._embed_text
        return self._in_batches(embed, texts, batch_size, "text")

    def checked_images(self, images: Pictures) -> NDArray[Any] | StoredPictures:
        """Return images as an array that fits the image encoder, or pictures that are not read yet.

        Args:
            images: see `ImageTextModel.encode_image`.

        Raises:
            MmkerasError: see `ImageTextModel.encode_image`.
        """
        if not isinstance(images, (np.ndarray, StoredPictures)):
            if self.image_preprocessor is None:
                raise MmkerasError("Expected an array of feature vectors: this model has no image_preprocessor")
            images = self.image_preprocessor.load(images)
        check_grey_values(images)
        takes = self.image_encoder.input.shape[1:]
        backbone = self.image_encoder.frozen_backbone() if images.ndim == 2 else None
        expected = takes if backbone is None else backbone.output.shape[1:]
        if images.shape[1:] != tuple(expected):
            raise MmkerasError(
                f"Expected an array (N, {', '.join(map(str, takes))}), as the image encoder takes it"
                f"{f', or features (N, {expected[0]})' if backbone else ''}. "
                f"Received: images of shape {images.shape}; a list of arrays is resized"
            )
        return images

    def checked_texts(self, texts: Texts) -> NDArray[Any]:
        """Return texts as an array that fits the text encoder: token ids, strings, or features of a frozen backbone.

        Args:
            texts: see `ImageTextModel.encode_text`.

        Raises:
            MmkerasError: see `ImageTextModel.encode_text`.
        """
        are_vectors = isinstance(texts, np.ndarray) and texts.ndim == 2
        backbone = self.text_encoder.frozen_backbone() if are_vectors else None
        if self.text_encoder.takes == "features" or backbone is not None:
            expected = tuple((self.text_encoder.input if backbone is None else backbone.output).shape[1:])
            if np.ndim(texts) != 2 or np.shape(texts)[1:] != expected:  # type: ignore[arg-type]
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
            try:
                text.decode() if isinstance(text, bytes) else text.encode()
            except UnicodeError as error:
                raise MmkerasError(
                    f"Expected Unicode text. Received: text {position} = {text[:40]!r}; encode_image takes pictures"
                ) from error
        return self.tokenize(tf.constant(texts, tf.string)).numpy()

    def tokenize(self, texts: TensorLike) -> Tensor:
        """Return what the text encoder takes of strings.

        Args:
            texts: string tensor (N,).

        Raises:
            MmkerasError: a model without a text_preprocessor.
        """
        if self.text_preprocessor is None:
            raise MmkerasError("Expected token_ids: this model has no text_preprocessor")
        return self.text_preprocessor(texts)

    @functools.cached_property
    def _embed_image(self):
        return _Fresh(self.image_encoder)

    @functools.cached_property
    def _embed_features(self):
        return _Fresh(self.image_encoder, self.image_encoder.feature_head)

    @functools.cached_property
    def _embed_text_features(self):
        return _Fresh(self.text_encoder, self.text_encoder.feature_head)

    @functools.cached_property
    def _embed_text(self):
        return _Fresh(self.text_encoder)

    def _in_batches(self, embed, rows, batch_size, unit):
        if not len(rows):
            vectors = self.image_encoder.vectors  # of both encoders
            return {name: np.zeros((0, tensor.shape[-1]), np.float32) for name, tensor in vectors.items()}
        parts = []
        with Progress(f"Embedding {unit}s", len(rows), unit) as bar:
            for start in range(0, len(rows), batch_size):
                batch = rows[start : start + batch_size]
                parts.append(embed(np.asarray(batch)))
                bar.advance(len(batch))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def check_grey_values(images: NDArray[Any] | StoredPictures) -> None:
    """Check that pictures are not floats in 0 to 1: our encoders take 0 to 255, whatever the type.

    Raises:
        MmkerasError: floats of shape (N, H, W, C) of which none is above 1, and some are above 0.
    """
    if images.ndim == 4 and images.dtype.kind == "f" and images.size and 0 < images.max() <= 1:
        raise MmkerasError(
            f"Expected images with values from 0 to 255. Received: {images.dtype} with a maximum of "
            f"{float(images.max()):.3g}; multiply by 255"
        )


class _Fresh:
    """What `embedder` returns of an encoder, made anew where its layers changed since: by `quantize` or `enable_lora`.

    A traced function goes on with the layers as they were.
    """

    def __init__(self, encoder, build=None):
        self.encoder = encoder
        self.build = build or (lambda: encoder)
        self.state = None

    def __call__(self, rows):
        state = _state_of(self.encoder)
        if self.state is None or not _same(state, self.state):
            self.state, self.embed = state, embedder(self.build())
        return self.embed(rows)


def _state_of(model):
    """Layers, variables and settings that a model's outputs follow from, the objects themselves: a flat list."""
    found = []
    for layer in layers_within(model):
        found += [layer, *layer.weights, layer.dtype_policy]
        for name, value in vars(layer).items():
            plain = callable(value) or isinstance(value, (str, int, float, tuple, type(None)))
            if plain and not name.startswith("_") and name not in ("trainable", "built"):
                found += [name, value]
    return found


def _same(state, other):
    return len(state) == len(other) and all(
        one is two or (isinstance(one, (str, int, float, tuple)) and type(one) is type(two) and one == two)
        for one, two in zip(state, other, strict=True)
    )


def embedder(encoder: keras.Model) -> Callable[[NDArray[Any]], dict[str, Tensor]]:
    """Return a function from an array, a batch, to what `vectors_of` has of it; traced once for any size and dtype.

    Args:
        encoder: functional model with one input.
    """
    signature = tf.TensorSpec(encoder.input.shape, encoder.input.dtype)

    @tf.function(input_signature=[signature])
    def embed(batch):
        return vectors_of(encoder(batch, training=False))

    return lambda batch: embed(tf.cast(batch, signature.dtype))
