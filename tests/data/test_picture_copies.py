"""Copies of pictures: equal bytes under any name, found with as little reading as there can be."""

import os
from pathlib import Path

import numpy as np
import pytest

from mmkeras.data import picture_copies
from mmkeras.data.picture_copies import copies
from mmkeras.unreadable_pictures import UnreadablePictures


@pytest.fixture(autouse=True)
def read(monkeypatch, tmp_path):
    """The names of this test's files that were read, as a list that fills: servers of other tests may read theirs."""
    names = []
    original = Path.read_bytes

    def noted(self):
        if self.is_relative_to(tmp_path):
            names.append(self.name)
        return original(self)

    monkeypatch.setattr(Path, "read_bytes", noted)
    return names


@pytest.fixture
def write(tmp_path):
    """A function that writes a file that was last changed long ago, and returns its path."""

    def write(name, content, mtime=1e9):
        file = tmp_path / name
        file.write_bytes(content)
        os.utime(file, (mtime, mtime))
        return file

    return write


def test_equal_bytes_are_found_once_and_remembered(write, read, tmp_path):
    contents = [b"aaa", b"bbb", b"aaa", b"cccc", b"bbb", b"dd", b"ccccc", b"eee", b"aaa"]
    files = [write(f"{row}.jpg", content) for row, content in enumerate(contents)]
    expected = [0, 1, 0, 3, 1, 5, 6, 7, 0]
    found = copies(files, tmp_path / "cache")
    assert found.tolist() == expected and found.dtype == np.int64
    assert sorted(read) == [f"{row}.jpg" for row in (0, 1, 2, 4, 7, 8)]  # what has a size of its own is not read
    read.clear()
    assert copies(files, tmp_path / "cache").tolist() == expected and read == []
    write("4.jpg", b"dd", 1.1e9)
    assert copies(files, tmp_path / "cache").tolist() == [0, 1, 0, 3, 4, 4, 6, 7, 0]
    assert sorted(read) == ["4.jpg", "5.jpg"]  # the changed one, and the one that has its size now
    assert copies([], tmp_path / "cache").shape == (0,)


def test_links_are_copies(write, read, tmp_path):
    file, other = write("a.jpg", b"aaa"), write("b.jpg", b"bbb")
    (tmp_path / "symbolic.jpg").symlink_to(file)
    os.link(other, tmp_path / "hard.jpg")
    pictures = [other, file, tmp_path / "symbolic.jpg", tmp_path / "hard.jpg", str(file)]
    assert copies(pictures, tmp_path / "cache").tolist() == [0, 1, 1, 0, 1]
    assert sorted(read) == ["a.jpg", "b.jpg", "hard.jpg"]
    read.clear()
    assert copies(pictures[1:3], tmp_path / "cache").tolist() == [0, 0] and read == []


def test_what_lies_in_memory_and_what_was_just_written_is_compared_too(write, read, tmp_path):
    array = np.frombuffer(b"aaabbbcccddd", np.uint8).reshape(2, 2, 3)
    old, young = write("old.jpg", b"aaa"), tmp_path / "young.jpg"
    young.write_bytes(b"aaa")
    alone = write("alone.jpg", b"alone")
    same_bytes_as_array = write("pixels.jpg", array.tobytes())
    pictures = [b"bbb", old, array, b"bbb", young, b"aaa", array.copy(), same_bytes_as_array, alone, array[:1]]
    assert copies(pictures, tmp_path / "cache").tolist() == [0, 1, 2, 0, 1, 1, 2, 7, 8, 9]
    assert sorted(read) == ["old.jpg", "young.jpg"]


def test_a_file_that_changes_right_after_it_was_read_is_seen(tmp_path):
    files = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    for _ in range(50):
        files[0].write_bytes(b"aaa")
        files[1].write_bytes(b"aaa")
        assert copies(files, tmp_path / "cache").tolist() == [0, 0]
        files[1].write_bytes(b"bbb")
        assert copies(files, tmp_path / "cache").tolist() == [0, 1]


def test_all_that_cannot_be_read_are_named_and_the_others_remembered(write, read, tmp_path, monkeypatch):
    monkeypatch.setattr(picture_copies, "AT_ONCE", 2)
    files = [write(f"{row}.jpg", b"aaa") for row in range(9)]

    def refused(self):
        if self.name in ("2.jpg", "7.jpg"):
            raise PermissionError(13, "Permission denied")
        return original(self)

    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", refused)
    gone = tmp_path / "gone.jpg"
    with pytest.raises(UnreadablePictures) as caught:
        copies([*files, gone], tmp_path / "cache")
    assert list(caught.value.reasons) == [2, 7, 9]
    assert "2.jpg' (Permission denied)" in caught.value.reasons[2] and "No such file" in caught.value.reasons[9]
    read.clear()
    rest = [file for row, file in enumerate(files) if row not in caught.value.reasons]
    assert copies(rest, tmp_path / "cache").tolist() == [0] * 7 and read == []


def test_what_was_read_before_an_interruption_is_remembered(write, read, tmp_path, monkeypatch):
    monkeypatch.setattr(picture_copies, "AT_ONCE", 1)
    files = [write(f"{row}.jpg", b"aaa") for row in range(40)]

    def interrupted(self):
        if self.name == "20.jpg":
            raise KeyboardInterrupt
        return original(self)

    original = Path.read_bytes
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            copies(files, tmp_path / "cache")
    before = set(read)
    assert len(before) >= 20
    read.clear()
    assert copies(files, tmp_path / "cache").tolist() == [0] * 40
    assert before | set(read) == {file.name for file in files} and not before & set(read)


def test_digests_are_remembered_while_files_are_read(write, read, tmp_path, monkeypatch):
    monkeypatch.setattr(picture_copies, "AT_ONCE", 1)
    monkeypatch.setattr(picture_copies, "REMEMBERED_AFTER", 0)
    remembered = []
    facts = picture_copies.PictureFacts
    monkeypatch.setattr(facts, "remember_digests", lambda self, stamps, digests: remembered.extend(stamps))
    files = [write(f"{row}.jpg", b"aaa") for row in range(5)]
    copies(files, tmp_path / "cache")
    assert [Path(stamp[0]).name for stamp in remembered] == [file.name for file in files]  # each once


def test_a_cache_that_cannot_be_written_costs_time_alone(write, read, tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    files = [write(f"{row}.jpg", b"aaa") for row in range(3)]
    assert copies(files, tmp_path / "file" / "cache").tolist() == [0, 0, 0]
    assert len(capsys.readouterr().err.splitlines()) == 1
