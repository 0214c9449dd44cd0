"""Decodes Windows bitmaps inside a TensorFlow graph, after a look at their header."""

import tensorflow as tf

from mmkeras.preprocessing.image_header import cut_out, little_endian, size_check
from mmkeras.preprocessing.transparency import lay_over


def decode_bmp(image_bytes, header, require, max_pixels, background):
    """Decode a bitmap of 8, 24 or 32 bits; see `image_decoding.decode_image`."""
    layout = bmp_layout(header)
    image_bytes = require(*size_check("BMP", layout["height"], layout["width"], max_pixels), image_bytes)
    problem = "BMP must have 8, 24 or 32 bits a pixel, no compression and no older header; save it as PNG"
    image_bytes = require(layout["supported"], problem, image_bytes)
    is_whole = layout["size"] <= tf.cast(tf.strings.length(image_bytes), tf.int64)
    image_bytes = require(is_whole, "BMP file is truncated (shorter than its header says)", image_bytes)
    # The decoder takes exactly the pixels' bytes, and gives palette indices as they are.
    pixels = tf.io.decode_bmp(tf.strings.substr(image_bytes, 0, tf.cast(layout["size"], tf.int32)))

    def apply_palette():
        start = 14 + layout["header_size"]
        entries = tf.maximum(layout["pixel_offset"] - start, 0) // 4
        table = cut_out(image_bytes, tf.cast(start, tf.int32), tf.cast(entries * 4, tf.int32))
        table = tf.reshape(tf.io.decode_raw(table, tf.uint8, fixed_length=1024), (256, 4))  # blue, green, red, 0
        return tf.gather(tf.reverse(table[:, :3], [1]), tf.cast(pixels[..., 0], tf.int32))

    def colours():
        return tf.cond(layout["has_alpha"], lambda: lay_over(pixels, background), lambda: pixels[..., :3])

    return tf.ensure_shape(tf.cond(layout["bits"] == 8, apply_palette, colours), (None, None, 3))


def bmp_layout(header):
    """Return what a Windows bitmap's header says, as a dict of int64 and bool scalars.

    `pixel_offset`, `header_size`, `width`, `height` (positive), `bits`, `has_alpha` (a declared alpha mask: the fourth
    byte of a plain 32-bit bitmap means nothing), `size` (bytes of the complete file) and `supported` (8, 24 or 32 bits,
    not compressed, channels in the usual order).
    """
    header_size = little_endian(header, 14, 4)
    height = little_endian(header, 22, 4)
    height = tf.abs(tf.where(height >= 2**31, height - 2**32, height))  # negative: the first row is the top one
    width, bits = little_endian(header, 18, 4), little_endian(header, 28, 2)
    compression, pixel_offset = little_endian(header, 30, 4), little_endian(header, 10, 4)
    masks = tf.stack([little_endian(header, start, 4) for start in (54, 58, 62)])
    usual_masks = (compression == 3) & (bits == 32) & tf.reduce_all(masks == [0xFF0000, 0xFF00, 0xFF])
    known_bits = (bits == 8) | (bits == 24) | (bits == 32)
    return {
        "pixel_offset": pixel_offset,
        "header_size": header_size,
        "width": width,
        "height": height,
        "bits": bits,
        "has_alpha": usual_masks & (header_size >= 56) & (little_endian(header, 66, 4) == 0xFF000000),
        "size": pixel_offset + (width * bits + 31) // 32 * 4 * height,
        "supported": (header_size >= 40) & known_bits & ((compression == 0) | usual_masks) & (width < 2**31),
    }
