"""`ArrayWriter`: what it writes is what NumPy writes, however the rows came."""

import numpy as np
import pytest

from mmkeras.search.array_writer import ArrayWriter


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.int64])
@pytest.mark.parametrize("width", [None, 1, 3])
@pytest.mark.parametrize("parts", [[], [0], [1], [5, 0, 7], [1000, 100_000]])
def test_bytes_are_numpys(tmp_path, dtype, width, parts):
    shape = (sum(parts),) if width is None else (sum(parts), width)
    values = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    writer, start = ArrayWriter(tmp_path / "ours.npy", dtype, width), 0
    for part in parts:
        writer.append(values[start : start + part])
        start += part
    writer.close()
    writer.close()
    np.save(tmp_path / "theirs.npy", values)
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()


def test_rows_may_lie_apart_in_memory(tmp_path):
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    writer = ArrayWriter(tmp_path / "a.npy", np.float32, 3)
    writer.append(values[::2, ::2])
    writer.close()
    assert np.load(tmp_path / "a.npy").tolist() == [[0, 2, 4], [12, 14, 16]]


def test_an_array_that_was_discarded_is_not_whole(tmp_path):
    writer = ArrayWriter(tmp_path / "a.npy", np.float32, 3)
    writer.append(np.ones((2, 3), np.float32))
    writer.discard()
    writer.close()
    assert np.load(tmp_path / "a.npy").shape == (0, 3)  # its header says nothing of them
