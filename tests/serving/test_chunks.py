"""How rows are divided into requests."""

import numpy as np

from mmkeras.serving.chunks import chunks
from mmkeras.serving.pictures import Pictures, object_array


def ends(*arguments):
    found = chunks(*arguments)
    assert [chunk.start for chunk in found] == [0, *(chunk.stop for chunk in found[:-1])]
    return [chunk.stop for chunk in found]


def test_by_rows():
    texts = object_array([b"x"] * 7)
    assert ends({"text": texts}, 3) == [3, 6, 7]
    assert ends({"text": texts}, 7) == ends({"text": texts}, 100) == [7]
    assert ends({"text": texts}, 1) == [1, 2, 3, 4, 5, 6, 7]


def test_by_bytes():
    texts = object_array([b"x" * size for size in (4, 6, 1, 30, 9, 1, 1)])
    assert ends({"text": texts}, 100, 10) == [2, 3, 4, 6, 7]
    assert ends({"text": texts, "again": texts}, 100, 20) == [2, 3, 4, 6, 7]
    assert ends({"image": np.zeros([5, 2, 2, 3], np.uint8)}, 100, 24) == [2, 4, 5]
    assert ends({"image": np.zeros([3, 2], np.float32)}, 100, 8) == [1, 2, 3]


def test_pictures_by_their_size(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(b"x" * 10)
    pictures = Pictures([file, b"x" * 5, np.zeros([2, 3], np.uint8), str(file)])
    assert pictures.sizes == [10, 5, 6, 10]
    assert ends({"image_bytes": pictures, "text": object_array([b""] * 4)}, 100, 16) == [2, 4]
