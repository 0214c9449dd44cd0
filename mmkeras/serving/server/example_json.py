"""JSON objects to tf.Example, as the REST interface's classify and regress take them.

A feature is a number, a string, `{"b64": ...}` or a list of one kind of them: decimals become a float list, integers
and booleans an int64 list, strings a bytes list.

Reference: tensorflow_serving/util/json_tensor.cc.
"""

import math

import numpy as np

from mmkeras.serving import protos
from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.json_tensors import decode_base64, echo, encode_string, is_base64, json_type

_KINDS = {str: "bytes", dict: "bytes", float: "float", int: "int64", bool: "int64"}


def read_example(value):
    """Return the Example of a dict from feature name to value or list of values.

    Raises:
        ServingError: INVALID_ARGUMENT with the server's text.
    """
    if type(value) is not dict:
        raise _invalid(f"Example must be JSON object but got JSON {json_type(value)}")
    example = protos.Example()
    for name, content in value.items():
        encode_string(name)
        _fill(example.features.feature[name], name, content if type(content) is list else [content])
    return example


def _fill(feature, name, values):
    kinds = []
    for value in values:
        if value is None or type(value) is list or (type(value) is dict and not is_base64(value)):
            raise _invalid(f"Feature: {name} has element with unexpected JSON type: {json_type(value)}")
        # An integer of more than 64 bits is read as a decimal.
        is_long = type(value) is int and not -(2**63) <= value < 2**64
        kinds.append("float" if is_long else _KINDS[type(value)])
        if kinds[-1] != kinds[0]:
            raise _invalid(f"Unexpected element type in feature: {name} expecting type: {kinds[0]}")
    if not kinds:
        return
    if kinds[0] == "bytes":
        feature.bytes_list.value.extend(decode_base64(v) if type(v) is dict else encode_string(v) for v in values)
    elif kinds[0] == "float":
        for value in values:
            if float(np.finfo(np.float32).max) < abs(value) < math.inf:
                raise _invalid(f"Cannot convert JSON value: {echo(value)} to float without loss of precision.")
        feature.float_list.value.extend(values)
    elif max(values) >= 2**63:
        raise _invalid(f"Feature: {name} has uint64 element. Only int64 is supported.")
    else:
        feature.int64_list.value.extend(map(int, values))


def _invalid(text):
    return ServingError("INVALID_ARGUMENT", text)
