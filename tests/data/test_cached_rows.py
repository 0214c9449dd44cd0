"""Rows by digest, in shards: none is lost, none is wrong, and one shard at a time is in memory."""

import os
import time
import tracemalloc

import numpy as np
import pytest

from mmkeras.data import cached_rows
from mmkeras.data.cached_rows import CachedRows

DIGESTS = np.array([f"{row:064x}" for row in range(2000)], "S64")
ROWS = np.random.default_rng(0).normal(size=(2000, 3, 4)).astype(np.float32)


def open_cache(folder, key=1):
    return CachedRows("toy", key, (3, 4), folder)


def asked(cache, rows):
    """What the cache fills of these rows: which it found, and the array with -1 in all others."""
    array = np.full((len(rows), 3, 4), -1, np.float32)
    found, _ = cache.fill(DIGESTS[rows], array)
    assert np.array_equal(array[found], ROWS[rows][found])
    assert (array[~found] == -1).all()
    return found.tolist()


def shards(cache):
    return sorted(cache.folder.glob("*.cache"))


def test_rows_come_back_in_any_order_and_as_often_as_asked(tmp_path):
    cache = open_cache(tmp_path)
    assert asked(cache, [1, 2]) == [False, False]
    for rows in ([4, 2], [9], [0, 1, 3]):
        assert cache.add(DIGESTS[rows], ROWS[rows])
    assert asked(open_cache(tmp_path), [9, 2, 7, 2, 0, 7, 9]) == [True, True, False, True, True, False, True]
    assert asked(open_cache(tmp_path, key=2), [9, 2]) == [False, False]
    array = np.zeros((3, 3, 4), np.float32)
    found, known = cache.fill(np.array([b"", DIGESTS[9], b""], "S64"), array)
    assert found.tolist() == [False, True, False]
    assert known.tolist() == DIGESTS[[0, 1, 2, 3, 4, 9]].tolist()
    found, known = cache.fill(np.zeros(0, "S64"), array[:0])
    assert found.shape == (0,) and len(known) == 6


def flipped(content):
    return content[:-50] + bytes([content[-50] ^ 1]) + content[-49:]


@pytest.mark.parametrize(
    "damage", [lambda content: b"", lambda content: content[:-1], flipped, lambda content: content * 2]
)
def test_a_damaged_shard_is_removed_alone(tmp_path, damage):
    cache = open_cache(tmp_path)
    cache.add(DIGESTS[:5], ROWS[:5])
    (damaged,) = shards(cache)
    cache.add(DIGESTS[5:9], ROWS[5:9])
    damaged.write_bytes(damage(damaged.read_bytes()))
    assert asked(cache, list(range(9))) == [False] * 5 + [True] * 4
    assert not damaged.exists() and len(shards(cache)) == 1


def test_a_shard_that_cannot_be_read_now_is_kept(tmp_path, monkeypatch):
    cache = open_cache(tmp_path)
    cache.add(DIGESTS[:5], ROWS[:5])

    def too_many(file):
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(cached_rows, "sound_arrays", too_many)
        assert asked(cache, [0, 1]) == [False, False]
    assert asked(cache, [0, 1]) == [True, True]


def test_many_small_shards_are_merged(tmp_path, monkeypatch):
    monkeypatch.setattr(cached_rows, "SHARD_BYTES", 20_000)  # 416 rows
    cache = open_cache(tmp_path)
    for start in range(0, 320, 10):
        cache.add(DIGESTS[start : start + 10], ROWS[start : start + 10])
    cache.merge()
    assert len(shards(cache)) == 32  # not yet many
    cache.add(DIGESTS[300:330], ROWS[300:330])
    large = range(400, 900)
    cache.add(DIGESTS[large], ROWS[large])
    cache.merge()
    sizes = sorted(file.stat().st_size for file in shards(cache))
    assert len(sizes) == 3 and sizes[-1] > 500 * (64 + 48)
    assert asked(cache, list(range(900))) == [True] * 330 + [False] * 70 + [True] * 500
    assert sum(size for size in sizes) < (830 + 10) * (64 + 48) + 3 * 1000  # what was there twice in one is once


def test_others_may_merge_while_shards_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(cached_rows, "MOST_SMALL", 2)
    cache = open_cache(tmp_path)
    for row in range(5):
        cache.add(DIGESTS[[row]], ROWS[[row]])
    read = cached_rows.sound_arrays
    merged = []

    def merging(file):
        if not merged:
            merged.append(True)
            open_cache(tmp_path).merge()
        return read(file)

    monkeypatch.setattr(cached_rows, "sound_arrays", merging)
    assert asked(cache, list(range(5))) == [True] * 5
    assert len(shards(cache)) == 1


def test_a_merge_that_cannot_be_written_removes_nothing(tmp_path, monkeypatch, capsys):
    cache = open_cache(tmp_path)
    for row in range(40):
        cache.add(DIGESTS[[row]], ROWS[[row]])

    def full(source, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        cache.merge()
    assert len(shards(cache)) == 40 and "No space left" in capsys.readouterr().err
    cache.merge()
    assert len(shards(cache)) == 1 and asked(cache, list(range(40))) == [True] * 40


def test_what_killed_processes_left_half_done_is_removed_a_day_later(tmp_path):
    cache = open_cache(tmp_path)
    cache.add(DIGESTS[:1], ROWS[:1])
    old, young = cache.folder / ".tmp-1.cache", cache.folder / ".tmp-2.cache"
    for file in (old, young):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 90_000,) * 2)
    assert asked(cache, [0]) == [True]
    cache.merge()
    assert not old.exists() and young.exists()


def test_a_folder_that_cannot_be_made_is_told_once(tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    for key in range(2):
        cache = open_cache(tmp_path / "file" / "cache", key)
        assert not cache.add(DIGESTS[:2], ROWS[:2])
        assert asked(cache, [0, 1]) == [False, False]
        cache.merge()
    printed = capsys.readouterr()
    assert printed.out == "" and len(printed.err.splitlines()) == 1 and "the cache is not used" in printed.err


def test_beside_the_result_there_is_one_shard_in_memory(tmp_path):
    digests = np.array([f"{row:064x}" for row in range(4096)], "S64")
    rows = np.random.default_rng(0).normal(size=(4096, 1280)).astype(np.float32)  # 20 MiB
    cache = CachedRows("toy", 1, (1280,), tmp_path)
    for start in range(0, 4096, 256):
        cache.add(digests[start : start + 256], rows[start : start + 256])
    result = np.empty_like(rows)
    tracemalloc.start()
    try:
        found, _ = cache.fill(digests[::-1], result)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.all() and np.array_equal(result, rows[::-1])
    assert peak < 6 * 2**20  # a shard is 1.25 MiB, its rows are copied once
