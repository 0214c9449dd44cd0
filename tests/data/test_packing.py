"""`pack`: tars that are read as any other data, with the same pictures, captions, splits and labels."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from mmkeras.data import pack, read
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import ImagePreprocessor

PREPROCESSOR = ImagePreprocessor(12, 12)


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("MMKERAS_CACHE", str(tmp_path / "cache"))
    lines = ["image,caption,split,label"]
    for row in range(7):
        pixels = np.random.default_rng(row).integers(0, 256, (30, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{row}.{'png' if row % 2 else 'jpg'}", quality=90)
        for text in "ab":
            lines.append(
                f"{row}.{'png' if row % 2 else 'jpg'},text {text} of {row},{'dev' if row > 4 else ''},c{row % 2}"
            )
    (tmp_path / "captions.csv").write_text("\n".join(lines))
    return tmp_path / "captions.csv"


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_what_was_packed_is_what_is_read(source, tmp_path):
    before = read(source, targets="category", loader=PREPROCESSOR)
    packed = pack(before, tmp_path / "shards", pictures_a_shard=3)
    assert (packed.shards, packed.pictures, packed.written, packed.left_out) == (3, 7, 3, ())
    after = read(tmp_path / "shards", targets="category", loader=PREPROCESSOR)
    assert after.counts == before.counts == {"train": 5, "dev": 2}
    for split in ("train", "dev"):
        one, other = before.split(split), after.split(split)
        assert one.texts == other.texts and one.pairs.tolist() == other.pairs.tolist()
        assert one.label.tolist() == other.label.tolist() and one.label_names == other.label_names
        np.testing.assert_array_equal(one.images, other.images)


def test_packing_that_was_cut_off_goes_on_and_equal_data_give_equal_bytes(source, tmp_path):
    pack(read(source), tmp_path / "whole", pictures_a_shard=3)
    pack(read(source), tmp_path / "cut", pictures_a_shard=3)
    (tmp_path / "cut" / "00001.tar").unlink()
    packed = pack(read(source), tmp_path / "cut", pictures_a_shard=3)
    assert (packed.written, packed.pictures) == (1, 7)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_pictures_are_made_smaller_where_that_is_asked_for(source, tmp_path):
    pack(read(source), tmp_path / "small", size=15)
    with tarfile.open(tmp_path / "small" / "00000.tar") as tar:
        names = [name for name in tar.getnames() if not name.endswith(".json")]
        sizes = {Image.open(io.BytesIO(tar.extractfile(name).read())).size for name in names}
    assert sizes == {(20, 15)} and {name[-4:] for name in names} == {".jpg", ".png"}


def test_a_folder_of_other_shards_is_refused(source, tmp_path):
    pack(read(source), tmp_path / "shards")
    with pytest.raises(MmkerasError, match=r"shards of other data, or packed in another way \(size\)"):
        pack(read(source), tmp_path / "shards", size=20)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "a").touch()
    with pytest.raises(MmkerasError, match="used is not empty"):
        pack(read(source), tmp_path / "used")


def test_unreadable_pictures_are_told_or_left_out(source, tmp_path):
    (tmp_path / "2.jpg").write_bytes(b"<html>")
    (tmp_path / "3.png").unlink()
    with pytest.raises(MmkerasError, match="3.png is missing"):
        pack(read(source), tmp_path / "shards")
    assert not (tmp_path / "shards" / "00000.tar").exists()
    packed = pack(read(source, skip_unreadable=0.5), tmp_path / "shards")
    assert packed.pictures == 5 and len(packed.left_out) == 2
    with tarfile.open(tmp_path / "shards" / "00000.tar") as tar:
        said = json.loads(tar.extractfile("000000000.json").read())
    assert said == {"captions": ["text a of 0", "text b of 0"], "split": "train", "name": "0.jpg", "label": "c0"}
