"""Pictures to look at without any data set: landscapes that are like photographs, and glyphs of 32 px."""

import functools
import importlib.util
import io
import math
import unicodedata
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

# Of a scene: the sky above and at the horizon, what lies before it, near and far.
SCENES = {
    "a calm sea at noon": ((64, 140, 220), (190, 225, 245), (20, 90, 140), (60, 140, 180), "sea"),
    "the sea in the evening": ((60, 50, 110), (250, 160, 100), (40, 40, 80), (150, 90, 100), "sea"),
    "green hills in the morning": ((120, 180, 230), (240, 240, 225), (60, 120, 50), (140, 180, 120), "hills"),
    "hills in autumn": ((150, 180, 210), (245, 225, 190), (150, 80, 30), (205, 150, 80), "hills"),
    "snow on the mountains": ((80, 130, 200), (220, 232, 245), (225, 232, 240), (160, 180, 205), "mountains"),
    "mountains at night": ((10, 14, 40), (40, 50, 100), (14, 18, 34), (34, 40, 72), "mountains"),
    "dunes in the desert": ((90, 160, 220), (245, 225, 190), (215, 150, 80), (235, 190, 130), "desert"),
    "a city in the rain": ((90, 100, 115), (170, 180, 190), (50, 55, 65), (100, 108, 120), "city"),
    "a city at dusk": ((70, 60, 120), (240, 150, 120), (30, 28, 50), (80, 66, 100), "city"),
}
SIZES = [(320, 240), (240, 320), (300, 300), (360, 220)]


def landscape(place: int) -> tuple[bytes, str, str]:
    """Return (JPEG, caption, category) of a scene; `place` chooses which, and how it is drawn."""
    caption, (above, horizon, near, far, category) = list(SCENES.items())[place % len(SCENES)]
    draws = np.random.default_rng(place)
    width, height = SIZES[place // len(SCENES) % len(SIZES)]
    ground = int(height * draws.uniform(0.45, 0.62))
    down = np.linspace(0, 1, height)[:, None, None]
    sky = np.asarray(above) * (1 - down) + np.asarray(horizon) * down
    picture = Image.fromarray(np.broadcast_to(sky, (height, width, 3)).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    radius, x = draws.integers(10, 24), draws.integers(30, width - 30)
    pen.ellipse((x - radius, ground - 70 - radius, x + radius, ground - 70 + radius), fill=(255, 244, 214))
    picture = picture.filter(ImageFilter.GaussianBlur(3))
    pen = ImageDraw.Draw(picture)
    for layer in range(4):
        share = layer / 3
        colour = tuple(int(f * (1 - share) + n * share) for f, n in zip(far, near, strict=True))
        base = ground + layer * (height - ground) // 5
        if category == "city":
            for left in range(0, width, 26):
                top = base - int(draws.integers(10, 90) * (1 - share / 2))
                pen.rectangle((left, top, left + 22, height), fill=colour)
        else:
            swing = {"sea": 2, "desert": 16, "hills": 24, "mountains": 46}[category]
            phase, waves = draws.uniform(0, 6), draws.uniform(1.2, 2.6)
            heights = [base - swing * math.sin(phase + waves * math.pi * at / width) for at in range(width)]
            if category == "mountains":
                heights = [h + 9 * math.sin(at / 7) for at, h in enumerate(heights)]
            pen.polygon([(0, height), *enumerate(heights), (width, height)], fill=colour)
    grain = draws.normal(0, 5, (height, width, 1))
    pixels = np.clip(np.asarray(picture.filter(ImageFilter.GaussianBlur(0.7)), np.float32) + grain, 0, 255)
    return encoded(Image.fromarray(pixels.astype(np.uint8)), "JPEG", quality=88), caption, category


def glyph(character: str) -> tuple[bytes, str]:
    """Return (PNG of 32 px, name) of a character."""
    picture = Image.new("L", (32, 32), 255)
    ImageDraw.Draw(picture).text((16, 16), character, font=_font(), fill=0, anchor="mm")
    return encoded(picture, "PNG"), unicodedata.name(character).lower()


@functools.cache
def _font():
    (folder,) = importlib.util.find_spec("matplotlib").submodule_search_locations
    return ImageFont.truetype(Path(folder) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf", 24)


def encoded(picture: Image.Image, kind: str, **settings) -> bytes:
    """Return a picture as the bytes of a file."""
    stream = io.BytesIO()
    picture.save(stream, kind, **settings)
    return stream.getvalue()
