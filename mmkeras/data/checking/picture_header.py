"""`PictureHeader`: what the first bytes of a picture say of it, read in Python, without decoding a pixel."""

from __future__ import annotations

import struct
from typing import NamedTuple

COLOUR, GREY, ALPHA = "colour", "grey", "with transparency"


class PictureHeader(NamedTuple):
    """What stands in the header of a JPEG, PNG, GIF, BMP or WebP.

    Args:
        format: `JPEG`, `PNG`, `GIF`, `BMP` or `WebP`; `""` for what is none of them.
        width, height: in pixels, upright: as the orientation turns it; 0 where the bytes do not say.
        colour: `COLOUR`, `GREY` or `ALPHA`; `""` where the bytes do not say.
        orientation: the EXIF tag, 1 to 8; 1 where there is none.
    """

    format: str = ""
    width: int = 0
    height: int = 0
    colour: str = ""
    orientation: int = 1


def read_picture_header(content: bytes) -> PictureHeader:
    """Return the header of a picture.

    Args:
        content: the encoded picture, or its beginning. Some kilobytes tell the size of nearly every picture; large EXIF
            or colour profiles may stand before that of a JPEG, and the EXIF of a PNG or a WebP behind its pixels.
    """
    for signature, read in _READERS:
        if content.startswith(signature):
            try:
                return _upright(read(content))
            except (struct.error, IndexError):  # cut off
                return PictureHeader(_NAMES[signature])
    return PictureHeader()


def _jpeg(content):
    header = PictureHeader("JPEG")
    place = 2
    while place + 4 <= len(content):
        if content[place] != 0xFF:
            place += 1
            continue
        marker = content[place + 1]
        if marker in (0xFF, 0x00, 0x01) or 0xD0 <= marker <= 0xD8:  # fill bytes and markers without a length
            place += 1 if marker == 0xFF else 2
            continue
        if marker in (0xD9, 0xDA):
            break
        (length,) = struct.unpack_from(">H", content, place + 2)
        if marker == 0xE1 and content[place + 4 : place + 10] == b"Exif\0\0" and header.orientation == 1:
            header = header._replace(orientation=_orientation(content[place + 10 : place + 2 + length]))
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width, components = struct.unpack_from(">HHB", content, place + 5)
            return header._replace(width=width, height=height, colour=GREY if components == 1 else COLOUR)
        place += 2 + length
    return header


def _png(content):
    width, height, _, kind = struct.unpack_from(">IIBB", content, 16)
    colour = GREY if kind == 0 else ALPHA if kind in (4, 6) else COLOUR
    orientation, place = 1, 8
    while place + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        if name == b"tRNS" and kind == 3:  # the colour key of other kinds is drawn
            colour = ALPHA
        elif name == b"eXIf":
            orientation = _orientation(content[place + 8 : place + 8 + length])
        place += 12 + length
    return PictureHeader("PNG", width, height, colour, orientation)


def _gif(content):
    return PictureHeader("GIF", *struct.unpack_from("<HH", content, 6), COLOUR)


def _bmp(content):
    (size,) = struct.unpack_from("<I", content, 14)
    width, height = struct.unpack_from("<HH" if size == 12 else "<ii", content, 18)
    return PictureHeader("BMP", abs(width), abs(height), COLOUR)


def _webp(content):
    if content[8:12] != b"WEBP":
        return PictureHeader()
    kind = content[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return PictureHeader("WebP", width & 0x3FFF, height & 0x3FFF, COLOUR)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        alpha = ALPHA if bits >> 28 & 1 else COLOUR
        return PictureHeader("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, alpha)
    width, height = (1 + int.from_bytes(content[start : start + 3], "little") for start in (24, 27))
    orientation, place = 1, 12
    while place + 8 <= len(content):
        name, length = struct.unpack_from("<4sI", content, place)
        if name == b"EXIF":
            orientation = _orientation(content[place + 8 : place + 8 + length].removeprefix(b"Exif\0\0"))
        place += 8 + length + length % 2
    return PictureHeader("WebP", width, height, ALPHA if content[20] & 0x10 else COLOUR, orientation)


def _orientation(exif):
    """The orientation of the first directory of EXIF, 1 where there is none or it is damaged."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(entries):
            tag, kind, _ = struct.unpack_from(f"{order}HHI", exif, start + 2 + 12 * entry)
            if tag == 0x0112:
                form = {3: "H", 4: "I"}.get(kind, "H")
                (value,) = struct.unpack_from(f"{order}{form}", exif, start + 10 + 12 * entry)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def _upright(header):
    if header.orientation >= 5:
        return header._replace(width=header.height, height=header.width)
    return header


_READERS = ((b"\xff\xd8\xff", _jpeg), (b"\x89PNG\r\n\x1a\n", _png), (b"GIF8", _gif), (b"BM", _bmp), (b"RIFF", _webp))
_NAMES = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF8": "GIF", b"BM": "BMP", b"RIFF": "WebP"}
