"""Decodes JPEG pictures inside a TensorFlow graph, after a look at their header, and tells those that were cut off."""

import random

import tensorflow as tf

from mmkeras.preprocessing.image_header import apart, cut_out, holds, size_check
from mmkeras.preprocessing.jpeg_scans import find_end, has_all_scans
from mmkeras.preprocessing.jpeg_segments import read_segments
from mmkeras.preprocessing.orientation import MAY_TURN, turn_upright

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
    in_place = tf.strings.substr(image_bytes, tf.strings.length(image_bytes) - 2, 2) == _END  # there are three bytes
    is_whole = tf.cond(in_place, lambda: True, lambda: _has_end(image_bytes))
    image_bytes = require(is_whole, "JPEG file is truncated (no end marker)", image_bytes)
    shape = tf.image.extract_jpeg_shape(image_bytes, tf.int64)
    image_bytes = require(*size_check("JPEG", shape[0], shape[1], max_pixels), image_bytes)
    # To walk through the segments takes longer than to decode a small picture: most say at once that they are plain.
    exif, is_split, is_whole = tf.cond(
        _is_plain(tf.strings.substr(image_bytes, 0, _BEGINNING)),
        lambda: (0, False, True),
        lambda: _look_into(image_bytes, header, shape[2]),
    )
    image_bytes = require(is_whole, "JPEG file is truncated (its header or its scans are not complete)", image_bytes)
    image = _decode(image_bytes)
    may_lack_end = is_split | _ends_grey(image, shape)
    image, is_whole = tf.cond(
        may_lack_end | (exif > 0) | (shape[2] == 4),
        lambda: _finish(image, image_bytes, exif, may_lack_end, shape),
        lambda: (image, True),
    )
    return require(is_whole, "JPEG file is truncated (its data end before its pixels)", image)


def _is_plain(beginning):
    """Say whether a header is that of a JPEG in one sequential scan, without EXIF."""
    return tf.strings.regex_full_match(beginning, _PLAIN) & ~holds(beginning, r"Exif\x00\x00")


def _decode(image_bytes):
    return tf.io.decode_jpeg(image_bytes, channels=3, dct_method="INTEGER_ACCURATE", fancy_upscaling=True)


def _last_luma(image, shape):
    """Return the luma of the last block of 8 x 8 pixels, in thousandths; it may have fewer pixels."""
    block = tf.slice(image, tf.bitwise.bitwise_and(shape - 1, [-_BLOCK, -_BLOCK, 0]), [-1, -1, -1])
    return tf.reduce_sum(tf.cast(block, tf.int32) * [299, 587, 114], axis=-1)


def _ends_grey(image, shape):
    """Say whether the last block looks as the decoder leaves it where there are no data: flat, of middle grey."""
    return tf.reduce_max(tf.abs(_last_luma(image, shape) - _MEAN)) <= _ROUNDING


def _ends_flat(image, shape):
    """Say whether the last block has one colour, as what is missing has in a picture of four components."""
    luma = _last_luma(image, shape)
    return (shape[2] == 4) & (tf.reduce_max(luma) - tf.reduce_min(luma) <= _ROUNDING)


@apart
def _has_end(image_bytes):
    return find_end(image_bytes, read_segments(image_bytes).scan) >= 0


@apart
def _look_into(image_bytes, header, components):
    """Look at a JPEG's segments.

    Returns:
        int32 scalar: where EXIF stands that may turn the picture, or 0 for nowhere. bool scalars: whether several scans
        of sequential data hold a component each; whether there is a scan, and of a progressive picture every scan.
    """
    # EXIF where cameras and libraries put it, first or behind JFIF, and nothing else in front of the pixels.
    place = tf.where(header[3] == 0xE0, 20, 2)
    head = tf.slice(header, [place], [10])
    is_exif = tf.reduce_all(tf.gather(head, [0, 1, 4, 5, 6, 7, 8, 9]) == list(b"\xff\xe1Exif\0\0"))
    length = tf.cast(256 * head[2] + head[3], tf.int32)
    is_usual = is_exif & _is_plain(cut_out(image_bytes, place + length, _BEGINNING))
    may_turn = holds(cut_out(image_bytes, place + 4, length - 2), MAY_TURN)
    return tf.cond(
        is_usual,
        lambda: (tf.where(may_turn, place, 0), False, True),
        lambda: _walk(image_bytes, tf.cast(components, tf.int32)),
    )


@apart
def _walk(image_bytes, components):
    """Return what `_look_into` returns, by a walk through all segments."""
    segments = read_segments(image_bytes)
    is_whole = tf.cond(
        segments.is_progressive, lambda: has_all_scans(image_bytes, segments.scan, components), lambda: True
    )
    is_split = segments.is_sequential & (segments.components != components)
    return segments.exif, is_split, (segments.scan >= 0) & is_whole


@apart
def _finish(image, image_bytes, exif, may_lack_end, shape):
    """Turn a picture as its EXIF asks, and say whether all of its data are there."""
    may_lack_end |= _ends_flat(image, shape)
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
