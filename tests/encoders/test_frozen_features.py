"""Features are computed once, and never those of another picture, backbone or preprocessing."""

import io

import keras
import numpy as np
import pytest
from PIL import Image

from mmkeras.encoders import FrozenFeatures, conv_image_encoder, picture_loader
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import ImagePreprocessor

from .hub_modules import image_encoder

PREPROCESSOR = ImagePreprocessor(4, 6)


class Counted(FrozenFeatures):
    """Features that count how many pictures went through the backbone."""

    computed = 0

    def _features(self, pictures):
        self.computed += len(pictures)
        return super()._features(pictures)


@pytest.fixture
def paths(tmp_path):
    """Forty pictures of noise, more than one batch."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 4, 6, 3), "uint8")
    (tmp_path / "pictures files").mkdir()
    files = [tmp_path / "pictures files" / f"{row}.png" for row in range(40)]
    for file, image in zip(files, pixels, strict=True):
        Image.fromarray(image).save(file)
    return files


@pytest.fixture
def make(tmp_path, pictures):
    """A function that builds the loader anew, as another process would."""

    def make(preprocessor=PREPROCESSOR, encoder=None, folder="cache", **settings):
        encoder = encoder or image_encoder(pictures, **settings)
        return Counted(encoder.frozen_backbone(), preprocessor, verbose=0, folder=tmp_path / folder)

    return make


def test_features_are_those_of_the_backbone(make, paths):
    loader = make()
    features = loader.load(paths)
    assert (features.shape, features.dtype) == ((40, 5), np.float32)
    np.testing.assert_allclose(features, loader.backbone(PREPROCESSOR.load(paths)), rtol=1e-5, atol=1e-6)
    assert loader.output_shape == (5,)


def test_the_second_time_the_backbone_is_not_called(make, paths, tmp_path):
    first = make()
    features = first.load(paths)
    assert first.computed == 40
    (file,) = (tmp_path / "cache").iterdir()
    content = file.read_bytes()
    second = make()
    assert np.array_equal(second.load(paths), features)
    assert second.computed == 0 and file.read_bytes() == content


def test_a_picture_is_known_by_its_bytes(make, paths):
    loader = make()
    features = loader.load(paths[:7])
    assert np.array_equal(loader.load([*paths[5:9], paths[6]])[[0, 1, 4]], features[[5, 6, 6]])
    assert loader.computed == 9  # two more, in any order, under any name, and one of a kind once
    paths[0].write_bytes(paths[20].read_bytes())
    changed = loader.load(paths[:1])
    assert loader.computed == 10 and not np.array_equal(changed[0], features[0])
    assert np.array_equal(changed, make(folder="other").load(paths[20:21]))


def test_what_was_cached_already_changes_no_bit(make, paths):
    whole = make().load(paths)
    parts = make(folder="other")
    parts.load(paths[3:36:7])
    assert np.array_equal(parts.load(paths), whole)


@pytest.mark.parametrize("change", ["weights", "scale", "output", "preprocessing"])
def test_nothing_stale_is_served(make, paths, change):
    loader = make()
    features = loader.load(paths)
    if change == "weights":
        other = make()
        other.backbone.get_layer("hub").weights[0].assign_add(0.1 * np.ones((3, 5)))
    elif change == "preprocessing":
        other = make(ImagePreprocessor(4, 6, background=0))
    else:
        other = make(**({"scale": "-1..1"} if change == "scale" else {"output_key": "vector"}))
    np.testing.assert_allclose(other.load(paths), other.backbone(PREPROCESSOR.load(paths)), rtol=1e-5, atol=1e-6)
    assert other.computed == 40
    again = make()
    assert np.array_equal(again.load(paths), features) and again.computed == 0


def test_a_loaded_encoder_and_one_built_after_others_find_the_cache(make, paths, pictures, tmp_path):
    encoder = image_encoder(pictures)
    features = make(encoder=encoder).load(paths)
    encoder.save(tmp_path / "encoder.keras")
    for _ in range(2):  # automatic names count on
        conv_image_encoder(8, 8, widths=(4,))
    for again in (keras.saving.load_model(tmp_path / "encoder.keras"), image_encoder(pictures)):
        loader = make(encoder=again)
        assert np.array_equal(loader.load(paths), features) and loader.computed == 0


def test_a_damaged_cache_is_made_again(make, paths, tmp_path):
    features = make().load(paths)
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    loader = make()
    assert np.array_equal(loader.load(paths), features) and loader.computed == 40


def test_what_was_done_before_an_error_is_kept_and_the_picture_is_named(make, paths):
    broken = paths[35]
    sound = broken.read_bytes()
    broken.write_bytes(b"no picture")
    loader = make()
    with pytest.raises(MmkerasError, match=f"Cannot read picture '{broken}'"):
        loader.load(paths)
    broken.write_bytes(sound)
    loader = make()
    loader.load(paths)
    assert loader.computed == 8  # the second batch


def test_bytes_and_arrays_are_pictures_too(make, paths):
    loader = make()
    features = loader.load(paths[:3])
    assert np.array_equal(loader.load([path.read_bytes() for path in paths[:3]]), features)
    assert loader.computed == 3
    assert np.array_equal(loader.load(PREPROCESSOR.load(paths[:3])), features)
    assert loader.load([]).shape == (0, 5)
    with pytest.raises(MmkerasError, match="Cannot read picture '1 of the list'"):
        loader.load([paths[0].read_bytes(), b"no picture"])


def test_progress_is_shown_where_there_is_something_to_compute(make, paths, capsys):
    loader = make()
    loader.verbose = 2
    loader.load(paths)
    out = capsys.readouterr().out
    assert "Features of the frozen backbone" in out and "40/40" in out
    loader.load(paths)
    assert capsys.readouterr().out == ""


def test_a_loader_for_each_encoder(pictures):
    frozen = picture_loader(image_encoder(pictures), PREPROCESSOR)
    assert isinstance(frozen, FrozenFeatures) and frozen.image_preprocessor is PREPROCESSOR
    assert picture_loader(image_encoder(pictures, trainable=True), PREPROCESSOR) is PREPROCESSOR
    assert picture_loader(conv_image_encoder(8, 8, widths=(4,)), PREPROCESSOR) is PREPROCESSOR
    assert picture_loader(image_encoder(pictures), None) is None


def test_pictures_larger_than_the_model_never_lie_in_memory_together(make, monkeypatch):
    seen = []
    load = PREPROCESSOR.load
    monkeypatch.setattr(PREPROCESSOR, "load", lambda pictures: seen.append(len(pictures)) or load(pictures))
    stream = io.BytesIO()
    Image.new("RGB", (60, 40)).save(stream, "PNG")
    rng = np.random.default_rng(0)
    make().load([*rng.integers(0, 256, (99, 8, 8, 3), "uint8"), stream.getvalue()])
    assert seen == [32, 32, 32, 4]
