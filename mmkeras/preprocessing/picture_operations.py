"""Operations on batches of pictures, each picture by its own amount: float32 (B, H, W, C), grey values 0..255.

Ours, and not the layers of Keras: those draw from a state, so that a batch would not follow from its step alone, and
some mix the pictures of a batch (one histogram of all for `Equalization`, one width for `RandomGaussianBlur`).
"""

import math

import numpy as np
import tensorflow as tf

# Luma of red, green and blue, ITU-R BT.601, and the two chroma axes of YIQ, around which a hue turns.
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], "float32")
GREY = np.repeat(YIQ[:1].T, 3, axis=1)  # (3, 3), from a colour, a row, to its grey in three channels
LEVELS = 256


def warped(images, matrix, fill):
    """Each picture seen through its own affine map, bilinear.

    Args:
        images: (B, H, W, C).
        matrix: (B, 2, 3), from a place (x, y, 1) of the result, relative to its middle in px, to that of the picture.
        fill: grey value of what lies outside.
    """
    size = tf.shape(images)[1:3]
    middle = tf.cast(tf.stack([size[1], size[0]]) - 1, tf.float32)[:, tf.newaxis] / 2  # (2, 1), x and y
    linear, shift = matrix[..., :2], matrix[..., 2:]
    shift += middle - linear @ middle
    flat = tf.reshape(tf.concat([linear, shift], axis=2), (-1, 6))
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.concat([flat, tf.zeros_like(flat[:, :2])], axis=1),
        output_shape=size,
        fill_value=float(fill),
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def affine(a=1.0, b=0.0, x=0.0, c=0.0, d=1.0, y=0.0):
    """Rows (a, b, x) and (c, d, y), of scalars and (B,), as the matrix of `warped`, (B, 2, 3)."""
    parts = [tf.convert_to_tensor(part, tf.float32) for part in (a, b, x, c, d, y)]
    rows = max(parts, key=lambda part: part.shape.rank)
    return tf.reshape(tf.stack([part + tf.zeros_like(rows) for part in parts], axis=1), (-1, 2, 3))


def rotation(degrees):
    """The matrix of a turn by (B,) degrees, for `warped`."""
    angle = degrees * (math.pi / 180)
    return affine(tf.cos(angle), -tf.sin(angle), 0.0, tf.sin(angle), tf.cos(angle), 0.0)


def recoloured(images, matrix):
    """Each colour, a row, times the matrix of its picture, (B, 3, 3), or of all, (3, 3)."""
    return tf.reshape(tf.reshape(images, (tf.shape(images)[0], -1, 3)) @ matrix, tf.shape(images))


def grey(images):
    """Luma, in three equal channels."""
    return recoloured(images, GREY)


def mean_grey(images):
    """The mean luma of each picture, (B, 1, 1, 1); of a picture of other than three channels the mean value."""
    channels = tf.reduce_mean(images, axis=(1, 2), keepdims=True)
    weights = YIQ[0] if images.shape[-1] == 3 else 1 / images.shape[-1]
    return tf.reduce_sum(channels * weights, axis=-1, keepdims=True)


def saturation_matrix(factor):
    """For `recoloured`: grey at a factor (B,) of 0, the colours themselves at 1."""
    factor = tf.reshape(factor, (-1, 1, 1))
    return factor * np.eye(3, dtype="float32") + (1 - factor) * GREY


def hue_matrix(turn):
    """For `recoloured`: colours turned by (B,) rounds of the wheel, of the luma they have."""
    cos, sin = (tf.reshape(wave(2 * math.pi * turn), (-1, 1, 1)) for wave in (tf.cos, tf.sin))
    luma, quarter, half = (np.zeros((3, 3), "float32") for _ in range(3))
    luma[0, 0] = half[1, 1] = half[2, 2] = 1
    quarter[1, 2], quarter[2, 1] = 1, -1
    # To YIQ, a turn of I and Q, and back; colours are rows, hence the transposes.
    return YIQ.T @ (luma + cos * half + sin * quarter) @ np.linalg.inv(YIQ).T


def blend(images, other, factor):
    """`other` at a factor of 0, `images` at 1, and beyond it further away; factor (B,)."""
    return other + (images - other) * _by_picture(factor)


def brightness(images, factor):
    """Black at a factor of 0."""
    return images * _by_picture(factor)


def contrast(images, factor):
    """The picture's mean grey everywhere at a factor of 0."""
    return blend(images, mean_grey(images), factor)


def saturation(images, factor):
    """A picture in grey at a factor of 0."""
    return recoloured(images, saturation_matrix(factor))


def sharpness(images, factor):
    """A picture smoothed over 3 x 3 px at a factor of 0, its border over what there is of them."""
    height, width = (tf.linalg.band_part(tf.ones((size, size)), 1, 1) for size in images.shape[1:3])
    pixels = _smoothed(tf.ones_like(images[:1]), height, width)
    return blend(images, (_smoothed(images, height, width) + 4 * images) / (pixels + 4), factor)


def posterized(images, bits):
    """Only the upper (B,) bits of each value, 1 to 8."""
    step = tf.pow(2.0, 8 - _by_picture(tf.round(bits)))
    return tf.floor(images / step) * step


def solarized(images, threshold):
    """Values from the threshold (B,) on turned into their negative."""
    return tf.where(images < _by_picture(threshold), images, 255 - images)


def auto_contrast(images):
    """Each channel stretched over all of 0..255; one of a single value stays."""
    low = tf.reduce_min(images, axis=(1, 2), keepdims=True)
    spread = tf.reduce_max(images, axis=(1, 2), keepdims=True) - low
    stretched = (images - low) * tf.math.divide_no_nan(255.0, spread)
    return tf.where(spread > 0, stretched, images)


def equalized(images):
    """Each channel with as many pixels of every grey as of any other; one of a single value stays."""
    shape = tf.shape(images)
    pixels = shape[1] * shape[2]
    values = tf.reshape(tf.transpose(images, (0, 3, 1, 2)), (-1, pixels))  # (B C, H W)
    values = tf.cast(tf.clip_by_value(tf.round(values), 0, LEVELS - 1), tf.int32)
    channels = tf.shape(values)[0]
    places = values + LEVELS * tf.range(channels)[:, tf.newaxis]
    counts = tf.math.unsorted_segment_sum(tf.ones_like(places), places, channels * LEVELS)
    up_to = tf.cumsum(tf.reshape(counts, (-1, LEVELS)), axis=1)  # (B C, 256)
    least = tf.gather(up_to, tf.reduce_min(values, axis=1), batch_dims=1)[:, tf.newaxis]
    table = tf.round(
        255 * tf.math.divide_no_nan(tf.cast(up_to - least, tf.float32), tf.cast(pixels - least, tf.float32))
    )
    table = tf.where(least < pixels, table, tf.range(LEVELS, dtype=tf.float32))
    found = tf.reshape(tf.gather(table, values, batch_dims=1), (shape[0], shape[3], shape[1], shape[2]))
    return tf.transpose(found, (0, 2, 3, 1))


def blurred(images, sigma):
    """A Gaussian of (B,) px, cut off by the border."""
    weights = []
    for size in images.shape[1:3]:
        place = tf.range(size, dtype=tf.float32)
        distance = (place - place[:, tf.newaxis]) / tf.reshape(sigma, (-1, 1, 1))
        weights.append(tf.nn.softmax(-0.5 * tf.square(distance)))  # (B, size, size), rows that sum to 1
    return _smoothed(images, *weights)


def as_dtype(images, dtype):
    """Values within 0..255, whole ones for an integer dtype."""
    images = tf.clip_by_value(images, 0, 255)
    return tf.cast(tf.round(images) if tf.as_dtype(dtype).is_integer else images, dtype)


def _smoothed(images, rows, columns):
    """Sums over the pixels of each column by `rows`, ([B,] H, H), and of each row by `columns`, ([B,] W, W)."""
    for matrix in (rows, columns):
        shape = tf.shape(images)
        images = tf.reshape(matrix @ tf.reshape(images, (shape[0], shape[1], -1)), shape)
        images = tf.transpose(images, (0, 2, 1, 3))  # the other side in front: twice is as it was
    return images


def _by_picture(amount):
    return tf.reshape(amount, (-1, 1, 1, 1))
