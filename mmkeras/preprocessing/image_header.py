"""Reads picture headers inside a TensorFlow graph, so that a size is known before anything is decoded.

TensorFlow's decoders allocate what the header asks for: a PNG file of 1.7 MB can cost 2 GB. Every function here works
on a scalar string tensor, in `tf.data`, in an exported graph and eagerly, and none of them can fail: a bare session,
such as a server runs, computes what a conditional's branches take whichever of them it goes into.
"""

import tensorflow as tf

HEADER_BYTES = 72
JPEG, PNG, GIF, BMP, WEBP, UNKNOWN = range(6)
READ = "JPEG, PNG, GIF, BMP or WebP"
# No JPEG or GIF can be longer; a PNG or BMP of one pixel by millions would make a resize's intermediate huge.
MAX_SIDE = 65_535

_ANY = -1
_SIGNATURES = (
    (0xFF, 0xD8, 0xFF, *(_ANY,) * 9),
    (0x89, *b"PNG\r\n\x1a\n", *(_ANY,) * 4),
    (*b"GIF8", _ANY, 0x61, *(_ANY,) * 6),
    (*b"BM", *(_ANY,) * 10),
    (*b"RIFF", *(_ANY,) * 4, *b"WEBP"),
    (_ANY,) * 12,
)


def read_header(image_bytes):
    """Return the first `HEADER_BYTES` bytes as int64, with zeros behind the end of a shorter string."""
    return tf.cast(tf.io.decode_raw(image_bytes, tf.uint8, fixed_length=HEADER_BYTES), tf.int64)


def image_format(header):
    """Return `JPEG`, `PNG`, `GIF`, `BMP`, `WEBP` or `UNKNOWN` as an int32 scalar, from the signature alone."""
    table = tf.constant(_SIGNATURES, tf.int64)
    matches = tf.reduce_all((table == header[:12]) | (table == _ANY), axis=1)
    return tf.argmax(tf.cast(matches, tf.int32), output_type=tf.int32)  # the first that matches


def big_endian(header, start, count):
    """Return the unsigned big-endian integer in `header[start:start + count]`."""
    return tf.reduce_sum(header[start : start + count] * [256**k for k in reversed(range(count))])


def little_endian(header, start, count):
    """Return the unsigned little-endian integer in `header[start:start + count]`."""
    return tf.reduce_sum(header[start : start + count] * [256**k for k in range(count)])


def apart(function):
    """Make a function that a graph calls in place of containing it, for a branch that is seldom taken.

    Of a branch that it contains, TensorFlow walks through the operations at every picture, taken or not.
    """
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})


def cut_out(string, start, count=None):
    """Return `count` bytes of a string from `start`, or all of them from there; as many as there are.

    `tf.strings.substr` fails where the start is outside of the string.
    """
    length = tf.strings.length(string)
    start = tf.clip_by_value(start, 0, length)
    return tf.strings.substr(string, start, length if count is None else tf.maximum(count, 0))


def holds(string, pattern):
    """Say whether a string holds what a regular expression of RE2 matches: bool scalar. It takes a few microseconds.

    A replacement looks for the first byte as fast as memory is read; a full match would walk through automata.
    """
    without = tf.strings.regex_replace(string, pattern, "", replace_global=False)
    return tf.strings.length(without) < tf.strings.length(string)


def size_check(kind, height, width, max_pixels):
    """Return whether a picture of this size may be decoded, and the message where not."""
    received = [f"{kind} of ", tf.as_string(width), " x ", tf.as_string(height), " pixels"]
    allowed = f"; expected at least 1 x 1, at most max_pixels={max_pixels} in all and {MAX_SIDE} a side"
    is_small = (tf.maximum(height, width) <= MAX_SIDE) & (height * width <= max_pixels)
    return is_small & (tf.minimum(height, width) > 0), tf.strings.join([*received, allowed])
