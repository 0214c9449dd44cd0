"""Decodes the first frame of a GIF inside a TensorFlow graph."""

import tensorflow as tf

from mmkeras.preprocessing.image_header import cut_out, little_endian, size_check


def decode_gif(image_bytes, header, require, max_pixels, background):
    """Decode the first frame of a GIF; see `image_decoding.decode_image`."""
    height, width = little_endian(header, 8, 2), little_endian(header, 6, 2)
    image_bytes = require(*size_check("GIF", height, width, max_pixels), image_bytes)
    image_bytes, sides, is_whole = first_gif_frame(image_bytes, background)
    image_bytes = require(is_whole, "GIF file is truncated or damaged (no whole first frame)", image_bytes)
    image_bytes = require(*size_check("GIF frame", sides[0], sides[1], max_pixels), image_bytes)
    return tf.ensure_shape(tf.io.decode_gif(image_bytes)[0], (None, None, 3))


def first_gif_frame(image_bytes, background):
    """Cut a GIF down to its first frame, so that no decoder unpacks the others.

    Extensions are dropped with the later frames. One of them names a transparent palette entry, which TensorFlow would
    draw black: that entry is painted with `background` instead.

    Args:
        image_bytes: scalar string, a GIF.
        background: int in 0..255.

    Returns:
        (string scalar: a GIF of one frame; int64 (2,): that frame's own height and width; bool: whether the file held a
        whole first frame).

    Reference: CompuServe, "Graphics Interchange Format, Version 89a" (1990), sections 18 to 27.
    """
    data = tf.io.decode_raw(image_bytes, tf.uint8)
    size = tf.size(data)
    introducer, extension, frame, finished, broken = range(5)

    def at(position):
        return tf.cast(tf.gather(data, tf.clip_by_value(position, 0, size - 1)), tf.int32)

    def table_bytes(flags):
        return tf.where(flags >= 0x80, 3 * tf.bitwise.left_shift(2, flags % 8), 0)

    def step(position, mode, descriptor, control):
        # Three kinds of stop: a block's introducer, or a length byte inside an extension or inside the frame's data.
        byte, following = at(position), at(position + 1)
        is_extension = (mode == introducer) & (byte == 0x21)
        is_frame = (mode == introducer) & (byte == 0x2C)
        ends = (mode != introducer) & (byte == 0)
        descriptor = tf.where(is_frame, position, descriptor)
        control = tf.where(is_extension & (following == 0xF9), position, control)
        stride = tf.where(is_extension, 2, tf.where(is_frame, 11 + table_bytes(at(position + 9)), 1 + byte))
        opened = tf.where(is_extension, extension, tf.where(is_frame, frame, broken))
        closed = tf.where(mode == frame, finished, introducer)
        mode = tf.where(mode == introducer, opened, tf.where(ends, closed, mode))
        return position + stride, mode, descriptor, control

    table_end = 13 + table_bytes(at(10))
    end, mode, descriptor, control = tf.while_loop(
        lambda position, mode, *_: (mode <= frame) & (position < size),
        step,
        (table_end, tf.constant(introducer), tf.constant(0), tf.constant(-1)),
    )
    complete = (mode == finished) & (end <= size)

    # The table that colours the frame starts behind the frame's descriptor, or else behind the file's own.
    local = at(descriptor + 9) >= 0x80
    entry = tf.where(local, table_end + 10, 13) + 3 * at(control + 6)
    entry_end = tf.where(local, table_end + 10 + table_bytes(at(descriptor + 9)), table_end)
    paint = complete & (control >= 0) & (at(control + 3) % 2 == 1) & (entry < entry_end)

    def rebuild():
        head, body = cut_out(image_bytes, 0, table_end), cut_out(image_bytes, descriptor, end - descriptor)
        cut = tf.strings.join([head, body, b"\x3b"])
        painted = [cut_out(cut, 0, entry), bytes([background] * 3), cut_out(cut, entry + 3)]
        return tf.where(paint, tf.strings.join(painted), cut)

    sides = tf.stack([at(descriptor + k) + 256 * at(descriptor + k + 1) for k in (7, 5)])
    return tf.cond(complete, rebuild, lambda: image_bytes), tf.cast(sides, tf.int64), complete
