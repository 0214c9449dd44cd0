"""Pictures that are read when a batch wants them: the same batches as from memory, from any place."""

import errno
import io
import os
import tarfile
import threading
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mmkeras.data import StoredPictures, mismatched_batches, read, row_reader, training_batches, unpaired_batches
from mmkeras.data.row_reader import RowReader
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import ImagePreprocessor

PREPROCESSOR = ImagePreprocessor(8, 8)
COUNT = 12
NOT_THERE = os.strerror(errno.ENOENT)
BATCHES = {"pairs": training_batches, "categories": unpaired_batches, "both": mismatched_batches}


def jpeg(row):
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(row).integers(0, 256, (10, 9, 3), np.uint8)).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def captions(tmp_path, monkeypatch):
    """A captions file beside a folder, a zip and a tar of its pictures."""
    monkeypatch.setenv("MMKERAS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "folder").mkdir()
    lines = ["image,caption,split,label"]
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as zipped, tarfile.open(tmp_path / "pictures.tar", "w") as tar:
        for row in range(COUNT):
            name, content = f"{row}.png", jpeg(row)
            (tmp_path / "folder" / name).write_bytes(content)
            zipped.writestr(name, content)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
            lines.append(f"{name},text {row},train,{'ab'[row % 2]}")
    (tmp_path / "captions.csv").write_text("\n".join(lines))
    return tmp_path / "captions.csv"


def split(captions, place, memory_mib=0):
    data = read(captions, captions.parent / place, targets="category", memory_mib=memory_mib)
    return data.split("train", PREPROCESSOR)


def first(data, kind, count=5, first_step=0):
    batches = BATCHES[kind](data, 4, 3, first_step=first_step)
    return [{name: value.numpy() for name, value in batch.items()} for batch in batches.take(count)]


@pytest.mark.parametrize("kind", list(BATCHES))
@pytest.mark.parametrize("place", ["folder", "pictures.zip", "pictures.tar"])
def test_batches_are_those_of_pictures_in_memory(captions, place, kind, monkeypatch):
    monkeypatch.setattr(row_reader, "AT_ONCE", 1)  # several tasks a batch
    in_memory, on_disk = split(captions, "folder", 100), split(captions, place)
    assert isinstance(in_memory.images, np.ndarray) and isinstance(on_disk.images, StoredPictures)
    assert on_disk.images.shape == in_memory.images.shape
    expected = first(in_memory, kind)
    for batch, other in zip(expected, first(on_disk, kind), strict=True):
        assert batch.keys() == other.keys()
        for name in batch:
            np.testing.assert_array_equal(batch[name], other[name], err_msg=name)
    # From the middle of an epoch on, as after a resumption.
    for batch, other in zip(expected[2:], first(on_disk, kind, 3, first_step=2), strict=True):
        np.testing.assert_array_equal(batch["image"], other["image"])


def test_rows_are_those_of_the_array(captions):
    stored, array = split(captions, "folder").images, split(captions, "folder", 100).images
    np.testing.assert_array_equal(np.asarray(stored), array)
    np.testing.assert_array_equal(stored[3], array[3])
    np.testing.assert_array_equal(np.asarray(stored[2:5]), array[2:5])
    np.testing.assert_array_equal(np.asarray(stored[np.array([7, 0])]), array[[7, 0]])
    assert stored.digest == split(captions, "folder").images.digest


def test_unreadable_pictures_are_told_before_the_first_batch(captions):
    (captions.parent / "folder" / "3.png").write_bytes(b"<html>")
    (captions.parent / "folder" / "7.png").write_bytes(jpeg(7)[:60])
    with pytest.raises(MmkerasError) as caught:
        split(captions, "folder")
    assert "3.png" in str(caught.value) and "7.png" in str(caught.value)
    assert "skip_unreadable=0.167" in str(caught.value)
    data = read(captions, captions.parent / "folder", memory_mib=0, skip_unreadable=0.2).split("train", PREPROCESSOR)
    assert len(data.images) == COUNT - 2 and len(data.left_out) == 2


def test_a_picture_is_decoded_once_to_be_checked(captions, monkeypatch):
    for picture in (captions.parent / "folder").iterdir():
        os.utime(picture, (1, 1))
    split(captions, "folder")
    monkeypatch.setattr(ImagePreprocessor, "load", lambda *_: pytest.fail("decoded again"))
    split(captions, "folder")


def test_a_pass_for_a_fit_of_ones_own_has_all_pairs_in_another_order_each_time(captions):
    batches = split(captions, "folder").batches(4, seed=1)
    assert len(batches) == 3
    passes = [np.concatenate([batch["text_id"] for batch in batches]).tolist() for _ in range(2)]
    assert sorted(passes[0]) == sorted(passes[1]) and passes[0] != passes[1]
    again = np.concatenate([batch["text_id"] for batch in split(captions, "folder").batches(4, seed=1)]).tolist()
    assert again == passes[0]
    assert tf.data.experimental.cardinality(batches).numpy() == 3


class Met:
    """A picture that can be read while another one is being read, and only then."""

    meeting = threading.Barrier(2, timeout=30)

    def read_bytes(self):
        self.meeting.wait()
        return jpeg(0)


def test_several_pictures_of_a_batch_are_read_at_once(monkeypatch):
    monkeypatch.setattr(row_reader, "AT_ONCE", 1)
    reader = RowReader(StoredPictures([Met(), Met()], PREPROCESSOR))
    assert reader.fetch(tf.constant([0, 1])).numpy().tolist() == [jpeg(0)] * 2


def test_a_picture_that_changed_is_named_after_its_batch_failed(captions):
    stored = split(captions, "folder").images
    reader = RowReader(stored)
    assert stored.why_unreadable() == ""
    reader.fetch(tf.constant([1, 2, 3, 4]))
    assert stored.why_unreadable() == ""
    file = captions.parent / "folder" / "3.png"
    file.write_bytes(b"<html>")
    with pytest.raises(tf.errors.InvalidArgumentError):
        reader.decode(reader.fetch(tf.constant([2, 3])))
    assert stored.why_unreadable().startswith(f"Cannot read picture '{file}': ")
    file.unlink()
    with pytest.raises(MmkerasError):
        reader.fetch(tf.constant([3, 4]))
    assert stored.why_unreadable() == f"Expected a readable picture file. Received: picture '{file}' ({NOT_THERE})"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": None}, "Expected a path. Received: source=None"),
        ({"images": 5}, "Expected a path. Received: images=5"),
        ({"skip_unreadable": 5}, "Expected a share from 0 to 1. Received: skip_unreadable=5"),
        ({"skip_unreadable": -0.1}, "Expected a share from 0 to 1"),
        ({"skip_unreadable": float("nan")}, "Expected a share from 0 to 1"),
        ({"memory_mib": -1}, "Expected 0 or more. Received: memory_mib=-1"),
    ],
)
def test_arguments_that_are_none_are_told(captions, arguments, message):
    with pytest.raises(MmkerasError, match=message):
        read(**{"source": captions, "images": captions.parent / "folder", **arguments})


def test_splits_are_a_list(captions):
    with pytest.raises(MmkerasError, match=r"Expected a list of names of splits. Received: 'train'; write \['train'\]"):
        read(captions, captions.parent / "folder").splits("train")
