"""Pictures in a zip are read in place, by name, and what is wrong with one is told."""

import io
import json
import tarfile
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from mmkeras.data import load_source
from mmkeras.data.stores import open_store
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import ImagePreprocessor

PREPROCESSOR = ImagePreprocessor(4, 4)


def png(grey):
    stream = io.BytesIO()
    Image.new("RGB", (6, 5), (grey,) * 3).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def write(tmp_path):
    """A function that writes members, (name, content), as a zip."""

    def write(*members, name="pictures.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a name that is there already
            for member, content in members:
                archive.writestr(member, content)
        return tmp_path / name

    return write


@pytest.fixture
def captions(tmp_path):
    file = tmp_path / "captions.jsonl"
    file.write_text("\n".join(json.dumps({"image": f"{name}.png", "captions": [name]}) for name in "ab"))
    return file


def test_a_zip_gives_what_a_folder_gives_and_nothing_is_unpacked(write, captions, tmp_path):
    place = write(("b.png", png(20)), ("a.png", png(10)), ("notes.txt", b"mine"))
    before = sorted(tmp_path.iterdir())
    packed = load_source(captions, "train", PREPROCESSOR, place)
    assert sorted(tmp_path.iterdir()) == before
    assert packed.images[:, 0, 0, 0].tolist() == [10, 20]
    for name, grey in (("a", 10), ("b", 20)):
        (tmp_path / f"{name}.png").write_bytes(png(grey))
    assert np.array_equal(load_source(captions, "train", PREPROCESSOR).images, packed.images)


def test_a_picture_begins_alike_in_a_folder_a_zip_and_a_tar(write, tmp_path):
    content = png(10)
    (tmp_path / "a.png").write_bytes(content)
    write(("a.png", content))
    with tarfile.open(tmp_path / "pictures.tar", "w") as tar:
        tar.add(tmp_path / "a.png", "a.png")
    for place in (tmp_path, tmp_path / "pictures.zip", tmp_path / "pictures.tar"):
        picture = open_store(place).find("a.png")
        assert picture.read_beginning(20) == content[:20]
        assert picture.read_beginning(10_000) == picture.read_bytes() == content


def test_a_folder_within_a_zip(write, captions):
    place = write(("images/", b""), ("images/a.png", png(10)), ("images/b.png", png(20)), ("b.png", png(9)))
    with pytest.raises(MmkerasError) as caught:
        load_source(captions, "train", PREPROCESSOR, place)
    told = f"{captions}, line 1: the picture a.png is missing in {place}. It has images/a.png: give --images "
    assert str(caught.value).startswith(f"{told}{place}/images. ")
    assert load_source(captions, "train", PREPROCESSOR, place / "images").images[1, 0, 0, 0] == 20


def test_a_member_that_is_missing_or_there_twice(write, captions):
    place = write(("a.png", png(10)))
    with pytest.raises(MmkerasError, match=r"line 2: the picture b.png is missing in .*pictures.zip. Restore it"):
        load_source(captions, "train", PREPROCESSOR, place)
    place = write(("a.png", png(10)), ("b.png", png(20)), ("b.png", png(30)))
    with pytest.raises(MmkerasError, match=r"line 2: the picture b.png is in .*pictures.zip 2 times. Leave one"):
        load_source(captions, "train", PREPROCESSOR, place)


def test_a_damaged_member_is_named(write, captions):
    content = png(20)
    place = write(("a.png", png(10)), ("b.png", content))
    damaged = place.read_bytes().replace(content, content[:-9] + b"X" + content[-8:])
    place.write_bytes(damaged)
    with pytest.raises(MmkerasError) as caught:
        load_source(captions, "train", PREPROCESSOR, place)
    assert f"{captions}, line 2: b.png in {place} cannot be read: Bad CRC-32" in str(caught.value)


def test_a_member_that_is_no_picture_is_named(write, captions):
    place = write(("a.png", png(10)), ("b.png", b"no picture"))
    with pytest.raises(MmkerasError, match=rf"{captions}, line 2: Cannot read picture '{place}/b.png': "):
        load_source(captions, "train", PREPROCESSOR, place)


def test_a_place_that_is_none(write, captions, tmp_path):
    with pytest.raises(MmkerasError, match="to be a folder, a zip or a tar. Received: .*nowhere, which is not there"):
        open_store(tmp_path / "nowhere")
    place = write(("a.png", png(10)))
    place.write_bytes(place.read_bytes()[:-30])
    with pytest.raises(MmkerasError, match="Received: .*pictures.zip, which is no readable zip: "):
        open_store(place)
    with pytest.raises(MmkerasError, match="captions.jsonl, which is no readable zip: File is not a zip"):
        load_source(captions, "train", PREPROCESSOR, captions)


def test_flickr8k_as_it_is(real_data):
    place = real_data / "flickr8k"
    data = load_source(place / "captions.jsonl", "dev", ImagePreprocessor(8, 8), place / "images_160.zip", limit=20)
    assert data.images.shape == (20, 8, 8, 3) and len(data.texts) == 100
    assert len(np.unique(data.images.reshape(20, -1), axis=0)) == 20
