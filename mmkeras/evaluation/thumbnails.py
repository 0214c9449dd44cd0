"""Small pictures within a page."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL = 224  # px; shown at somewhat less
DRAWING = 64  # px; a picture with no longer side is a drawing, whose pixels are shown as they are
PNG_BYTES = 6000  # above it, a photograph: JPEG keeps a report of some hundred pictures below 2 MB


def data_uri(image: NDArray[np.uint8], longest: int = THUMBNAIL) -> str:
    """Return a picture as a data URI, no edge longer than `longest` px.

    Args:
        image: uint8 (H, W, 3) or (H, W, 1).
        longest: the most px of an edge.
    """
    picture = Image.fromarray(np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image))
    picture.thumbnail((longest, longest))
    if len(encoded := _encoded(picture, "PNG", optimize=True)) <= PNG_BYTES:
        return "data:image/png;base64," + base64.b64encode(encoded).decode()
    return "data:image/jpeg;base64," + base64.b64encode(_encoded(picture.convert("RGB"), "JPEG", quality=80)).decode()


def _encoded(picture, kind, **settings):
    stream = io.BytesIO()
    picture.save(stream, kind, **settings)
    return stream.getvalue()
