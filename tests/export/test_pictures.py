"""Pictures as files: exact for numbers, small for looking at."""

import io

import numpy as np
import pytest
from PIL import Image

from mmkeras.export import pictures
from mmkeras.export.pictures import LARGEST_DRAWING, ShownPictures, encode_for_show, encode_png
from mmkeras.search import EmbeddingIndex, IndexWriter


def read(content):
    with Image.open(io.BytesIO(content)) as picture:
        return picture.format, np.asarray(picture)


def photograph(size):
    """Smooth shades with a little noise, as a photograph has them."""
    waves = np.sin(np.linspace(0, 6, size))[:, None, None] * np.cos(np.linspace(0, 4, size))[None, :, None]
    noise = np.random.default_rng(0).normal(0, 4, (size, size, 3))
    return np.clip(128 + 100 * waves * [1, 0.8, 0.6] + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [3, 1])
def test_a_png_keeps_every_pixel(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    kind, found = read(encode_png(pixels))
    assert kind == "PNG"
    np.testing.assert_array_equal(found.reshape(pixels.shape), pixels)


@pytest.mark.parametrize("shape", [(32, 32, 1), (64, 64, 3), (LARGEST_DRAWING, 20, 3)])
def test_a_drawing_is_shown_as_it_is(shape):
    drawing = np.zeros(shape, np.uint8)
    drawing[4:9] = 255
    suffix, content = encode_for_show(drawing)
    kind, found = read(content)
    assert (suffix, kind) == (".png", "PNG")
    np.testing.assert_array_equal(found.reshape(shape), drawing)


def test_a_photograph_is_small_and_looks_the_same():
    pixels = photograph(224)
    suffix, content = encode_for_show(pixels)
    kind, found = read(content)
    assert (suffix, kind, found.shape) == (".jpg", "JPEG", (224, 224, 3))
    assert len(content) < len(encode_png(pixels)) / 4
    assert np.abs(found.astype(int) - pixels).mean() < 5


def test_a_long_narrow_or_grey_picture_is_a_photograph_too():
    for shape, mode in (((20, LARGEST_DRAWING + 1, 3), "RGB"), ((80, 80, 1), "L")):
        suffix, content = encode_for_show(np.full(shape, 90, np.uint8))
        with Image.open(io.BytesIO(content)) as picture:
            assert (suffix, picture.format, picture.mode) == (".jpg", "JPEG", mode)
            assert (picture.height, picture.width) == shape[:2]


def test_pictures_are_made_once_some_at_a_time(monkeypatch, tmp_path):
    """An index of them asks whether each is there, which makes none."""

    class Pictures:
        """An array that notes which rows were looked at together."""

        def __init__(self):
            self.array, self.looked = np.arange(150, dtype=np.uint8)[:, None, None, None] * np.ones(3, np.uint8), []

        def __getitem__(self, rows):
            self.looked.append(rows.tolist())
            return self.array[rows]

    made = []
    monkeypatch.setattr(pictures, "encode_for_show", lambda image: made.append(image) or encode_for_show(image))
    source = Pictures()
    items = [{"id": str(row), "text": "a grey", "picture": f"{row}.png"} for row in range(150)]
    shown = ShownPictures({item["picture"]: row for row, item in enumerate(items)}, source)
    IndexWriter("space").write(tmp_path / "index", items, image_embeddings=np.eye(150), pictures=shown)
    assert len(made) == 150
    assert source.looked == [list(range(64)), list(range(64, 128)), list(range(128, 150))]
    index = EmbeddingIndex(tmp_path / "index")
    assert read(index.picture(index.items[149]))[1].ravel().tolist() == [149] * 3
    assert "150.png" not in shown and "0.png" in shown
