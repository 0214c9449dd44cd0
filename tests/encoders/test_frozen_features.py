"""Features are computed once, and never those of another picture, backbone or preprocessing."""

import io
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from mmkeras.data import cached_rows
from mmkeras.encoders import FrozenFeatures, conv_image_encoder, feature_computation, picture_loader
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import ImagePreprocessor
from mmkeras.progress import Progress
from mmkeras.unreadable_pictures import UnreadablePictures

from .hub_modules import image_encoder

PREPROCESSOR = ImagePreprocessor(4, 6)


class Counted(FrozenFeatures):
    """Features that count how many pictures went through the backbone."""

    computed = 0

    def _features(self, pixels):
        self.computed += len(pixels)
        return super()._features(pixels)


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
        return Counted(encoder.frozen_backbone(), preprocessor, folder=tmp_path / folder)

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
    (file,) = (tmp_path / "cache").rglob("*.*")
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
    (file,) = (tmp_path / "cache").rglob("*.*")
    file.write_bytes(file.read_bytes()[:-20])
    loader = make()
    assert np.array_equal(loader.load(paths), features) and loader.computed == 40


def test_all_bad_pictures_are_named_and_the_others_kept(make, paths):
    sound = paths[35].read_bytes()
    for row in (35, 3):
        paths[row].write_bytes(b"no picture")
    paths[7].unlink()
    loader = make()
    with pytest.raises(UnreadablePictures) as caught:
        loader.load(paths)
    reasons = caught.value.reasons
    assert list(reasons) == [3, 7, 35] and loader.computed == 37
    assert reasons[3].startswith(f"Cannot read picture '{paths[3]}': ") and "received 10 bytes" in reasons[3]
    assert reasons[7] == f"Expected a readable picture file. Received: picture '{paths[7]}' (No such file or directory)"
    assert reasons[35].startswith(f"Cannot read picture '{paths[35]}': ")  # the same bytes, and a message of its own
    again = make()
    rest = again.load([path for row, path in enumerate(paths) if row not in reasons])
    assert rest.shape == (37, 5) and again.computed == 0
    paths[35].write_bytes(sound)
    assert np.array_equal(again.load(paths[34:36])[0], rest[-5]) and again.computed == 1


def test_one_bad_picture_is_told_as_by_the_preprocessor(make, paths):
    paths[35].write_bytes(b"no picture")
    messages = []
    for loader in (make(), PREPROCESSOR):
        with pytest.raises(UnreadablePictures) as caught:
            loader.load(paths)
        messages.append(str(caught.value))
    assert messages[0] == messages[1] and "\n" not in messages[0]
    array = np.zeros((4, 4, 7), np.uint8)
    with pytest.raises(MmkerasError, match=r"picture 38 of the list = uint8 \(4, 4, 7\)"):
        make().load([*paths[:35], *paths[36:], array][1:])


def test_bytes_and_arrays_are_pictures_too(make, paths):
    loader = make()
    features = loader.load(paths[:3])
    assert np.array_equal(loader.load([path.read_bytes() for path in paths[:3]]), features)
    assert loader.computed == 3
    assert np.array_equal(loader.load(PREPROCESSOR.load(paths[:3])), features)
    assert loader.load([]).shape == (0, 5)
    with pytest.raises(MmkerasError, match="Cannot read picture '1 of the list'"):
        loader.load([paths[0].read_bytes(), b"no picture"])


@pytest.fixture
def bars(monkeypatch):
    """Each `Progress` of a computation."""
    shown = []

    class Recorded(Progress):
        def __enter__(self):
            shown.append(self)
            return super().__enter__()

    monkeypatch.setattr("mmkeras.encoders.feature_computation.Progress", Recorded)
    return shown


def test_progress_is_shown_where_there_is_something_to_compute(make, paths, bars):
    loader = make()
    for path in paths:
        os.utime(path, (1, 1))  # the stamp of a file that was written just now is not trusted
    loader.load(paths)
    (bar,) = bars
    assert "Features of the frozen backbone" in bar.title and (bar.done, bar.total) == (40, 40)
    loader.load(paths)
    assert len(bars) == 1


def test_a_loader_for_each_encoder(pictures):
    frozen = picture_loader(image_encoder(pictures), PREPROCESSOR)
    assert isinstance(frozen, FrozenFeatures) and frozen.image_preprocessor is PREPROCESSOR
    assert picture_loader(image_encoder(pictures, trainable=True), PREPROCESSOR) is PREPROCESSOR
    assert picture_loader(conv_image_encoder(8, 8, widths=(4,)), PREPROCESSOR) is PREPROCESSOR
    assert picture_loader(image_encoder(pictures), None) is None


def test_pictures_larger_than_the_model_never_lie_in_memory_together(make, monkeypatch):
    seen = []
    load = PREPROCESSOR.load_readable
    monkeypatch.setattr(PREPROCESSOR, "load_readable", lambda some, rows: seen.append(len(some)) or load(some, rows))
    stream = io.BytesIO()
    Image.new("RGB", (60, 40)).save(stream, "PNG")
    rng = np.random.default_rng(0)
    make().load([*rng.integers(0, 256, (99, 8, 8, 3), "uint8"), stream.getvalue()])
    assert seen == [32, 32, 32, 4]


def test_whole_batches_are_computed_wherever_the_new_pictures_stand(make, paths, monkeypatch):
    make().load(paths[::2])
    sizes = []
    loader = make()
    features = loader._features
    monkeypatch.setattr(loader, "_features", lambda pixels: sizes.append(len(pixels)) or features(pixels))
    rng = np.random.default_rng(1)
    loader.load([*paths, *rng.integers(0, 256, (20, 4, 6, 3), "uint8")])
    assert sizes == [32, 8]


def test_features_of_several_dimensions(paths, tmp_path):
    inputs = keras.Input((4, 6, 3))
    backbone = keras.Model(inputs, keras.layers.Conv2D(5, 2, strides=2)(inputs))
    for _ in range(2):
        loader = FrozenFeatures(backbone, PREPROCESSOR, tmp_path / "cache")
        features = loader.load([*paths, paths[0]])
        assert features.shape == (41, 2, 3, 5) and loader.output_shape == (2, 3, 5)
        expected = backbone(PREPROCESSOR.load(paths))
        np.testing.assert_allclose(features[:40], expected, rtol=1e-5, atol=1e-3)
        assert np.array_equal(features[40], features[0])


@pytest.fixture
def old_paths(paths):
    """The pictures as if they were written long ago."""
    for path in paths:
        os.utime(path, (1e9, 1e9))
    return paths


@pytest.fixture
def read(monkeypatch):
    """The names of the pictures that were read, as a list that fills."""
    names = []
    original = Path.read_bytes

    def counting(self):
        if self.suffix == ".png":
            names.append(self.name)
        return original(self)

    monkeypatch.setattr(Path, "read_bytes", counting)
    return names


def test_files_that_are_known_are_not_read(make, old_paths, read):
    features = make().load(old_paths)
    assert len(read) == 40
    read.clear()
    loader = make()
    assert np.array_equal(loader.load(old_paths[::-1]), features[::-1]) and read == []
    os.utime(old_paths[3], (1e9, 1e9 + 1))
    assert np.array_equal(make().load(old_paths), features) and read == ["3.png"]
    read.clear()
    make(ImagePreprocessor(4, 6, background=0)).load(old_paths[:2])
    assert sorted(read) == ["0.png", "1.png"]  # known by its digest, and computed anew by another network


def test_files_whose_features_are_lost_are_computed_again(make, old_paths, read, tmp_path):
    features = make().load(old_paths)
    for file in (tmp_path / "cache").rglob("*.cache"):
        file.unlink()
    loader = make()
    assert np.array_equal(loader.load(old_paths), features) and loader.computed == 40


def test_features_that_get_lost_while_others_are_computed_are_computed_too(make, paths, tmp_path):
    features = make().load(paths)
    make(folder="other").load(paths[:30])

    class Losing(Counted):
        def _features(self, pixels):
            for file in (tmp_path / "other").rglob("*.cache"):
                file.unlink()
            return super()._features(pixels)

    loader = Losing(make().backbone, PREPROCESSOR, tmp_path / "other")
    assert np.array_equal(loader.load(paths), features) and loader.computed == 40


def test_without_a_folder_to_write_to_everything_is_computed(make, paths, tmp_path, capsys):
    features = make().load([*paths, *paths])
    (tmp_path / "file").write_text("no folder")
    for _ in range(2):
        loader = make(folder="file/cache")
        assert np.array_equal(loader.load([*paths, *paths]), features) and loader.computed == 40
    printed = capsys.readouterr()
    assert len(printed.err.splitlines()) == 1 and "the cache is not used" in printed.err


@pytest.mark.parametrize(("seconds", "shard_bytes", "shards"), [(1e9, 2**25, 1), (-1, 2**25, 4), (1e9, 64 * 20, 2)])
def test_shards_are_written_as_it_goes(make, tmp_path, monkeypatch, seconds, shard_bytes, shards):
    monkeypatch.setattr(feature_computation, "SHARD_SECONDS", seconds)
    monkeypatch.setattr(cached_rows, "SHARD_BYTES", shard_bytes)
    pictures = list(np.random.default_rng(0).integers(0, 256, (128, 4, 6, 3), "uint8"))
    features = make().load(pictures)
    assert len(list((tmp_path / "cache").rglob("*.cache"))) == shards
    loader = make()
    assert np.array_equal(loader.load(pictures), features) and loader.computed == 0


def test_an_interruption_keeps_what_was_computed(make, paths):
    class Interrupted(Counted):
        def _features(self, pixels):
            if self.computed:
                raise KeyboardInterrupt
            return super()._features(pixels)

    with pytest.raises(KeyboardInterrupt):
        Interrupted(make().backbone, PREPROCESSOR, make().folder).load(paths)
    loader = make()
    loader.load(paths)
    assert loader.computed == 8


def test_the_progress_ends_where_the_last_pictures_are_known(make, paths, bars):
    pictures = list(np.random.default_rng(0).integers(0, 256, (32, 4, 6, 3), "uint8"))
    loader = make()
    loader.load(paths)
    loader.load([*pictures, *paths])
    assert (bars[-1].done, bars[-1].total) == (72, 72)
