"""Pictures of any kind as pixels, by Pillow: those that `ImagePreprocessor` decodes in a graph."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")  # a phone's MPO is a JPEG to its opener
_ORIENTATION = 0x0112
_MAX_SIDE = 65_535


def decode_picture(picture: Any, name: str, background: int, max_pixels: int) -> NDArray[np.uint8]:
    """Return the pixels of a picture, upright and without transparency.

    Args:
        picture: a path, an encoded picture (bytes), a Pillow image, or a uint8 array (h, w, 3), (h, w, 1) or (h, w).
        name: what messages call it.
        background: int in 0..255, the grey behind transparent pixels.
        max_pixels: the largest height times width that is decoded.

    Returns:
        uint8 (h, w, 3).

    Raises:
        MmkerasError: something else, a file that cannot be read, is no picture of `FORMATS`, too large, cut off or
            damaged.
    """
    if isinstance(picture, np.ndarray):
        shaped = picture.ndim in (2, 3) and picture.shape[2:] in ((), (1,), (3,)) and 0 not in picture.shape
        if picture.dtype != np.uint8 or not shaped:
            raise MmkerasError(
                f"Expected a uint8 array (h, w, 3), (h, w, 1) or (h, w). "
                f"Received: {name} = {picture.dtype} {picture.shape}"
            )
        picture = picture.reshape(*picture.shape[:2], -1)
        return np.broadcast_to(picture, (*picture.shape[:2], 3))
    if isinstance(picture, (str, os.PathLike)):
        name = repr(os.fspath(picture))
        try:
            picture = Path(picture).read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
            reason = getattr(error, "strerror", None) or error
            raise MmkerasError(f"Expected a readable picture file. Received: {name} ({reason})") from error
    if isinstance(picture, (bytes, bytearray, memoryview)):
        picture = _opened(picture, name)
    if not hasattr(picture, "convert"):  # Pillow's, which is not imported for an array
        raise MmkerasError(
            f"Expected a path, bytes, a Pillow image or a uint8 array. Received: {name} = {type(picture).__name__}"
        )
    width, height = picture.size
    if max(width, height) > _MAX_SIDE or width * height > max_pixels:
        raise MmkerasError(f"Expected at most {max_pixels:,} pixels. Received: {name} of {width} x {height}")
    try:
        return _upright(_colours(picture, background), picture.info.get("exif"))
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:  # what Pillow raises of a damaged file
        raise MmkerasError(f"Cannot read {name}: {error}") from error


def _opened(content, name):
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise MmkerasError(f"Cannot read {name}: {error}") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise MmkerasError(
            f"Expected a picture of {', '.join(FORMATS)}. Received: {name}, {len(content)} bytes of another kind"
        ) from error


def _colours(image, background):
    """The pixels of an opened picture over a background, uint8 (h, w, 3)."""
    uncovered = _uncovered(image)
    image.load()
    if image.mode.startswith("I"):  # 16 bits of grey
        grey = np.asarray(image).astype(np.int64).clip(0, 65_535)
        return np.repeat(((grey + 128) // 257).astype(np.uint8)[..., np.newaxis], 3, axis=2)
    has_alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or (
        image.mode == "P" and "transparency" in image.info or image.format == "GIF"
    )
    if not has_alpha:  # a colour key of a PNG is drawn
        return np.asarray(image.convert("RGB"))
    rgba = np.asarray(image.convert("RGBA")).astype(np.int32)
    alpha = rgba[..., 3:]
    pixels = ((rgba[..., :3] * alpha + background * (255 - alpha) + 127) // 255).astype(np.uint8)
    if uncovered is not None:
        pixels[uncovered(pixels.shape)] = 0
    return pixels


def _uncovered(image):
    """What the first frame of a GIF leaves uncovered of its canvas: a function of the shape, or `None`."""
    if image.format != "GIF" or not image.tile:
        return None
    left, top, right, bottom = image.tile[0][1]

    def mask(shape):
        covered = np.zeros(shape[:2], bool)
        covered[top:bottom, left:right] = True
        return ~covered

    return mask


def _upright(pixels, exif):
    """Turn pixels as EXIF asks; damaged EXIF is as good as none."""
    if not exif:
        return pixels
    from PIL import Image

    try:
        directory = Image.Exif()
        directory.load(exif)
        orientation = directory.get(_ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, struct.error, TypeError, KeyError):
        return pixels
    if orientation not in range(2, 9):
        return pixels
    pixels = pixels.swapaxes(0, 1) if orientation >= 5 else pixels
    pixels = pixels[::-1] if orientation in (3, 4, 7, 8) else pixels
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels
