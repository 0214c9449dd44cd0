"""Drawing the glyphs: every named character that a DejaVu font can draw, one 32 x 32 picture a font style."""

from __future__ import annotations

import functools
import hashlib
import unicodedata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, __version__, features

from mmkeras.errors import MmkerasError

RENDERING = 1  # raised whenever the drawing changes, so that older caches are made again
PICTURE_SIZE = 32  # px
FONT_SIZE = 26  # px; ascent + descent of DejaVu is 1.164 em, so a line of text just fits the picture
BASELINE = 25  # px from the top: glyphs keep their height above the line, so that o, O and superscript o differ


def font_files():
    """Return the DejaVu font files that matplotlib ships, regular sans first, then by name."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return sorted(folder.glob("DejaVu*.ttf"), key=lambda file: (file.stem != "DejaVuSans", file.stem))


def rendering_key():
    """Return a JSON-serialisable description of everything that the pictures and their names depend on."""
    return {
        "rendering": RENDERING,
        "pillow": __version__,
        "freetype": features.version("freetype2"),
        "unicode": unicodedata.unidata_version,  # a Python release may know names that an older one does not
        "fonts": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in font_files()},
    }


def named_characters(font_file):
    """Return the sorted code points of `font_file` that have a Unicode name and are no separators or controls."""
    from fontTools.ttLib import TTFont

    with TTFont(font_file, lazy=True) as font:
        code_points = sorted(font.getBestCmap())
    return [c for c in code_points if unicodedata.name(chr(c), "") and unicodedata.category(chr(c))[0] not in "ZC"]


def draw(character, font_file, size=FONT_SIZE):
    """Draw one character, black on white.

    It is centred by its ink and stands on the common baseline; one that does not fit is shifted, then shrunk.

    Returns:
        uint8 array (32, 32); 0 is ink, 255 is paper.
    """
    font = _font(str(font_file), size)
    left, top, right, bottom = font.getbbox(character, anchor="ls")
    width, height = right - left, bottom - top
    if max(width, height) > PICTURE_SIZE:
        return draw(character, font_file, min(size - 1, size * PICTURE_SIZE // max(width, height)))
    picture = Image.new("L", (PICTURE_SIZE, PICTURE_SIZE), 255)
    x = (PICTURE_SIZE - width) // 2 - left
    y = min(max(BASELINE, -top), PICTURE_SIZE - bottom)
    ImageDraw.Draw(picture).text((x, y), character, fill=0, font=font, anchor="ls")
    return np.asarray(picture)


@functools.lru_cache(maxsize=32)
def _font(file, size):
    # The basic layout engine is in every Pillow build; Raqm is not, and shapes some characters differently.
    return ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC)


def render_all():
    """Render every character in every style that has it; blank pictures are left out (they show nothing to learn).

    Returns:
        dict of arrays: `pixels` uint8 (P, 32, 32); `code_point` int32 (P,); `style` int8 (P,), an index into
        `style_name` (S,) str.
    """
    files = font_files()
    pixels, code_points, styles = [], [], []
    for style, file in enumerate(files):
        for code_point in named_characters(file):
            picture = draw(chr(code_point), file)
            if picture.min() < 128:
                pixels.append(picture)
                code_points.append(code_point)
                styles.append(style)
    return {
        "pixels": np.stack(pixels),
        "code_point": np.array(code_points, np.int32),
        "style": np.array(styles, np.int8),
        "style_name": np.array([file.stem for file in files]),
    }


def contact_sheet(pictures: NDArray[np.uint8], columns: int = 32, margin: int = 2) -> Image.Image:
    """Lay pictures out in rows, for a look at a whole data set at once.

    Args:
        pictures: uint8 array (N, H, W) or (N, H, W, 3).
        columns: pictures a row.
        margin: px of grey between pictures.

    Returns:
        A `PIL.Image.Image`.

    Raises:
        MmkerasError: no pictures, or not of these shapes.
    """
    pictures = np.asarray(pictures)
    if pictures.ndim not in (3, 4) or not pictures.size:
        raise MmkerasError(f"Expected pictures of shape (N, H, W) or (N, H, W, 3). Received: shape {pictures.shape}")
    height, width = pictures.shape[1:3]
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (height + margin), columns * (width + margin), *pictures.shape[3:]), 208, np.uint8)
    for position, picture in enumerate(pictures):
        y, x = (position // columns) * (height + margin), (position % columns) * (width + margin)
        sheet[y : y + height, x : x + width] = picture
    return Image.fromarray(sheet)
