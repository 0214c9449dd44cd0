"""Pictures as files: without loss where numbers depend on them, small where somebody looks at them."""

import io
from collections.abc import Mapping

import numpy as np
from PIL import Image

# Pixels on a side. Up to here a picture may be a drawing, which a PNG keeps sharp in a few hundred bytes.
LARGEST_DRAWING = 64
_QUALITY = 85
_CHUNK = 64  # pictures that are decoded at a time


def encode_png(image):
    """Encode a uint8 picture (H, W, C) as PNG bytes."""
    return _encoded(image, "PNG")


def encode_for_show(image):
    """Return (suffix, bytes) of a uint8 picture (H, W, C) that is to be looked at.

    A PNG up to `LARGEST_DRAWING`, else a JPEG, a photograph in about a sixth of the bytes.
    """
    suffix = suffix_for_show(*image.shape[:2])
    return suffix, _encoded(image, "PNG") if suffix == ".png" else _encoded(image, "JPEG", quality=_QUALITY)


def suffix_for_show(height, width):
    """Return `.png` or `.jpg`, as what `encode_for_show` makes of pictures of a size is named."""
    return ".png" if max(height, width) <= LARGEST_DRAWING else ".jpg"


class ShownPictures(Mapping):
    """Encoded pictures by name, each made when it is asked for; `items()` makes some at a time, and keeps none.

    Args:
        rows: dict from a name to a row of `pictures`.
        pictures: uint8 array (P, H, W, C), or `StoredPictures`.
    """

    def __init__(self, rows, pictures):
        self.rows = rows
        self.pictures = pictures

    def __len__(self):
        return len(self.rows)

    def __iter__(self):
        return iter(self.rows)

    def __contains__(self, name):
        return name in self.rows  # a mapping's own way would make the picture

    def __getitem__(self, name):
        return encode_for_show(self.pictures[self.rows[name]])[1]

    def items(self):
        names = list(self.rows)
        for start in range(0, len(names), _CHUNK):
            chunk = names[start : start + _CHUNK]
            pictures = np.asarray(self.pictures[np.array([self.rows[name] for name in chunk])])
            for name, picture in zip(chunk, pictures, strict=True):
                yield name, encode_for_show(picture)[1]


def _encoded(image, kind, **settings):
    buffer = io.BytesIO()
    image = np.ascontiguousarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    Image.fromarray(image).save(buffer, kind, **settings)
    return buffer.getvalue()
