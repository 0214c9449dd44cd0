"""`load_source`: a data set by its name."""

import numpy as np
import pytest
from PIL import Image

from mmkeras.data import load_source
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import ImagePreprocessor


@pytest.fixture
def glyph_source(glyphs, monkeypatch):
    """The glyphs by name, without reading the user's own cache."""
    monkeypatch.setattr("mmkeras.data.sources.Glyphs", lambda: glyphs)
    return glyphs


@pytest.fixture
def captions(tmp_path):
    Image.new("RGB", (9, 9), (1, 2, 3)).save(tmp_path / "a.png")
    file = tmp_path / "captions.jsonl"
    file.write_text('{"image": "a.png", "split": "val", "captions": ["x", "y"]}\n')
    return file


def test_glyphs(glyph_source):
    data = load_source("glyphs", "dev")
    assert data.name == "glyphs/dev"
    assert data.texts == glyph_source.split("dev").texts


def test_glyphs_with_a_limit(glyph_source):
    data = load_source("glyphs", "dev", limit=7)
    assert data.texts == glyph_source.split("dev").texts[:7]
    assert set(data.image_item.tolist()) == set(data.text_item.tolist())


def test_glyphs_come_in_the_models_size(glyph_source):
    """The served model resizes to its own size: training must see the same."""
    plain = load_source("glyphs", "dev", limit=3).images
    assert np.array_equal(load_source("glyphs", "dev", ImagePreprocessor(32, 32), limit=3).images, plain)
    preprocessor = ImagePreprocessor(24, 40)
    data = load_source("glyphs", "dev", preprocessor, limit=3)
    assert data.images.shape == (len(plain), 24, 40, 3)
    assert np.array_equal(data.images, preprocessor.load(plain))


def test_captions(captions):
    data = load_source(str(captions), "dev", ImagePreprocessor(4, 4))
    assert data.images.tolist() == np.full((1, 4, 4, 3), (1, 2, 3)).tolist()
    assert data.texts == ["x", "y"]


def test_captions_are_of_224_px_unless_somebody_says(captions):
    assert load_source(captions, "dev").images.shape == (1, 224, 224, 3)


@pytest.mark.parametrize("source", ["glyph", "Glyphs", "mmkeras", "captions.xls"])
def test_no_such_source(source):
    with pytest.raises(MmkerasError, match=f"Expected data to be glyphs, .*feature set.* Received: {source}$"):
        load_source(source, "train")


def test_no_such_file(tmp_path):
    with pytest.raises(MmkerasError, match="There is no captions file .*nowhere.jsonl"):
        load_source(tmp_path / "nowhere.jsonl", "train", ImagePreprocessor(4, 4))


def test_no_such_split(glyph_source, captions):
    with pytest.raises(MmkerasError, match="Received: split='validation'"):
        load_source("glyphs", "validation")
    with pytest.raises(MmkerasError, match="no records of split 'train'; it has dev"):
        load_source(captions, "train", ImagePreprocessor(4, 4))
