"""TensorProto to NumPy: what servers and clients may send, and what they should not."""

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import protos
from mmkeras.serving.tensors import as_array, decode_tensor, encode_tensor, numpy_dtype_name


def proto(dtype, shape, **fields):
    message = protos.TensorProto(dtype=protos.DataType[dtype], **fields)
    for size in shape:
        message.tensor_shape.dim.add(size=size)
    return message


def test_a_short_field_repeats_its_last_value():
    assert decode_tensor(proto("DT_FLOAT", [2, 3], float_val=[4.0])).tolist() == [[4.0] * 3] * 2
    assert decode_tensor(proto("DT_INT32", [4], int_val=[1, 2])).tolist() == [1, 2, 2, 2]
    assert decode_tensor(proto("DT_STRING", [3], string_val=[b"a", b"b"])).tolist() == [b"a", b"b", b"b"]


def test_no_values_are_zeros_and_a_long_field_is_cut():
    assert decode_tensor(proto("DT_INT64", [2])).tolist() == [0, 0]
    assert decode_tensor(proto("DT_STRING", [1])).tolist() == [b""]
    assert decode_tensor(proto("DT_FLOAT", [1], float_val=[1, 2])).tolist() == [1.0]
    assert decode_tensor(proto("DT_DOUBLE", [], double_val=[7])) == 7.0


def test_strings_in_tensor_content():
    content = bytes([1, 0x80, 0x01]) + b"x" + b"y" * 128
    assert decode_tensor(proto("DT_STRING", [2], tensor_content=content)).tolist() == [b"x", b"y" * 128]


@pytest.mark.parametrize(
    "bad",
    [
        protos.TensorProto(),
        proto("DT_RESOURCE", []),
        proto("DT_FLOAT", [-1], float_val=[1]),
        proto("DT_FLOAT", [2], tensor_content=b"\0" * 7),
        proto("DT_FLOAT", [2**40], float_val=[1]),
        proto("DT_FLOAT", [1] * 40, float_val=[1]),
        proto("DT_STRING", [2], tensor_content=b"\x05\x05abc"),
        proto("DT_STRING", [2], tensor_content=b"\xff"),
        protos.TensorProto(dtype=999),
    ],
)
def test_bad_tensors_are_refused(bad):
    with pytest.raises(MmkerasError, match="Expected"):
        decode_tensor(bad)


def test_lists_are_read_as_tensorflow_reads_them():
    assert as_array([1.0, 2.0]).dtype == np.float32
    assert as_array([1, 2]).dtype == np.int32
    assert as_array([1, 2**40]).dtype == np.int64
    assert as_array(np.array([1.0])).dtype == np.float64
    assert as_array([["\u03c9"], [b"a\x00"]]).tolist() == [["\u03c9".encode()], [b"a\x00"]]
    assert as_array(np.array(["ab", "c"])).tolist() == [b"ab", b"c"]
    assert as_array("scalar").shape == ()


@pytest.mark.parametrize("values", [[1, "a"], ["a", 1], [[1, 2], [3]], [["a"], ["b", "c"]], [None]])
def test_lists_that_are_no_tensor(values):
    with pytest.raises(MmkerasError, match="Expected"):
        encode_tensor(values)


def test_dtype_names():
    assert [numpy_dtype_name(number) for number in (1, 7, 10, 0, 20)] == [
        "float32",
        "string",
        "bool",
        "DT_INVALID",
        "DT_RESOURCE",
    ]


def test_an_array_of_another_byte_order_keeps_its_values():
    array = np.array([1.5, -2], ">f4")
    for typed_fields in (False, True):
        decoded = decode_tensor(encode_tensor(array, typed_fields))
        assert decoded.tolist() == [1.5, -2] and decoded.dtype == np.float32
    assert decode_tensor(encode_tensor(np.array([1], ">i8"))).tolist() == [1]
