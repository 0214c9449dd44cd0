"""What goes into an image encoder on a device."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError
from mmkeras.export.tflite.encoder_input import EncoderInput
from mmkeras.preprocessing.image import ImagePreprocessor
from mmkeras.tensors import Tensor


class PixelInput(EncoderInput):
    """Pictures of the encoder's own size, as `pixels`.

    Args:
        encoder: `Encoder` from `image`.
        preprocessor: the `ImagePreprocessor` that brings pictures to that size.

    Raises:
        MmkerasError: an encoder over features.
    """

    modality = "image"
    kinds = ("pixels",)
    signature = "encode_pixels"
    examples = "pictures"

    def check(self) -> None:
        if self.encoder.takes == "pixels" and not isinstance(self.preprocessor, ImagePreprocessor):
            raise MmkerasError(
                "Expected an image encoder of pictures and its ImagePreprocessor. "
                f"Received: image_preprocessor={self.preprocessor!r}"
            )
        if self.encoder.takes != "pixels":
            raise MmkerasError(
                "Expected an image encoder of pictures. Received: one over feature vectors that somebody else "
                "computes, which takes no picture on a device either"
            )

    def spec(self, kind: str) -> tf.TensorSpec:
        return tf.TensorSpec([1, *self.encoder.input.shape[1:]], tf.uint8, name="image")

    def prepare(self, kind: str) -> Callable[[Tensor], Tensor]:
        return lambda image: tf.cast(image, self.encoder.input.dtype)

    def batch(self, examples: Iterable[NDArray[np.uint8]]) -> NDArray[Any]:
        return np.stack(list(examples)).astype(self.encoder.input.dtype)

    def unusual(self, examples: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        shape = self.encoder.input.shape[1:]
        noise = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
        return [*(np.full(shape, grey, np.uint8) for grey in (0, 128, 255)), *noise]
