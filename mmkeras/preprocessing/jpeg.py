"""Decodes JPEG pictures inside a TensorFlow graph, after a look at their header, and tells those that were cut off."""

import random

import tensorflow as tf

from mmkeras.preprocessing.image_header import apart, cut_out, holds, size_check
from mmkeras.preprocessing.jpeg_scans import find_end, has_all_scans
from mmkeras.preprocessing.jpeg_segments import read_segments
from mmkeras.preprocessing.orientation import turn_upright

_END = b"\xff\xd9"
_MEAN = 128_000  # the luma of what is missing, in thousandths
_ROUNDING = 2_000
_BLOCK = 8  # pixels
_BEGINNING = 800  # bytes, in which a plain header ends
# No marker begins in it. A zero first: behind a byte 0xFF it makes one of data.
_NOISE = b"\0" + random.Random(0).randbytes(4095).replace(b"\xff", b"\x7f")
# JFIF, a comment, Adobe's transform and quantisation tables; then a frame of eight bits and the one scan of all of its
# components, without progression. RE2 knows no bytes above 0x7F: what stands in their place is not looked at.
_PLAIN = (
    r"\C{2}(\C{2}\x00\x10JFIF\x00\C{9})?(\C{2}\x00[\x03-\x7f][ -~\r\n\x00]*)?(\C{2}\x00\x0eAdobe\C{7})?"
    r"(\C{2}\x00\x43\C{65}|\C{2}\x00\x84\C{130}){1,4}\C{2}"
    r"(\x00\x0b\x08\C{4}\x01\C{3}\C*\C{2}\x00\x08\x01\C{2}|\x00\x11\x08\C{4}\x03\C{9}\C*\C{2}\x00\x0c\x03\C{6})"
    r"\x00\x3f\x00\C*"
)


def decode_jpeg(image_bytes, header, require, max_pixels, background):
    """Decode a JPEG, turned as its EXIF asks; see `image_decoding.decode_image`."""
    in_place = cut_out(image_bytes, tf.strings.length(image_bytes) - 2) == _END
    is_whole = tf.cond(in_place, lambda: True, lambda: _has_end(image_bytes))
    image_bytes = require(is_whole, "JPEG file is truncated (no end marker)", image_bytes)
    shape = tf.image.extract_jpeg_shape(image_bytes, tf.int64)
    image_bytes = require(*size_check("JPEG", shape[0], shape[1], max_pixels), image_bytes)
    image = tf.io.decode_jpeg(image_bytes, channels=3, dct_method="INTEGER_ACCURATE", fancy_upscaling=True)
    # To walk through the segments takes longer than to decode a small picture: most say at once that they are plain.
    beginning = tf.strings.substr(image_bytes, 0, _BEGINNING)
    is_plain = tf.strings.regex_full_match(beginning, _PLAIN) & ~holds(beginning, r"Exif\x00\x00")
    exif, is_split, is_whole = tf.cond(is_plain, lambda: (0, False, True), lambda: _look_into(image_bytes, shape[2]))
    image_bytes = require(is_whole, "JPEG file is truncated (its header or its scans are not complete)", image_bytes)
    image = _decode(image_bytes)
    may_lack_end = is_split | _ends_grey(image, shape[2])
    is_done = (exif == 0) & ~may_lack_end
    image, is_whole = tf.cond(is_done, lambda: (image, True), lambda: _finish(image, image_bytes, exif, may_lack_end))
    return require(is_whole, "JPEG file is truncated (its data end before its pixels)", image)


def _decode(image_bytes):
    return tf.io.decode_jpeg(image_bytes, channels=3, dct_method="INTEGER_ACCURATE", fancy_upscaling=True)


def _ends_grey(image, components):
    """Say whether the last block looks as the decoder leaves it where there are no data: of middle grey, flat.

    Of four components the grey becomes another colour.
    """
    last = tf.maximum(tf.shape(image)[:2] - 1, 0) // _BLOCK * _BLOCK
    luma = tf.reduce_sum(tf.cast(image[last[0] :, last[1] :], tf.int32) * [299, 587, 114], axis=-1)
    low, high = tf.reduce_min(luma), tf.reduce_max(luma)
    is_grey = (low >= _MEAN - _ROUNDING) & (high <= _MEAN + _ROUNDING)
    return is_grey | ((high - low <= _ROUNDING) & (components == 4))


@apart
def _has_end(image_bytes):
    return find_end(image_bytes, read_segments(image_bytes).scan) >= 0


@apart
def _look_into(image_bytes, components):
    """Look at a JPEG's segments.

    Returns:
        int32 scalar: where EXIF stands, or 0 for nowhere. bool scalars: whether several scans of sequential data hold
        a component each; whether there is a scan, and of a progressive picture every scan.
    """
    segments, components = read_segments(image_bytes), tf.cast(components, tf.int32)
    is_whole = tf.cond(
        segments.is_progressive, lambda: has_all_scans(image_bytes, segments.scan, components), lambda: True
    )
    is_split = segments.is_sequential & (segments.components != components)
    return segments.exif, is_split, (segments.scan >= 0) & is_whole


@apart
def _finish(image, image_bytes, exif, may_lack_end):
    """Turn a picture as its EXIF asks, and say whether all of its data are there."""
    is_whole = tf.cond(may_lack_end, lambda: _withstands_noise(image, image_bytes), lambda: tf.constant(True))
    length = tf.io.decode_raw(cut_out(image_bytes, exif + 2, 2), tf.uint8, fixed_length=2)
    length = tf.reduce_sum(tf.cast(length, tf.int32) * [256, 1]) - 2
    data = cut_out(image_bytes, exif + 4, length)
    return tf.cond(exif > 0, lambda: turn_upright(image, data), lambda: image), is_whole


@apart
def _withstands_noise(image, image_bytes):
    """Say whether a picture stays the same with noise behind its data, which is read where more data are needed.

    The decoder fills what is missing with zeros and warns, of which TensorFlow says nothing. Of what is coded
    arithmetically nothing is said here either: its data may rightly be shorter than what is read.
    """
    segments = read_segments(image_bytes)
    end = find_end(image_bytes, segments.scan)
    longer = tf.strings.join([cut_out(image_bytes, 0, end), _NOISE, cut_out(image_bytes, end)])
    is_coded_by_huffman = segments.is_sequential | segments.is_progressive
    return ~is_coded_by_huffman | tf.reduce_all(_decode(longer) == image)
