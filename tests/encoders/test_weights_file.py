import sys

import numpy as np
import pytest

from mmkeras.encoders.weights_file import read_weights
from mmkeras.errors import MmkerasError


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_arrays_come_back_by_name(ending, tmp_path):
    arrays = {"a.weight": np.arange(6, dtype="float32").reshape(2, 3), "b": np.ones(2, "float16")}
    file = tmp_path / f"file{ending}"
    if ending == ".npz":
        np.savez(file, **arrays)
    else:
        pytest.importorskip("safetensors.numpy").save_file(arrays, file)
    read = read_weights(file)
    assert set(read) == set(arrays)
    for name, value in arrays.items():
        np.testing.assert_array_equal(read[name], value)
        assert read[name].dtype == "float32"


def test_the_shorter_numbers_of_16_bits_are_read_too(tmp_path):
    """bfloat16 is the upper half of float32: 1 is 0x3f80, -2.5 is 0xc020."""
    data = np.array([0x3F80, 0xC020], "<u2").tobytes()
    head = b'{"a":{"dtype":"BF16","shape":[2,1],"data_offsets":[0,4]}}'
    (tmp_path / "half.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + data)
    pytest.importorskip("safetensors.numpy")
    (array,) = read_weights(tmp_path / "half.safetensors").values()
    np.testing.assert_array_equal(array, np.array([[1.0], [-2.5]], "float32"))
    assert array.dtype == "float32"


def test_another_kind_of_file_and_none_are_refused(tmp_path):
    with pytest.raises(MmkerasError, match=r"Expected a file of weights, .safetensors or .npz. Received: 'model.pth'"):
        read_weights("model.pth")
    with pytest.raises(MmkerasError, match="There is no file of weights"):
        read_weights(tmp_path / "model.npz")


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n" * 9])
def test_a_broken_file_is_told(ending, content, tmp_path):
    if ending == ".safetensors":
        pytest.importorskip("safetensors")
    file = tmp_path / f"broken{ending}"
    file.write_bytes(content)
    with pytest.raises(MmkerasError, match=f"cannot be read as {ending}{'.*git lfs pull' if content else ''}"):
        read_weights(file)


def test_a_file_of_objects_is_not_executed(tmp_path):
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    with pytest.raises(MmkerasError, match="cannot be read as .npz"):
        read_weights(tmp_path / "objects.npz")


def test_the_missing_package_is_named(tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"pip install 'mmkeras\[pretrained\]'"):
        read_weights(tmp_path / "model.safetensors")
