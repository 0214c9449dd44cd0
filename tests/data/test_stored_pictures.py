"""Data of features show their pictures, which are decoded one by one."""

import json

import numpy as np
import pytest
from PIL import Image

from mmkeras.data import PairedData, load_source
from mmkeras.data.stored_pictures import StoredPictures
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import ImagePreprocessor


class Means:
    """Features as a backbone makes them: a picture's mean of each channel."""

    output_shape = (3,)

    def __init__(self, pixels):
        self.pixels = pixels

    def load(self, pictures):
        return self.pixels.load(pictures).mean(axis=(1, 2), dtype=np.float32)


@pytest.fixture
def file(tmp_path):
    lines = []
    for grey, name in enumerate("abc"):
        Image.new("RGB", (6, 5), (10 * grey, 1, 2)).save(tmp_path / f"{name}.png")
        lines.append(json.dumps({"image": f"{name}.png", "captions": [name]}))
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    return tmp_path / "captions.jsonl"


def test_captions_as_features_with_their_pictures(file):
    data = load_source(file, "all", Means(ImagePreprocessor(4, 4)))
    assert data.images.tolist() == [[0, 1, 2], [10, 1, 2], [20, 1, 2]]
    assert data.pictures[2].tolist() == np.full((4, 4, 3), (20, 1, 2)).tolist()
    turned = data.chosen(np.array([2, 0]), np.arange(3))
    assert [int(picture[0, 0, 0]) for picture in turned.pictures] == [20, 0]
    assert turned.images[:, 0].tolist() == [20, 0]


def test_glyphs_as_features_with_their_pictures(glyphs, monkeypatch):
    monkeypatch.setattr("mmkeras.data.sources.Glyphs", lambda: glyphs)
    data = load_source("glyphs", "dev", Means(ImagePreprocessor(8, 8)), limit=2)
    plain = load_source("glyphs", "dev", ImagePreprocessor(8, 8), limit=2)
    assert data.images.shape == (len(plain.images), 3)
    assert np.array_equal(np.stack(list(data.pictures)), plain.images)


def test_pictures_are_those_of_the_data_where_it_has_pixels(file):
    data = load_source(file, "all", ImagePreprocessor(4, 4))
    assert data.pictures is data.images and data.pictures_on_demand is None


def test_as_many_pictures_as_features():
    shown = StoredPictures(["a.png"], ImagePreprocessor(4, 4))
    ids = np.arange(2)
    with pytest.raises(MmkerasError, match="toy: expected 2 rows in pictures_on_demand. Received: 1"):
        PairedData("toy", np.zeros((2, 3)), ["a", "b"], ids, ids, np.zeros((0, 2), np.int32), pictures_on_demand=shown)
