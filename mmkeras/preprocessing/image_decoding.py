"""Decodes one picture of any known format inside a TensorFlow graph, after a look at its header.

TensorFlow's decoders are stateless operations, so nothing but data orders them behind a check: every check here returns
the bytes that the decoder takes.
"""

from __future__ import annotations

import functools

import tensorflow as tf

from mmkeras.preprocessing import image_header
from mmkeras.tensors import Tensor, TensorLike

# No JPEG or GIF can be longer; a PNG or BMP of one pixel by millions would make a resize's intermediate huge.
MAX_SIDE = 65_535


def decode_image(image_bytes: TensorLike, background: int, max_pixels: int, row: TensorLike | None = None) -> Tensor:
    """Decode a JPEG, PNG, BMP or the first frame of a GIF.

    Args:
        image_bytes: scalar string tensor.
        background: int in 0..255, the grey behind transparent pixels.
        max_pixels: int, the largest height times width that is decoded.
        row: int scalar tensor or None, the picture's position in its batch, for messages.

    Returns:
        uint8 tensor (h, w, 3).

    Raises:
        tf.errors.InvalidArgumentError: unknown format, too large, truncated, damaged.
    """
    image_bytes = tf.ensure_shape(image_bytes, [])
    header = image_header.read_header(image_bytes)

    def decode_by(function):
        # Not inlined: TensorFlow would walk through the operations of the branches not taken, at every picture.
        apart = tf.function(function, autograph=False, experimental_attributes={"_noinline": True})
        require = functools.partial(_require, row=row)
        return lambda: apart(image_bytes, header, require, max_pixels, background)

    functions = (_decode_jpeg, _decode_png, _decode_gif, _decode_bmp, _refuse)
    return tf.switch_case(image_header.image_format(header), [decode_by(function) for function in functions])


def _decode_jpeg(image_bytes, header, require, max_pixels, background):
    is_whole = image_header.has_end(image_bytes, b"\xff\xd9")
    image_bytes = require(is_whole, "JPEG file is truncated (no end marker)", image_bytes)
    shape = tf.image.extract_jpeg_shape(image_bytes, tf.int64)
    image_bytes = require(*_bound("JPEG", shape[0], shape[1], max_pixels), image_bytes)
    return tf.io.decode_jpeg(image_bytes, channels=3, dct_method="INTEGER_ACCURATE", fancy_upscaling=True)


def _decode_png(image_bytes, header, require, max_pixels, background):
    height, width = image_header.big_endian(header, 20, 4), image_header.big_endian(header, 16, 4)
    image_bytes = require(*_bound("PNG", height, width, max_pixels), image_bytes)
    is_whole = image_header.has_end(image_bytes, b"IEND", distance=4)
    image_bytes = require(is_whole, "PNG file is truncated (no IEND)", image_bytes)

    def decode_deep():
        deep = tf.cast(tf.io.decode_png(image_bytes, channels=4, dtype=tf.uint16), tf.int32)
        return tf.cast((deep + 128) // 257, tf.uint8)  # rounded: the decoder's own 8 bits would be cut off

    def decode_shallow():
        # Asked for an alpha that is not in the file, the decoder makes it of the file's depth: 15 of 255 for 4 bits.
        planes = tf.io.decode_png(image_bytes, channels=0)
        count = tf.shape(planes)[2]
        colours = tf.gather(planes, tf.where(count < 3, [0, 0, 0], [0, 1, 2]), axis=2)
        alpha = tf.cond(count % 2 == 0, lambda: planes[..., -1:], lambda: tf.ones_like(planes[..., :1]) * 255)
        return tf.concat([colours, alpha], axis=2)

    decoders = [(header[24] == 16, decode_deep), (header[24] < 8, decode_shallow)]
    rgba = tf.case(decoders, default=lambda: tf.io.decode_png(image_bytes, channels=4))
    rgba = tf.ensure_shape(rgba, (None, None, 4))
    return _lay_over(rgba, background)


def _decode_gif(image_bytes, header, require, max_pixels, background):
    height, width = image_header.little_endian(header, 8, 2), image_header.little_endian(header, 6, 2)
    image_bytes = require(*_bound("GIF", height, width, max_pixels), image_bytes)
    image_bytes, sides, is_whole = image_header.first_gif_frame(image_bytes, background)
    image_bytes = require(is_whole, "GIF file is truncated or damaged (no whole first frame)", image_bytes)
    image_bytes = require(*_bound("GIF frame", sides[0], sides[1], max_pixels), image_bytes)
    return tf.ensure_shape(tf.io.decode_gif(image_bytes)[0], (None, None, 3))


def _decode_bmp(image_bytes, header, require, max_pixels, background):
    bmp = image_header.bmp_layout(header)
    image_bytes = require(*_bound("BMP", bmp["height"], bmp["width"], max_pixels), image_bytes)
    problem = "BMP must have 8, 24 or 32 bits a pixel, no compression and no older header; save it as PNG"
    image_bytes = require(bmp["supported"], problem, image_bytes)
    is_whole = bmp["size"] <= tf.cast(tf.strings.length(image_bytes), tf.int64)
    image_bytes = require(is_whole, "BMP file is truncated (shorter than its header says)", image_bytes)
    # The decoder takes exactly the pixels' bytes, and gives palette indices as they are.
    pixels = tf.io.decode_bmp(tf.strings.substr(image_bytes, 0, tf.cast(bmp["size"], tf.int32)))

    def apply_palette():
        start = 14 + bmp["header_size"]
        entries = tf.maximum(bmp["pixel_offset"] - start, 0) // 4
        table = tf.strings.substr(image_bytes, tf.cast(start, tf.int32), tf.cast(entries * 4, tf.int32))
        table = tf.reshape(tf.io.decode_raw(table, tf.uint8, fixed_length=1024), (256, 4))  # blue, green, red, 0
        return tf.gather(tf.reverse(table[:, :3], [1]), tf.cast(pixels[..., 0], tf.int32))

    def colours():
        return tf.cond(bmp["has_alpha"], lambda: _lay_over(pixels, background), lambda: pixels[..., :3])

    return tf.ensure_shape(tf.cond(bmp["bits"] == 8, apply_palette, colours), (None, None, 3))


def _refuse(image_bytes, header, require, max_pixels, background):
    size = tf.as_string(tf.strings.length(image_bytes))
    problem = tf.strings.join(["expected a JPEG, PNG, GIF or BMP picture; received ", size, " bytes of another kind"])
    image_bytes = require(tf.constant(False), problem, image_bytes)
    return tf.ensure_shape(tf.io.decode_png(image_bytes, channels=3), (None, None, 3))


def _bound(kind, height, width, max_pixels):
    """Return whether a picture of this size may be decoded, and the message where not."""

    received = [f"{kind} of ", tf.as_string(width), " x ", tf.as_string(height), " pixels"]
    allowed = f"; expected at least 1 x 1, at most max_pixels={max_pixels} in all and {MAX_SIDE} a side"
    is_small = (tf.maximum(height, width) <= MAX_SIDE) & (height * width <= max_pixels)
    return is_small & (tf.minimum(height, width) > 0), tf.strings.join([*received, allowed])


def _require(condition, problem, image_bytes, row):
    """Return `image_bytes` where `condition` holds; fail with the string `problem` otherwise."""
    if row is not None:
        problem = tf.strings.join(["row ", tf.as_string(row), ": ", problem])
    # The bare operation: tf.debugging.Assert puts a conditional around it, which takes longer than making the message.
    check = tf.raw_ops.Assert(condition=condition, data=[problem])
    with tf.control_dependencies([] if check is None else [check]):
        return tf.identity(image_bytes)


def _lay_over(rgba, background):
    """Lay a uint8 picture (h, w, 4) over a grey background; exact, rounded to nearest."""

    def blend():
        alpha = tf.cast(rgba[..., 3:], tf.int32)
        blended = tf.cast(rgba[..., :3], tf.int32) * alpha + background * (255 - alpha)
        return tf.cast((blended + 127) // 255, tf.uint8)

    return tf.cond(tf.reduce_all(rgba[..., 3] == 255), lambda: rgba[..., :3], blend)
