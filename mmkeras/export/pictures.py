"""Pictures as files: without loss where numbers depend on them, small where somebody looks at them."""

import io

import numpy as np
from PIL import Image

# Pixels on a side. Up to here a picture may be a drawing, which a PNG keeps sharp in a few hundred bytes.
LARGEST_DRAWING = 64
_QUALITY = 85


def encode_png(image):
    """Encode a uint8 picture (H, W, C) as PNG bytes."""
    return _encoded(image, "PNG")


def encode_for_show(image):
    """Return (suffix, bytes) of a uint8 picture (H, W, C) that is to be looked at.

    A PNG up to `LARGEST_DRAWING`, else a JPEG, a photograph in about a sixth of the bytes.
    """
    if max(image.shape[:2]) <= LARGEST_DRAWING:
        return ".png", _encoded(image, "PNG")
    return ".jpg", _encoded(image, "JPEG", quality=_QUALITY)


def _encoded(image, kind, **settings):
    buffer = io.BytesIO()
    image = np.ascontiguousarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    Image.fromarray(image).save(buffer, kind, **settings)
    return buffer.getvalue()
