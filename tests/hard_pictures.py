"""Pictures as phones and broken downloads leave them, made with Pillow, which shares no code with TensorFlow."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

BIG, LITTLE = ">", "<"
_VALUES = {1: "B3x", 2: "B3x", 3: "H2x", 4: "I", 5: "I", 6: "b3x", 7: "B3x", 8: "h2x", 9: "i", 12: "I", 13: "I"}


def shades(height=23, width=37):
    """A picture of which no two corners look alike; smooth, so that lossy formats keep it."""
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([x * 180 // width, y * 200 // height, (x + y) * 4 % 256 // 2], -1).astype(np.uint8))


def photograph(height, width, seed=0):
    """Waves with a little noise: every block of the picture has something in it."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / random.uniform(5, 40) + y / random.uniform(5, 40)) for _ in range(3)]
    pixels = 128 + 90 * np.stack(waves, -1) + random.normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def encoded(picture, kind, **options):
    """A Pillow picture as a file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def exif(orientation, order=BIG, kind=3, count=1, offset=8, entries=1):
    """EXIF (from its TIFF header) of one directory with one entry, the orientation."""
    head = (b"MM\0*" if order == BIG else b"II*\0") + struct.pack(order + "I", offset)
    entry = struct.pack(order + "HHI" + _VALUES[kind], 0x0112, kind, count, orientation)
    return head + struct.pack(order + "H", entries) + entry + bytes(4)


def app1(data):
    """An APP1 segment of EXIF."""
    return b"\xff\xe1" + struct.pack(">H", len(data) + 8) + b"Exif\0\0" + data


def jpeg_with(segments, place="first", picture=None, **options):
    """A JPEG with segments behind its start, behind JFIF's own, or in front of its scan."""
    content = encoded(picture or shades(), "JPEG", quality=95, **options)
    at = {"first": 2, "second": 20, "last": content.index(b"\xff\xda")}[place]
    return content[:at] + segments + content[at:]


def png_with(data, behind_pixels=False):
    """A PNG with an eXIf chunk."""
    content = encoded(shades(), "PNG")
    at = content.index(b"IEND") - 4 if behind_pixels else 33
    chunk = b"eXIf" + data
    chunk = struct.pack(">I", len(data)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return content[:at] + chunk + content[at:]


def webp_with(data, **options):
    """A WebP with an EXIF chunk, without loss."""
    return encoded(shades(), "WEBP", exif=b"Exif\0\0" + data, **{"lossless": True, **options})


def cut_jpeg(content, share):
    """A JPEG of which a share of what follows its header is left, with an end marker again."""
    start = content.rindex(b"\xff\xda") + 20  # the first one may be a preview's
    return content[: start + int((len(content) - start) * share)].rstrip(b"\xff") + b"\xff\xd9"


def small_gif():
    """A GIF below 307 bytes that names no transparent colour: it has no graphic control extension."""
    picture = Image.new("P", (30, 20))
    picture.putpalette([200, 30, 10, 10, 30, 200])
    picture.paste(1, (0, 0, 30, 7))
    content = encoded(picture, "GIF")
    assert len(content) < 307 and b"\x21\xf9" not in content
    return content
