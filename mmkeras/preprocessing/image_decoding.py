"""Decodes one picture of any known format inside a TensorFlow graph, after a look at its header.

TensorFlow's decoders are stateless operations, so nothing but data orders them behind a check: every check here returns
the bytes that the decoder takes.
"""

from __future__ import annotations

import functools

import tensorflow as tf

from mmkeras.preprocessing.bmp import decode_bmp
from mmkeras.preprocessing.gif import decode_gif
from mmkeras.preprocessing.image_header import apart, image_format, read_header
from mmkeras.preprocessing.jpeg import decode_jpeg
from mmkeras.preprocessing.png import decode_png
from mmkeras.preprocessing.unread_format import refuse
from mmkeras.preprocessing.webp import decode_webp
from mmkeras.tensors import Tensor, TensorLike

_DECODERS = (decode_jpeg, decode_png, decode_gif, decode_bmp, decode_webp, refuse)  # as `image_header` numbers them


def decode_image(image_bytes: TensorLike, background: int, max_pixels: int, row: TensorLike | None = None) -> Tensor:
    """Decode a JPEG, PNG, BMP, WebP or the first frame of a GIF or an animated WebP, upright.

    Args:
        image_bytes: scalar string tensor.
        background: int in 0..255, the grey behind transparent pixels.
        max_pixels: int, the largest height times width that is decoded.
        row: int scalar tensor or None, the picture's position in its batch, for messages.

    Returns:
        uint8 tensor (h, w, 3), turned as the picture's EXIF asks.

    Raises:
        tf.errors.InvalidArgumentError: unknown format, which the message names, too large, truncated, damaged.
    """
    image_bytes = tf.ensure_shape(image_bytes, [])
    header = read_header(image_bytes)
    require = functools.partial(_require, row=row)

    def decode_by(function):
        def decode():
            return tf.ensure_shape(function(image_bytes, header, require, max_pixels, background), (None, None, 3))

        return apart(decode)

    return tf.switch_case(image_format(header), [decode_by(function) for function in _DECODERS])


def _require(condition, problem, data, row):
    """Return `data` where `condition` holds; fail with the string `problem` otherwise."""
    if row is not None:
        problem = tf.strings.join(["row ", tf.as_string(row), ": ", problem])
    # The bare operation: tf.debugging.Assert puts a conditional around it, which takes longer than making the message.
    check = tf.raw_ops.Assert(condition=condition, data=[problem])
    with tf.control_dependencies([] if check is None else [check]):
        return tf.identity(data)
