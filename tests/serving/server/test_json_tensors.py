import numpy as np
import pytest

from mmkeras.serving.errors import ServingError
from mmkeras.serving.protos import DataType
from mmkeras.serving.server.json_tensors import read_rows, read_tensor


def refusal(value, name):
    with pytest.raises(ServingError) as caught:
        read_tensor(value, DataType[name])
    return caught.value.code, caught.value.details


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        (3, "DT_FLOAT", np.float32(3)),
        ([1, 2.5], "DT_FLOAT", np.array([1, 2.5], np.float32)),
        ([[1, 2], [3, 4]], "DT_INT32", np.array([[1, 2], [3, 4]], np.int32)),
        ([[[]], [[]]], "DT_DOUBLE", np.zeros([2, 1, 0])),
        ([True, False], "DT_BOOL", np.array([True, False])),
        ([2**63], "DT_UINT64", np.array([2**63], np.uint64)),
        ([-(2**63)], "DT_INT64", np.array([-(2**63)], np.int64)),
        ([float("nan"), float("-inf")], "DT_FLOAT", np.array([np.nan, -np.inf], np.float32)),
        ([2**24 - 1, 1e30], "DT_FLOAT", np.array([2**24 - 1, 1e30], np.float32)),
        ([2**70], "DT_DOUBLE", np.array([2.0**70])),
    ],
)
def test_values_become_arrays(value, name, expected):
    array = read_tensor(value, DataType[name])
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)


def test_strings_are_utf8_or_base64():
    array = read_tensor(["a", "é", "", {"b64": "/w=="}, {"b64": "/w"}, {"b64": " A A\n=="}], DataType["DT_STRING"])
    assert array.tolist() == [b"a", "é".encode(), b"", b"\xff", b"\xff", b"\x00"]


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        (3.5, "DT_INT32", "JSON Value: 3.5 Type: Number is not of expected type: int32"),
        ("a", "DT_INT32", 'JSON Value: "a" Type: String is not of expected type: int32'),
        ([1, True], "DT_INT32", "JSON Value: true Type: True is not of expected type: int32"),
        ([1.0, False], "DT_FLOAT", "JSON Value: false Type: False is not of expected type: float"),
        ([None], "DT_FLOAT", "JSON Value: null Type: Null is not of expected type: float"),
        ([1], "DT_STRING", "JSON Value: 1 Type: Number is not of expected type: string"),
        ([1], "DT_BOOL", "JSON Value: 1 Type: Number is not of expected type: bool"),
        ([{"b64": "AA=="}], "DT_FLOAT", 'JSON Value: {"b64":"AA=="} Type: Object is not of expected type: float'),
        ([128], "DT_INT8", "JSON Value: 128 Type: Number is not of expected type: int8"),
        ([-1], "DT_UINT32", "JSON Value: -1 Type: Number is not of expected type: uint32"),
        ([2**24], "DT_FLOAT", "Cannot convert JSON value: 16777216 to float without loss of precision."),
        ([1e39], "DT_FLOAT", "Cannot convert JSON value: 1e+39 to float without loss of precision."),
        ([10**400], "DT_DOUBLE", f"Cannot convert JSON value: 1{'0' * 255} to double without loss of precision."),
        ([{"b64": "é"}], "DT_STRING", "Unable to base64 decode"),
        ([{"b64": "a"}], "DT_STRING", "Unable to base64 decode"),
        ([{"b64": 1}], "DT_STRING", 'JSON Value: {"b64":1} not formatted correctly for base64 data'),
        (["\ud800"], "DT_STRING", "JSON Parse error: The surrogate pair in string is invalid."),
        ([[1], 2], "DT_FLOAT", "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ([1, [2]], "DT_FLOAT", "Encountered list at unexpected level: 1 expected < 1"),
        ([[1, 2], [3]], "DT_FLOAT", "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_servers_text(value, name, text):
    assert refusal(value, name) == ("INVALID_ARGUMENT", text)


@pytest.mark.parametrize("name", ["DT_HALF", "DT_UINT16", "DT_BFLOAT16", "DT_COMPLEX64"])
def test_types_that_rest_does_not_know(name):
    word = name.removeprefix("DT_").lower()
    assert refusal([1], name) == ("UNIMPLEMENTED", f"Conversion of JSON Value: 1 to type: {word}")
    assert refusal([], name)[0] == "UNIMPLEMENTED"


def test_more_dimensions_than_numpy_has_are_refused():
    value = 1
    for _ in range(100):
        value = [value]
    assert refusal(value, "DT_FLOAT")[0] == "INVALID_ARGUMENT"


def test_the_echo_of_a_value_is_cut():
    code, text = refusal({"key": "x" * 10_000}, "DT_FLOAT")
    assert len(text) < 400


def test_rows_of_different_shape_are_no_rows():
    assert read_rows([[1, 2], [3]], DataType["DT_FLOAT"]) is None
    assert read_rows([1, 2, 3], DataType["DT_FLOAT"]).shape == (3,)
