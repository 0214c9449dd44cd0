"""Decodes WebP pictures inside a TensorFlow graph, after a look at their header."""

import tensorflow as tf

from mmkeras.preprocessing.chunks import find_webp_chunk
from mmkeras.preprocessing.image_header import apart, cut_out, holds, little_endian, read_header, size_check
from mmkeras.preprocessing.orientation import turn_upright
from mmkeras.preprocessing.transparency import lay_over

_CHUNKS = 12  # where they begin
_ANIMATION, _EXIF, _ALPHA = 0x02, 0x08, 0x10  # flags of the extended header
_FRAME_HEADER = 16  # bytes


def decode_webp(image_bytes, header, require, max_pixels, background):
    """Decode a WebP, or the first frame of an animated one, turned as its EXIF asks; see `image_decoding.decode_image`.

    Reference: Google, "WebP Container Specification", and RFC 9649, sections 2.4 to 2.7.
    """
    size = 8 + little_endian(header, 4, 4)
    is_whole = size <= tf.cast(tf.strings.length(image_bytes), tf.int64)
    image_bytes = require(is_whole, "WebP file is truncated (shorter than its header says)", image_bytes)
    height, width, is_known = _sides(header)
    image_bytes = require(is_known, "WebP file is damaged (no picture behind its header)", image_bytes)
    image_bytes = require(*size_check("WebP", height, width, max_pixels), image_bytes)
    is_extended = tf.reduce_all(header[12:16] == list(b"VP8X"))
    flags = tf.where(is_extended, header[20], 0)

    def decode_animation():
        still, top, left, sides, is_good = _first_frame(image_bytes)
        problem = "animated WebP file is damaged (no whole first frame)"
        is_inside = (top + sides[0] <= height) & (left + sides[1] <= width)
        rgba = _decode(require(is_good & is_inside, problem, still))
        return tf.pad(rgba, [[top, height - top - sides[0]], [left, width - left - sides[1]], [0, 0]])

    is_animated = flags // _ANIMATION % 2 == 1
    image = lay_over(tf.cond(is_animated, decode_animation, lambda: _decode(image_bytes)), background)
    has_exif = (flags // _EXIF % 2 == 1) & holds(image_bytes, "EXIF")
    return tf.cond(has_exif, lambda: _turn(image, image_bytes), lambda: image)


def _decode(image_bytes):
    """Decode a still picture to uint8 (h, w, 4).

    By the operation that decodes any format: every server knows it, where that of WebP alone would keep older ones from
    loading a graph.
    """
    planes = tf.raw_ops.DecodeImage(contents=image_bytes, channels=0, expand_animations=False)
    planes = tf.ensure_shape(planes, (None, None, None))
    missing = 4 - tf.shape(planes)[2]
    return tf.ensure_shape(tf.pad(planes, [[0, 0], [0, 0], [0, missing]], constant_values=255), (None, None, 4))


def _sides(header):
    """Return a picture's height and width, int64 scalars, and whether its first chunk is one that says them."""
    lossy = [little_endian(header, start, 2) % 2**14 for start in (28, 26)]
    bits = little_endian(header, 21, 4)
    lossless = [1 + bits // 2**14 % 2**14, 1 + bits % 2**14]
    extended = [1 + little_endian(header, start, 3) for start in (27, 24)]
    names = tf.constant([list(b"VP8 "), list(b"VP8L"), list(b"VP8X")], tf.int64)
    is_it = tf.reduce_all(header[12:16] == names, axis=1)
    sides = tf.stack([lossy, lossless, extended])[tf.argmax(tf.cast(is_it, tf.int32))]
    return sides[0], sides[1], tf.reduce_any(is_it)


def _first_frame(image_bytes):
    """Make a still picture of an animation's first frame: TensorFlow writes behind its memory where it decodes one.

    Returns:
        (string scalar; int64 scalars: the frame's top and left on the canvas; int64 (2,): its height and width; bool:
        whether there is a whole frame.)
    """
    frame = find_webp_chunk(image_bytes, _CHUNKS, b"ANMF")
    header = read_header(frame)
    left, top, width, height = (little_endian(header, start, 3) for start in (0, 3, 6, 9))
    picture = cut_out(frame, _FRAME_HEADER)
    name = tf.strings.substr(picture, 0, 4)
    # An extended header is needed with an alpha chunk in front of the pixels, and says no more than that.
    sides = [cut_out(frame, start, 3) for start in (6, 9)]
    extended = tf.strings.join([b"VP8X\x0a\0\0\0", bytes([_ALPHA, 0, 0, 0]), *sides])
    is_bare = tf.reduce_any(name == [b"VP8 ", b"VP8L"])
    chunks = tf.strings.join([b"WEBP", tf.where(is_bare, "", extended), picture])
    length = tf.strings.length(chunks)
    bytes_of_length = tf.bitwise.right_shift(length, [0, 8, 16, 24]) % 256
    letters = tf.constant([bytes([value]) for value in range(256)])
    size = tf.strings.reduce_join(tf.gather(letters, bytes_of_length))
    still = tf.strings.join([b"RIFF", size, chunks])
    sides = tf.stack([height, width]) + 1
    # A bare picture says its sides itself: it must not be larger than what was checked.
    is_good = (is_bare | (name == b"ALPH")) & tf.reduce_all(tf.stack(_sides(read_header(still))[:2]) == sides)
    return still, 2 * top, 2 * left, sides, is_good


@apart
def _turn(image, image_bytes):
    return turn_upright(image, find_webp_chunk(image_bytes, _CHUNKS, b"EXIF"))
