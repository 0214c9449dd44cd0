"""The cache: what is damaged, half there or unwritable costs time, never the result."""

import multiprocessing
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from mmkeras.data.cache import cache_folder, cached_arrays

ARRAYS = {"a": np.arange(12, dtype=np.int32).reshape(3, 4), "names": np.array(["x", "yz"])}


class Maker:
    """Makes the arrays and counts how often."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return {name: array.copy() for name, array in ARRAYS.items()}


def check(arrays):
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert np.array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def only_file(folder):
    (file,) = folder.iterdir()
    return file


def test_made_once(tmp_path):
    make = Maker()
    for _ in range(3):
        check(cached_arrays("toy", {"version": 1}, make, tmp_path))
    assert make.calls == 1
    assert only_file(tmp_path).name.startswith("toy-")


def test_another_key_is_another_file(tmp_path):
    make = Maker()
    cached_arrays("toy", {"version": 1}, make, tmp_path)
    cached_arrays("toy", {"version": 2}, make, tmp_path)
    assert make.calls == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_order_of_a_keys_entries_does_not_matter(tmp_path):
    make = Maker()
    cached_arrays("toy", {"a": 1, "b": 2}, make, tmp_path)
    cached_arrays("toy", {"b": 2, "a": 1}, make, tmp_path)
    assert make.calls == 1


def flipped(content, position):
    changed = bytearray(content)
    changed[position] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:40],
        lambda content: content[:65],
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: flipped(content, 3),
        lambda content: flipped(content, 64),
        lambda content: flipped(content, 65),
        lambda content: flipped(content, len(content) // 2),
        lambda content: flipped(content, len(content) - 1),
        lambda content: os.urandom(len(content)),
    ],
)
def test_a_damaged_file_is_made_again(tmp_path, damage):
    make = Maker()
    cached_arrays("toy", 1, make, tmp_path)
    file = only_file(tmp_path)
    sound = file.read_bytes()
    file.write_bytes(damage(sound))
    check(cached_arrays("toy", 1, make, tmp_path))
    assert make.calls == 2
    assert only_file(tmp_path) == file
    check(cached_arrays("toy", 1, make, tmp_path))
    assert make.calls == 2


def test_a_folder_in_the_place_of_the_file(tmp_path, capsys):
    make = Maker()
    cached_arrays("toy", 1, make, tmp_path)
    file = only_file(tmp_path)
    file.unlink()
    file.mkdir()
    check(cached_arrays("toy", 1, make, tmp_path))
    assert "the cache is not used" in capsys.readouterr().err
    assert only_file(tmp_path) == file


def test_a_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    make = Maker()
    for _ in range(2):
        check(cached_arrays("toy", 1, make, tmp_path / "file" / "cache"))
    assert make.calls == 2
    printed = capsys.readouterr()
    assert printed.out == ""  # where programs read the answers
    assert "the cache is not used" in printed.err
    assert str(tmp_path / "file" / "cache") in printed.err


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, capsys):
    def full(source, target):
        raise OSError(28, "No space left on device")

    make = Maker()
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        check(cached_arrays("toy", 1, make, tmp_path))
    assert "No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_make_is_not_swallowed(tmp_path):
    def make():
        raise OSError("no fonts")

    with pytest.raises(OSError, match="no fonts"):
        cached_arrays("toy", 1, make, tmp_path)
    assert list(tmp_path.iterdir()) == []


def _write_often(folder, barrier):
    barrier.wait()
    for _ in range(40):
        check(cached_arrays("toy", 1, Maker(), folder))
        for file in Path(folder).glob("toy-*"):
            file.unlink(missing_ok=True)
    check(cached_arrays("toy", 1, Maker(), folder))


def test_processes_that_write_at_once_leave_one_sound_file(tmp_path):
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
    barrier = context.Barrier(3)
    processes = [context.Process(target=_write_often, args=(tmp_path, barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    if list(tmp_path.iterdir()):  # another process may have removed the last one's
        make = Maker()
        check(cached_arrays("toy", 1, make, tmp_path))
        assert make.calls == 0
    assert not list(tmp_path.glob(".tmp-*"))


def test_folder_follows_the_environment(monkeypatch):
    monkeypatch.setenv("MMKERAS_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    monkeypatch.setenv("HOME", "/c")
    assert cache_folder() == Path("/a")
    monkeypatch.delenv("MMKERAS_CACHE")
    assert cache_folder() == Path("/b/mmkeras")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == Path("/c/.cache/mmkeras")


def test_a_user_without_a_home(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MMKERAS_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert cache_folder() == Path(tempfile.gettempdir()) / "mmkeras-cache"
