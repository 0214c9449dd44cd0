"""Refuses what is no picture of a format that is read, by the name of what it is."""

import tensorflow as tf

from mmkeras.preprocessing.image_header import READ

_ANY = -1
_SIGNATURE_BYTES = 24
# (name, where the bytes stand, the bytes); the first that matches tells.
_SIGNATURES = (
    ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"),
    ("TIFF", 0, b"II+\0"),
    ("TIFF", 0, b"MM\0+"),
    ("AVIF", 4, b"ftypavi"),
    ("HEIC", 4, b"ftyphe"),
    ("HEIC", 4, b"ftypmif1"),
    ("HEIC", 4, b"ftypmsf1"),
    ("Canon raw", 4, b"ftypcrx"),
    ("video", 4, b"ftyp"),
    ("JPEG XL", 0, b"\xff\x0a"),
    ("JPEG XL", 0, b"\0\0\0\x0cJXL \r\n\x87\n"),
    ("JPEG 2000", 0, b"\0\0\0\x0cjP  \r\n\x87\n"),
    ("JPEG 2000", 0, b"\xff\x4f\xff\x51"),
    ("icon (ICO)", 0, b"\0\0\1\0"),
    ("cursor (CUR)", 0, b"\0\0\2\0"),
    ("Photoshop (PSD)", 0, b"8BPS"),
    ("OpenEXR", 0, b"v/1\1"),
    ("DirectDraw surface (DDS)", 0, b"DDS "),
    ("Radiance HDR", 0, b"#?RADIANCE"),
    ("QOI", 0, b"qoif"),
    ("PDF", 0, b"%PDF"),
    ("PostScript", 0, b"%!PS"),
    ("gzip", 0, b"\x1f\x8b"),
    ("zip", 0, b"PK\3\4"),
    ("zip", 0, b"PK\5\6"),
    ("bzip2", 0, b"BZh"),
    ("xz", 0, b"\xfd7zXZ\0"),
    ("Zstandard", 0, b"\x28\xb5\x2f\xfd"),
    ("7z", 0, b"7z\xbc\xaf\x27\x1c"),
    ("RAR", 0, b"Rar!\x1a\7"),
    ("HDF5", 0, b"\x89HDF\r\n\x1a\n"),
    ("NumPy", 0, b"\x93NUMPY"),
    ("Python pickle", 0, b"\x80\4\x95"),
    ("video (Matroska)", 0, b"\x1a\x45\xdf\xa3"),
    ("RIFF (no WebP in it)", 0, b"RIFF"),
    ("PNG with line ends changed on its way", 0, b"\x89PNG"),
    ("Git LFS pointer", 0, b"version https://git-lfs"),
)
# (name, RE2 pattern of the whole beginning), for those that are text; in the order in which they are tried.
_TEXT_BYTES = 1024
_SPACE = r"(?is)(\C{3})?[\s]*"  # with the three bytes of a byte order mark
_TEXTS = (
    ("SVG", _SPACE + r"(<\?xml|<!--|<!DOCTYPE svg)?\C*<svg\C*"),
    ("HTML", _SPACE + r"(<!--.*-->\s*|<\?xml[^>]*>\s*)?(<!doctype html|<html|<head|<body|<script|<title)\C*"),
    ("XML", _SPACE + r"<\?xml\C*"),
    ("JSON", r"(?s)\s*[\[{]\s*[\[{\"\]}0-9tfn\-]\C*"),
    ("base64 text", r"(data:image/\C*|iVBORw0KGgo\C*|/9j/[A-Za-z0-9+/=\s]*)"),
    # Any printable characters, and the lone bytes at the end that are a part of one.
    ("text", r"[\PC\s]+\C{0,3}"),
)


def refuse(image_bytes, header, require, max_pixels, background):
    """Fail and say what the bytes are, as far as their beginning tells, and what is read."""
    size = tf.as_string(tf.strings.length(image_bytes))
    received = ["expected a ", READ, " picture; received ", size, " bytes", _kind(image_bytes, header)]
    image_bytes = require(tf.constant(False), tf.strings.join(received), image_bytes)
    return tf.io.decode_png(image_bytes, channels=3)


def _kind(image_bytes, header):
    """Return the end of a sentence about bytes: a string scalar, " of TIFF", or "" where there are none."""
    beginning = tf.strings.substr(image_bytes, 0, _TEXT_BYTES)
    names = [name for name, _, _ in _SIGNATURES] + [name for name, _ in _TEXTS]
    table = [
        [_ANY] * start + list(signature) + [_ANY] * (_SIGNATURE_BYTES - start - len(signature))
        for _, start, signature in _SIGNATURES
    ]
    is_signature = tf.reduce_all((table == header[:_SIGNATURE_BYTES]) | (tf.constant(table) == _ANY), axis=1)
    is_text = tf.stack([tf.strings.regex_full_match(beginning, pattern) for _, pattern in _TEXTS])
    matches = tf.concat([is_signature, is_text, [True]], axis=0)
    names = tf.constant([f" of {name}" for name in names] + [" of another kind"])
    kind = names[tf.argmax(tf.cast(matches, tf.int32))]  # the first that matches
    return tf.where(tf.strings.length(image_bytes) == 0, ": the file is empty", kind)
