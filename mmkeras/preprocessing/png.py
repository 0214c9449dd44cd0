"""Decodes PNG pictures inside a TensorFlow graph, after a look at their header."""

import tensorflow as tf

from mmkeras.preprocessing.chunks import find_png_chunk
from mmkeras.preprocessing.image_header import apart, big_endian, holds, size_check
from mmkeras.preprocessing.orientation import turn_upright
from mmkeras.preprocessing.transparency import lay_over


def decode_png(image_bytes, header, require, max_pixels, background):
    """Decode a PNG, turned as its EXIF asks; see `image_decoding.decode_image`."""
    height, width = big_endian(header, 20, 4), big_endian(header, 16, 4)
    image_bytes = require(*size_check("PNG", height, width, max_pixels), image_bytes)
    image_bytes = require(holds(image_bytes, "IEND"), "PNG file is truncated (no IEND)", image_bytes)

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
    image = lay_over(tf.ensure_shape(rgba, (None, None, 4)), background)
    # The name may stand in the pixels by chance: where it does, the chunks are walked through.
    return tf.cond(holds(image_bytes, "eXIf"), lambda: _turn(image, image_bytes), lambda: image)


@apart
def _turn(image, image_bytes):
    return turn_upright(image, find_png_chunk(image_bytes, b"eXIf"))
