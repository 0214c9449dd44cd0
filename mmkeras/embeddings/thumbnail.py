"""Small pictures to be looked at beside what was found."""

from __future__ import annotations

import io
import warnings

SIDE = 256  # pixels of the longer side
_DRAWING = 64  # up to so many pixels a picture may be a drawing, which a PNG keeps sharp
_QUALITY = 85
_MOST_PIXELS = 100_000_000


def thumbnail(content: bytes) -> bytes | None:
    """Return an encoded picture of at most 256 pixels a side, upright, in front of white; `None` of what is none.

    Args:
        content: an encoded picture in a format that Pillow reads.

    Returns:
        bytes of a JPEG; of pictures up to 64 pixels a side of a PNG.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content)) as picture:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            if picture.width * picture.height > _MOST_PIXELS:
                return None
            picture.draft(
                "RGB", (2 * SIDE, 2 * SIDE)
            )  # a JPEG is decoded in an eighth of its size where that is enough
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
            upright.thumbnail((SIDE, SIDE))
            shown = Image.new("RGB", upright.size, "white")
            shown.paste(upright, mask=upright.getchannel("A"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, MemoryError):
        return None
    buffer = io.BytesIO()
    if max(shown.size) <= _DRAWING:
        shown.save(buffer, "PNG")
    else:
        shown.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
