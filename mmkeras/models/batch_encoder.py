"""`BatchEncoder`: images and texts of any number, as a user has them, through a model's encoders."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmkeras.encoders.encoder import Encoder, vectors_of
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.image import ImagePreprocessor, Picture
from mmkeras.preprocessing.strings import StringPreprocessor
from mmkeras.preprocessing.text import TextPreprocessor
from mmkeras.tensors import Tensor, TensorLike, Vectors

# What a user embeds: many of either, or an array as the encoder takes it.
Pictures: TypeAlias = Iterable[Picture] | NDArray[Any]
Texts: TypeAlias = Iterable[str | bytes] | NDArray[Any]


class BatchEncoder:
    """Checks what it is given, brings it into the form that the encoders take, and runs them batch by batch.

    Args:
        image_encoder: `Encoder`.
        text_encoder: `Encoder`.
        image_preprocessor: `ImagePreprocessor` or `None`.
        text_preprocessor: `TextPreprocessor`, `StringPreprocessor` or `None`.
    """

    def __init__(
        self,
        image_encoder: Encoder,
        text_encoder: Encoder,
        image_preprocessor: ImagePreprocessor | None = None,
        text_preprocessor: TextPreprocessor | StringPreprocessor | None = None,
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
        of_features = images.ndim == 2 and self.image_encoder.takes == "pixels"
        return self._in_batches(self._embed_features if of_features else self._embed_image, images, batch_size)

    def encode_texts(self, texts: Texts, batch_size: int) -> dict[str, Vectors]:
        """Return what the text encoder makes of texts, but for their tokens: a dict of float32 (N, D).

        Args:
            texts: see `ImageTextModel.encode_text`.
            batch_size: texts a call.
        """
        return self._in_batches(self._embed_text, self.checked_texts(texts), batch_size)

    def checked_images(self, images: Pictures) -> NDArray[Any]:
        """Return images as an array that fits the image encoder.

        Args:
            images: see `ImageTextModel.encode_image`.

        Raises:
            MmkerasError: see `ImageTextModel.encode_image`.
        """
        if not isinstance(images, np.ndarray):
            if self.image_preprocessor is None:
                raise MmkerasError("Expected an array of feature vectors: this model has no image_preprocessor")
            images = self.image_preprocessor.load(images)
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
        """Return texts as an array that fits the text encoder: token ids, strings or features.

        Args:
            texts: see `ImageTextModel.encode_text`.

        Raises:
            MmkerasError: see `ImageTextModel.encode_text`.
        """
        if self.text_encoder.takes == "features":
            expected = tuple(self.text_encoder.input.shape[1:])
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
        return embedder(self.image_encoder)

    @functools.cached_property
    def _embed_features(self):
        return embedder(self.image_encoder.feature_head())

    @functools.cached_property
    def _embed_text(self):
        return embedder(self.text_encoder)

    def _in_batches(self, embed, rows, batch_size):
        if not len(rows):
            vectors = self.image_encoder.vectors  # of both encoders
            return {name: np.zeros((0, tensor.shape[-1]), np.float32) for name, tensor in vectors.items()}
        parts = [embed(rows[start : start + batch_size]) for start in range(0, len(rows), batch_size)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


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
