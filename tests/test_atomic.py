"""Whatever goes wrong while writing, the target is the old one or the new one, and nothing lies beside it."""

import errno
import os
import stat

import numpy as np
import pytest

from mmkeras.atomic import new_folder, replacing_file
from mmkeras.errors import MmkerasError


def full(*arguments, **keywords):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def umask_027():
    before = os.umask(0o027)
    yield
    os.umask(before)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_there_at_the_end_only(tmp_path):
    target = tmp_path / "new" / "folder" / "file.json"
    with replacing_file(target) as beside:
        assert beside.parent == target.parent
        assert beside.name.startswith(".tmp-")
        assert beside.suffix == ".json"  # some writers go by it
        beside.write_text("content")
        assert not target.exists()
    assert target.read_text() == "content"
    assert names(target.parent) == ["file.json"]


def test_a_file_is_replaced(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    with replacing_file(target) as beside:
        beside.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt(), SystemExit(3)])
def test_an_error_leaves_the_old_file(tmp_path, error):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(type(error)), replacing_file(target) as beside:
        beside.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_writer_that_replaces_the_file_beside(tmp_path):
    """Some libraries remove the file they are given and write a new one."""
    with replacing_file(tmp_path / "file") as beside:
        beside.unlink()
        beside.write_text("content")
    assert (tmp_path / "file").read_text() == "content"


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    target = tmp_path / "array.npy"
    target.write_bytes(b"old")
    monkeypatch.setattr(np, "save", full)
    with pytest.raises(MmkerasError, match="array.npy could not be written: No space left on device. Nothing was left"):
        with replacing_file(target) as beside:
            beside.write_bytes(b"half")
            np.save(beside, np.zeros(3))
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["array.npy"]


def test_an_error_without_a_number_is_told(tmp_path):
    """NumPy's own for a short write."""
    with pytest.raises(MmkerasError, match="could not be written: 10 requested and 3 written"):
        with replacing_file(tmp_path / "file"):
            raise OSError("10 requested and 3 written")


def test_a_folder_in_the_targets_place(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(MmkerasError, match="file could not be written: "), replacing_file(tmp_path / "file") as beside:
        beside.write_text("content")
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("write", [replacing_file, new_folder])
def test_a_file_in_the_place_of_the_parent(tmp_path, write):
    (tmp_path / "file").write_text("content")
    with pytest.raises(MmkerasError, match="could not be written: "), write(tmp_path / "file" / "target"):
        pytest.fail("nothing can be written there")
    assert (tmp_path / "file").read_text() == "content"


def test_rights_follow_the_umask(tmp_path, umask_027):
    with replacing_file(tmp_path / "file") as beside:
        beside.write_text("content")
    with new_folder(tmp_path / "folder"):
        pass
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o750


def test_a_folder_is_there_at_the_end_only(tmp_path):
    target = tmp_path / "model" / "1"
    with new_folder(target) as beside:
        assert beside.parent == target.parent
        assert not beside.name[0].isdigit()  # a server that polls takes a number for a version
        (beside / "variables").mkdir()
        (beside / "variables" / "index").write_text("content")
        assert not target.exists()
    assert (target / "variables" / "index").read_text() == "content"
    assert names(target.parent) == ["1"]


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt()])
def test_an_error_leaves_no_folder(tmp_path, error):
    with pytest.raises(type(error)), new_folder(tmp_path / "1") as beside:
        (beside / "half").write_text("half")
        raise error
    assert names(tmp_path) == []


def test_a_full_disk_leaves_no_folder(tmp_path):
    with pytest.raises(MmkerasError, match="1 could not be written: No space left on device"):
        with new_folder(tmp_path / "1") as beside:
            (beside / "half").write_text("half")
            full()
    assert names(tmp_path) == []


def test_an_error_names_the_folder_that_was_asked_for(tmp_path):
    with pytest.raises(MmkerasError) as caught, new_folder(tmp_path / "1") as beside:
        raise MmkerasError(f"{beside}/saved_model.pb could not be written")
    assert str(caught.value) == f"{tmp_path}/1/saved_model.pb could not be written"


@pytest.mark.parametrize("make", ["mkdir", "touch"])
def test_a_folder_that_exists_is_refused_before_any_work(tmp_path, make):
    getattr(tmp_path / "1", make)()
    with pytest.raises(MmkerasError, match="1 exists already; nothing was overwritten"), new_folder(tmp_path / "1"):
        pytest.fail("the work was begun")
    assert names(tmp_path) == ["1"]


def test_a_folder_that_another_process_made_meanwhile(tmp_path):
    with pytest.raises(MmkerasError, match="exists already"), new_folder(tmp_path / "1") as beside:
        (beside / "mine").write_text("mine")
        (tmp_path / "1").mkdir()
    assert names(tmp_path) == ["1"]
    assert names(tmp_path / "1") == []


def test_two_writers_do_not_share_the_file_beside(tmp_path):
    with replacing_file(tmp_path / "file") as one, replacing_file(tmp_path / "file") as other:
        one.write_text("one")
        other.write_text("other")
        assert one != other
    assert (tmp_path / "file").read_text() == "one"  # the outer one is renamed last
