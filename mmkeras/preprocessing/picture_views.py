"""Two views of each picture: a weak one for a teacher, and a strong one, made of it, for what learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import keras
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.tensors import Array, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class PictureViews:
    """A weak view of every picture of a batch, and a distortion of that one.

    Both show the same part of the picture: what a teacher sees in the one can be seen in the other.

    Args:
        weak: function (images, seed) -> images, such as `RandomCrop` or `RandomShift`; `None` for pictures as they are.
        strong: function (images, seed) -> images, such as `RandomDistortion`, of the weak view; `None` for the same
            view twice.

    Call arguments:
        images: (B, H, W, C), any dtype.
        seed: integer tensor (2,).

    Returns:
        dict of images of the same shape and dtype: `image`, the strong view, and `weak_image`.

    Raises:
        MmkerasError: no function.

    Example:
        >>> views = PictureViews(RandomShift(2), RandomDistortion(colour=False))
        >>> batches = training_batches(data, 256, seed=0, augment=views)
        >>> next(iter(batches)).keys()
        dict_keys(['image', 'image_id', 'text', 'weak_image'])
    """

    def __init__(
        self, weak: Callable[[Any, Any], Any] | None = None, strong: Callable[[Any, Any], Any] | None = None
    ) -> None:
        for name, view in {"weak": weak, "strong": strong}.items():
            if view is not None and not callable(view):
                raise MmkerasError(f"Expected a function from images and seed to images. Received: {name}={view!r}")
        self.weak = weak
        self.strong = strong

    def __call__(self, images: Array, seed: TensorLike) -> dict[str, Tensor]:
        weak = images if self.weak is None else self.weak(images, seed)
        # Other draws than those of the weak view: the first of both would be one number.
        strong = weak if self.strong is None else self.strong(weak, tf.random.fold_in(seed, 1))
        return {"image": strong, "weak_image": weak}  # type: ignore[dict-item]

    def get_config(self) -> dict[str, Any]:
        return {
            "weak": keras.saving.serialize_keras_object(self.weak),
            "strong": keras.saving.serialize_keras_object(self.strong),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{name: keras.saving.deserialize_keras_object(view) for name, view in config.items()})
