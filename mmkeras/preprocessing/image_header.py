"""Reads picture headers inside a TensorFlow graph, so that a size is known before anything is decoded.

TensorFlow's decoders allocate what the header asks for: a PNG file of 1.7 MB can cost 2 GB. Every function here works
on a scalar string tensor, in `tf.data`, in an exported graph and eagerly.
"""

import tensorflow as tf

HEADER_BYTES = 72
JPEG, PNG, GIF, BMP, UNKNOWN = range(5)

_ANY = -1
_SIGNATURES = (
    (0xFF, 0xD8, 0xFF, _ANY, _ANY, _ANY, _ANY, _ANY),
    (0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A),
    (0x47, 0x49, 0x46, 0x38, _ANY, 0x61, _ANY, _ANY),
    (0x42, 0x4D, _ANY, _ANY, _ANY, _ANY, _ANY, _ANY),
    (_ANY,) * 8,
)


def read_header(image_bytes):
    """Return the first `HEADER_BYTES` bytes as int64, with zeros behind the end of a shorter string."""
    return tf.cast(tf.io.decode_raw(image_bytes, tf.uint8, fixed_length=HEADER_BYTES), tf.int64)


def image_format(header):
    """Return `JPEG`, `PNG`, `GIF`, `BMP` or `UNKNOWN` as an int32 scalar, from the signature alone."""
    table = tf.constant(_SIGNATURES, tf.int64)
    matches = tf.reduce_all((table == header[:8]) | (table == _ANY), axis=1)
    return tf.argmax(tf.cast(matches, tf.int32), output_type=tf.int32)  # the first that matches


def big_endian(header, start, count):
    """Return the unsigned big-endian integer in `header[start:start + count]`."""
    return tf.reduce_sum(header[start : start + count] * [256**k for k in reversed(range(count))])


def little_endian(header, start, count):
    """Return the unsigned little-endian integer in `header[start:start + count]`."""
    return tf.reduce_sum(header[start : start + count] * [256**k for k in range(count)])


def has_end(image_bytes, marker, distance=0):
    """Say whether the file's end `marker` (`bytes`) is there: where it should be, or failing that anywhere.

    Pictures with something appended are common (phones put a second picture behind the first), so the whole string is
    searched when the marker does not stand `distance` bytes before the end. A truncated file has none. (One that
    carries a complete thumbnail has: it passes here and fails in the decoder.)
    """
    length = tf.strings.length(image_bytes)
    start = tf.maximum(length - len(marker) - distance, 0)
    in_place = tf.strings.substr(image_bytes, start, len(marker)) == marker
    # Of a file that is in order nothing is searched; a conditional would take longer than these few operations.
    data = tf.io.decode_raw(tf.strings.substr(image_bytes, 0, tf.where(in_place, 0, length)), tf.uint8)
    count = tf.maximum(tf.size(data) - len(marker) + 1, 0)
    found = data[:count] == marker[0]
    for k, byte in enumerate(marker[1:], start=1):
        found &= data[k : k + count] == byte
    return in_place | tf.reduce_any(found)


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
        head = tf.strings.substr(image_bytes, 0, table_end)
        body = tf.strings.substr(image_bytes, descriptor, end - descriptor)
        cut = tf.strings.join([head, body, b"\x3b"])
        painted = [tf.strings.substr(cut, 0, entry), bytes([background] * 3), tf.strings.substr(cut, entry + 3, size)]
        return tf.cond(paint, lambda: tf.strings.join(painted), lambda: cut)

    sides = tf.stack([at(descriptor + k) + 256 * at(descriptor + k + 1) for k in (7, 5)])
    return tf.cond(complete, rebuild, lambda: image_bytes), tf.cast(sides, tf.int64), complete
