import json

import numpy as np
import pytest

from mmkeras.serving.errors import ServingError
from mmkeras.serving.protos import DataType
from mmkeras.serving.server.json_tensors import read_tensor
from mmkeras.serving.server.json_texts import json_text, json_texts


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array([0.2, 1, 1e20, 1e-7, -0.0], np.float32), "[0.2, 1.0, 1e+20, 1e-07, -0.0]"),
        (np.array([0.1, 1 / 3]), "[0.1, 0.3333333333333333]"),
        (np.array([np.nan, np.inf, -np.inf], np.float32), "[NaN, Infinity, -Infinity]"),
        (np.array([[1, -2], [3, 4]], np.int64), "[[1, -2], [3, 4]]"),
        (np.array([True, False]), "[true, false]"),
        (np.zeros([2, 0], np.int32), "[[], []]"),
        (np.zeros([0, 2], np.int32), "[]"),
        (np.float32(3), "3.0"),
        (np.array([b'a"\n', "é".encode()], dtype=object), '["a\\"\\n", "é"]'),
        (np.array([b"\xff", b"a"], dtype=object), '[{"b64": "/w=="}, "a"]'),
    ],
)
def test_arrays_become_json(array, text):
    assert json_text(array) == text


def test_bytes_are_always_base64():
    assert json_text(np.array([b"a"], dtype=object), as_bytes=True) == '[{"b64": "YQ=="}]'


def test_rows_of_json():
    assert json_texts(np.arange(4, dtype=np.int32).reshape(2, 1, 2)) == ["[[0, 1]]", "[[2, 3]]"]
    assert json_texts(np.zeros([2, 0], np.float32)) == ["[]", "[]"]


def test_every_float32_survives_the_way_there_and_back():
    values = np.random.default_rng(0).integers(0, 2**32, 2000, dtype=np.uint32).view(np.float32)
    limits = np.finfo(np.float32)
    powers = np.concatenate([2.0 ** np.arange(-149, 128), 10.0 ** np.arange(-45, 39), [limits.max, limits.min, 0]])
    chosen = np.float32([0.2, 999999.9, 2.9648001e10])
    values = np.concatenate([values[np.isfinite(values)], powers.astype(np.float32), chosen])
    text = json_text(values)
    np.testing.assert_array_equal(read_tensor(json.loads(text), DataType["DT_FLOAT"]), values)
    assert all("." in word or "e" in word for word in text.strip("[]").split(", "))


@pytest.mark.parametrize("dtype", [np.float16, np.uint16])
def test_types_that_rest_cannot_write(dtype):
    with pytest.raises(ServingError, match="Failed to write JSON value for tensor type: (half|uint16)"):
        json_text(np.ones([1], dtype))
