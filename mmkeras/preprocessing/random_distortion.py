"""Random distortions of pictures: the strong view."""

from __future__ import annotations

from typing import Any, Self

import keras
import tensorflow as tf

from mmkeras._config import ConfigFromSignature
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import picture_operations as operations
from mmkeras.tensors import Array, Tensor, TensorLike

# Name to a function of images, an amount (B,) in [-1, 1] at strength 1, and what enters at the border. The ranges are
# about those of RandAugment.
SHAPES = {
    "identity": lambda images, amount, fill: images,
    "auto_contrast": lambda images, amount, fill: operations.auto_contrast(images),
    "equalize": lambda images, amount, fill: operations.equalized(images),
    "brightness": lambda images, amount, fill: operations.brightness(images, 1 + 0.9 * amount),
    "sharpness": lambda images, amount, fill: operations.sharpness(images, 1 + 0.9 * amount),
    "shear_x": lambda images, amount, fill: operations.warped(images, operations.affine(b=0.3 * amount), fill),
    "shear_y": lambda images, amount, fill: operations.warped(images, operations.affine(c=0.3 * amount), fill),
    "translate_x": lambda images, amount, fill: operations.warped(
        images, operations.affine(x=0.1 * amount * images.shape[2]), fill
    ),
    "translate_y": lambda images, amount, fill: operations.warped(
        images, operations.affine(y=0.1 * amount * images.shape[1]), fill
    ),
    "rotate": lambda images, amount, fill: operations.warped(images, operations.rotation(30 * amount), fill),
}
COLOURS = {
    "saturation": lambda images, amount, fill: operations.saturation(images, 1 + 0.9 * amount),
    "contrast": lambda images, amount, fill: operations.contrast(images, 1 + 0.9 * amount),
    "posterize": lambda images, amount, fill: operations.posterized(images, 8 - 4 * tf.abs(amount)),
    "solarize": lambda images, amount, fill: operations.solarized(images, 256 * (1 - tf.abs(amount))),
}


@keras.saving.register_keras_serializable("mmkeras")
class RandomDistortion(ConfigFromSignature):
    """Distort every picture of a batch by operations of its own: light and shape, and colour where it is allowed.

    In this order, each picture by its own draws: `count` operations out of a list; then, where `colour` is set,
    brightness, contrast, saturation and hue together, and grey; then a blur.

    The list is ALBEF's RandAugment: nothing, auto contrast, equalise, brightness, sharpness, shear, shift and turn.
    With `colour` saturation, contrast, posterise and solarise are in it too, which ALBEF leaves out, for captions name
    colours.

    Args:
        count: operations a picture, 0 or more, drawn from the list with repetition.
        strength: in [0, 1], how far an operation may go.
        probability: of each of the `count` operations to be done at all, in [0, 1].
        colour: whether colours may change.
        jitter: share of pictures whose light and colour are changed together, in [0, 1]; of `colour`.
        grayscale: share of pictures that lose their colour, in [0, 1]; of `colour`.
        blur: share of pictures that are blurred, in [0, 1], by up to 2 px of 224.
        fill: grey value 0..255 of what enters at the border.

    Call arguments:
        images: (B, H, W, 3), or with `colour` False any number of channels; any dtype, grey values 0..255. H and W
            are known.
        seed: integer tensor (2,).

    Returns:
        Images of the same shape and dtype.

    Raises:
        MmkerasError: an argument out of its range, pictures without three channels where colours may change.

    Example:
        >>> strong = RandomDistortion(colour=False)(images, seed=tf.constant([1, 2]))

    Reference:
        Cubuk et al. 2020 (RandAugment, arXiv 1909.13719); with 2 operations at 7 of 10 and half of them done as in the
        training code of ALBEF (arXiv 2107.07651). Jitter, grey and blur as in SimCLR (arXiv 2002.05709), appendix A,
        in a fixed order. Park & Han 2023 (arXiv 2304.00719) name "rendering distortions"; which, we chose.
    """

    def __init__(
        self,
        count: int = 2,
        strength: float = 0.7,
        probability: float = 0.5,
        colour: bool = True,
        jitter: float = 0.8,
        grayscale: float = 0.2,
        blur: float = 0.5,
        fill: int = 128,
    ) -> None:
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise MmkerasError(f"Expected a whole number of operations, 0 or more. Received: count={count!r}")
        shares = {
            "strength": strength,
            "probability": probability,
            "jitter": jitter,
            "grayscale": grayscale,
            "blur": blur,
        }
        for name, value in shares.items():
            if not 0 <= value <= 1:
                raise MmkerasError(f"Expected {name} in [0, 1]. Received: {name}={value}")
        if not 0 <= fill <= 255:
            raise MmkerasError(f"Expected a grey value from 0 to 255. Received: fill={fill!r}")
        self.count = count
        self.strength = strength
        self.probability = probability
        self.colour = colour
        self.jitter = jitter
        self.grayscale = grayscale
        self.blur = blur
        self.fill = fill

    def __call__(self, images: Array, seed: TensorLike) -> Tensor:
        if self.colour and images.shape[-1] != 3:
            raise MmkerasError(f"Expected pictures of 3 channels, or colour=False. Received: {images.shape[-1]}")
        x = tf.cast(images, tf.float32)
        for place in range(self.count):
            x = self._one_of_the_list(x, tf.random.fold_in(seed, place))
        if self.colour:
            x = tf.clip_by_value(self._jittered(x, tf.random.fold_in(seed, self.count)), 0, 255)
        x = self._blurred(x, tf.random.fold_in(seed, self.count + 1))
        return tf.ensure_shape(operations.as_dtype(x, images.dtype), images.shape)

    def _one_of_the_list(self, images, seed):
        """Each picture through one operation: sorted by operation, done, and put back where it was."""
        listed = SHAPES | COLOURS if self.colour else SHAPES
        draw = tf.random.stateless_uniform((3, tf.shape(images)[0]), seed)
        which = tf.cast(draw[0] * len(listed), tf.int32)
        which = tf.where(draw[1] < self.probability, which, list(listed).index("identity"))
        amount = self.strength * (2 * draw[2] - 1)
        rows = tf.dynamic_partition(tf.range(tf.shape(images)[0]), which, len(listed))
        done = [
            tf.clip_by_value(operation(tf.gather(images, of_it), tf.gather(amount, of_it), self.fill), 0, 255)
            for operation, of_it in zip(listed.values(), rows, strict=True)
        ]
        return tf.ensure_shape(tf.dynamic_stitch(rows, done), images.shape)

    def _jittered(self, images, seed):
        """Light, contrast, saturation, hue and grey: one matrix and one shade for each picture."""
        draw = tf.random.stateless_uniform((6, tf.shape(images)[0]), seed)
        amount = tf.where(draw[4] < self.jitter, 2 * draw[:4] - 1, 0.0)  # (4, B)
        light, contrast, saturation = (tf.reshape(1 + 0.4 * amount[k], (-1, 1, 1)) for k in range(3))
        matrix = operations.saturation_matrix(saturation) @ operations.hue_matrix(0.1 * amount[3])
        matrix = tf.where(draw[5][:, tf.newaxis, tf.newaxis] < self.grayscale, matrix @ operations.GREY, matrix)
        # Contrast brings each picture towards its mean grey, which saturation and hue leave as it is.
        shade = (light * (1 - contrast))[..., tf.newaxis] * operations.mean_grey(images)
        return operations.recoloured(images, light * contrast * matrix) + shade

    def _blurred(self, images, seed):
        if not self.blur:
            return images
        draw = tf.random.stateless_uniform((2, tf.shape(images)[0]), seed)
        sigma = max(images.shape[1:3]) / 112 * (0.05 + 0.95 * draw[0])
        rows = tf.dynamic_partition(tf.range(tf.shape(images)[0]), tf.cast(draw[1] < self.blur, tf.int32), 2)
        left, taken = (tf.gather(images, of_it) for of_it in rows)
        done = [left, operations.blurred(taken, tf.gather(sigma, rows[1]))]
        return tf.ensure_shape(tf.dynamic_stitch(rows, done), images.shape)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)
