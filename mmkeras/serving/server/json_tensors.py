"""JSON values to arrays, with the checks and texts of TensorFlow Serving's REST interface.

The whole value is read at once where nothing is wrong with it; only a value that does not fit is walked again, leaf by
leaf, for the original's text. It differs in one thing: an integer that its type cannot hold is refused instead
of wrapped.

Reference: tensorflow_serving/util/json_tensor.cc.
"""

import base64
import binascii
import itertools
import json
import math

import numpy as np

from mmkeras.serving import protos
from mmkeras.serving.errors import ServingError
from mmkeras.serving.tensors import type_name

_INTEGERS = {"DT_INT8", "DT_INT16", "DT_INT32", "DT_INT64", "DT_UINT8", "DT_UINT32", "DT_UINT64"}
# The largest integer up to which the type holds every one.
_EXACT_INTEGERS = {"DT_FLOAT": 2**24 - 1, "DT_DOUBLE": 2**53 - 1}
_NUMPY_NAMES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64"}
_MAX_RANK = 32
_ECHO_BYTES = 256
_JSON_TYPES = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number", type(None): "Null"}


def read_tensor(value, data_type):
    """Return the array of a JSON value: a scalar, or lists in lists of one size.

    Args:
        value: what `json` read.
        data_type: DataType number.

    Raises:
        ServingError: INVALID_ARGUMENT where the value does not fit, UNIMPLEMENTED where REST knows no such type.
    """
    shape = shape_of(value)
    array = _read([value], shape, protos.DATA_TYPE_NAMES[data_type])
    if array is None:
        explain(value, shape, data_type)
        raise no_such_type(value, data_type)
    return array.reshape(shape)


def read_rows(values, data_type):
    """Return the array whose rows are the JSON values, or None where one does not fit or differs in shape.

    `explain` tells what is wrong with one of them.
    """
    shape = shape_of(values[0])
    array = _read(values, shape, protos.DATA_TYPE_NAMES[data_type])
    return None if array is None else array.reshape([len(values), *shape])


def shape_of(value):
    """Return the shape that the first elements of a JSON value promise."""
    shape = []
    while type(value) is list:
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def is_base64(value):
    """Say whether a JSON value is `{"b64": "..."}`."""
    return type(value) is dict and len(value) == 1 and type(value.get("b64")) is str


def decode_base64(value):
    """Return the bytes of `{"b64": "..."}`; white space and missing padding are allowed."""
    text = "".join(value["b64"].split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ServingError("INVALID_ARGUMENT", "Unable to base64 decode") from error


def echo(value):
    """Return the beginning of a value's JSON, for an error's text."""
    text, size = [], 0
    for chunk in json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).iterencode(value):
        text.append(chunk)
        size += len(chunk)
        if size > _ECHO_BYTES:
            break
    return "".join(text).encode(errors="replace")[:_ECHO_BYTES].decode(errors="ignore")


def json_type(value):
    """Return the server's word for a JSON value's type: Object, Array, String, Number, True, False or Null."""
    return str(value) if type(value) is bool else _JSON_TYPES[type(value)]


def explain(value, shape, data_type):
    """Raise the ServingError that says why `value` is no tensor of `shape`; return where it is one."""
    if len(shape) > _MAX_RANK:
        raise _invalid(f"Encountered list at unexpected level: {_MAX_RANK} expected < {_MAX_RANK}")
    _walk(value, 0, shape, data_type)


def no_such_type(value, data_type):
    """Return the ServingError of a type that REST does not know."""
    return ServingError("UNIMPLEMENTED", f"Conversion of JSON Value: {echo(value)} to type: {type_name(data_type)}")


def encode_string(text):
    """Return the UTF-8 bytes of a JSON string."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise _invalid("JSON Parse error: The surrogate pair in string is invalid.") from error


def _read(values, shape, name):
    if len(shape) > _MAX_RANK:
        return None
    leaves = values
    for size in shape:
        if set(map(type, leaves)) != {list} or set(map(len, leaves)) != {size}:
            return None
        leaves = list(itertools.chain.from_iterable(leaves))
    kinds = set(map(type, leaves))
    try:
        if name == "DT_STRING":
            return _strings(leaves, kinds)
        if name == "DT_BOOL":
            return np.array(leaves, bool) if kinds <= {bool} else None
        if name in _INTEGERS:
            return np.array(leaves, name.removeprefix("DT_").lower()) if kinds <= {int} else None
        if name in _EXACT_INTEGERS and kinds <= {int, float}:
            return _floats(leaves, kinds, name)
    except OverflowError:
        pass
    return None


def _strings(leaves, kinds):
    if kinds == {str}:
        strings = [encode_string(leaf) for leaf in leaves]
    elif kinds <= {str, dict} and all(type(leaf) is str or is_base64(leaf) for leaf in leaves):
        strings = [encode_string(leaf) if type(leaf) is str else decode_base64(leaf) for leaf in leaves]
    else:
        return None
    array = np.empty(len(strings), dtype=object)
    array[:] = strings
    return array


def _floats(leaves, kinds, name):
    wide = np.array(leaves, np.float64)
    with np.errstate(over="ignore"):
        array = wide.astype(_NUMPY_NAMES[name])
    if not np.array_equal(np.isinf(array), np.isinf(wide)):
        return None
    if int in kinds and np.nanmax(np.abs(wide)) > _EXACT_INTEGERS[name] and not all(_fits(v, name) for v in leaves):
        return None
    return array


def _fits(number, name):
    """Say whether a float type holds a JSON number; what is no 64-bit integer is read as a decimal."""
    if type(number) is int and -(2**63) <= number < 2**64:
        return abs(number) <= _EXACT_INTEGERS[name]
    try:
        with np.errstate(over="ignore"):
            return bool(np.isinf(np.dtype(_NUMPY_NAMES[name]).type(float(number)))) == (abs(number) == math.inf)
    except OverflowError:
        return False


def _walk(value, level, shape, data_type):
    if type(value) is list:
        if level >= len(shape):
            raise _invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(value) != shape[level]:
            raise _invalid(
                f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
            )
        for element in value:
            _walk(element, level + 1, shape, data_type)
    elif level != len(shape):
        raise _invalid(
            f"JSON Value: {echo(value)} found at incorrect level: {level + 1} in the JSON DOM. "
            f"Expected at level: {len(shape)}"
        )
    else:
        _explain_leaf(value, data_type)


def _explain_leaf(value, data_type):
    name, kind = protos.DATA_TYPE_NAMES[data_type], type(value)
    if name not in _INTEGERS and name not in _EXACT_INTEGERS and name not in ("DT_STRING", "DT_BOOL"):
        raise no_such_type(value, data_type)
    if kind is dict and name == "DT_STRING":
        if not is_base64(value):
            raise _invalid(f"JSON Value: {echo(value)} not formatted correctly for base64 data")
        decode_base64(value)
    elif name in _EXACT_INTEGERS and kind in (int, float):
        if not _fits(value, name):
            raise _invalid(
                f"Cannot convert JSON value: {echo(value)} to {type_name(data_type)} without loss of precision."
            )
    elif _read([value], [], name) is None:
        raise _invalid(
            f"JSON Value: {echo(value)} Type: {json_type(value)} is not of expected type: {type_name(data_type)}"
        )


def _invalid(text):
    return ServingError("INVALID_ARGUMENT", text)
