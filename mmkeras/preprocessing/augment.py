"""Augmentation of picture batches, drawn from a seed: the same (seed, batch) always gives the same pictures."""

from __future__ import annotations

from typing import Any, Self

import keras
import tensorflow as tf

from mmkeras._config import ConfigFromSignature
from mmkeras.errors import MmkerasError
from mmkeras.tensors import Array, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class RandomShift(ConfigFromSignature):
    """Shift every picture of a batch by its own whole number of pixels; what comes in is `fill`.

    Args:
        pixels: the largest shift, in px, each way and in both directions.
        fill: grey value 0..255 of what enters at the border.

    Call arguments:
        images: (B, H, W, C), any dtype.
        seed: integer tensor (2,).

    Returns:
        Images of the same shape and dtype.

    Raises:
        MmkerasError: a shift below 0, a grey value outside 0..255.

    Example:
        >>> shifted = RandomShift(2)(images, seed=tf.constant([1, 2]))
    """

    def __init__(self, pixels: int, fill: int = 255) -> None:
        if not isinstance(pixels, int) or pixels < 0:
            raise MmkerasError(f"Expected a whole number of px, 0 or more. Received: pixels={pixels!r}")
        if not 0 <= fill <= 255:
            raise MmkerasError(f"Expected a grey value from 0 to 255. Received: fill={fill!r}")
        self.pixels = pixels
        self.fill = fill

    def __call__(self, images: Array, seed: TensorLike) -> Tensor:
        batch, height, width = tf.unstack(tf.shape(images)[:3])
        border = [[0, 0], [self.pixels, self.pixels], [self.pixels, self.pixels], [0, 0]]
        padded = tf.pad(images, border, constant_values=tf.cast(self.fill, images.dtype))
        offset = tf.random.stateless_uniform((2, batch, 1), seed, maxval=2 * self.pixels + 1, dtype=tf.int32)
        rows = tf.gather(padded, offset[0] + tf.range(height), axis=1, batch_dims=1)
        shifted = tf.gather(rows, offset[1] + tf.range(width), axis=2, batch_dims=1)
        return tf.ensure_shape(shifted, images.shape)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)
