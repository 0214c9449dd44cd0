"""Random crops of pictures: the weak view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import keras
import tensorflow as tf

from mmkeras._config import ConfigFromSignature
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.picture_operations import as_dtype
from mmkeras.tensors import Array, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class RandomCrop(ConfigFromSignature):
    """Cut a part out of every picture of a batch and stretch it to the picture's size, some mirrored.

    Args:
        scale: least and greatest share of the area, in (0, 1].
        ratio: least and greatest width over height of the part, relative to the picture's own, more than 0. Where such
            a part does not fit, it is as wide or as high as the picture.
        flip: share of pictures that are mirrored left to right, in [0, 1]. 0 where writing, or a caption's left and
            right, has to stay.

    Call arguments:
        images: (B, H, W, C), any dtype, grey values 0..255.
        seed: integer tensor (2,).

    Returns:
        Images of the same shape and dtype.

    Raises:
        MmkerasError: a range or a share that is not allowed.

    Example:
        >>> weak = RandomCrop(scale=(0.5, 1.0), flip=0.5)(images, seed=tf.constant([1, 2]))
    """

    def __init__(
        self, scale: Sequence[float] = (0.2, 1.0), ratio: Sequence[float] = (3 / 4, 4 / 3), flip: float = 0.5
    ) -> None:
        if not (len(scale) == 2 and 0 < scale[0] <= scale[1] <= 1):
            raise MmkerasError(f"Expected two shares of the area in (0, 1], in order. Received: scale={scale}")
        if not (len(ratio) == 2 and 0 < ratio[0] <= ratio[1]):
            raise MmkerasError(f"Expected two ratios of more than 0, in order. Received: ratio={ratio}")
        if not 0 <= flip <= 1:
            raise MmkerasError(f"Expected a share in [0, 1]. Received: flip={flip}")
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)
        self.flip = flip

    def __call__(self, images: Array, seed: TensorLike) -> Tensor:
        draw = tf.random.stateless_uniform((5, tf.shape(images)[0]), seed)
        area = self.scale[0] + draw[0] * (self.scale[1] - self.scale[0])
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        ratio = tf.exp(low + draw[1] * (high - low))
        width = tf.minimum(tf.sqrt(area * ratio), 1.0)  # shares of the picture's
        height = tf.minimum(tf.sqrt(area / ratio), 1.0)
        left, top = draw[2] * (1 - width), draw[3] * (1 - height)
        right = left + width
        mirrored = draw[4] < self.flip
        boxes = tf.stack([top, tf.where(mirrored, right, left), top + height, tf.where(mirrored, left, right)], axis=1)
        # No antialiasing: a part is stretched, never shrunk.
        cut = tf.image.crop_and_resize(images, boxes, tf.range(tf.shape(images)[0]), tf.shape(images)[1:3])
        return tf.ensure_shape(as_dtype(cut, images.dtype), images.shape)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)
