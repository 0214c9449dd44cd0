"""The bodies of REST requests: from JSON to a signature's inputs, with the server's checks and texts.

Predict knows two formats. Row: `{"instances": [...]}` is answered by `{"predictions": [...]}`, one value (or object of
values) a row. Column: `{"inputs": ...}` is answered by `{"outputs": ...}`, one value (or object of values) in all.

Example:
    >>> document = parse_body(b'{"instances": [[1, 2], [3, 4]]}')
    >>> in_rows, feeds = read_inputs(document, signature)
    >>> in_rows, feeds["x"].shape
    (True, (2, 2))

Reference: tensorflow_serving/util/json_tensor.cc.
"""

import json
import math

from mmkeras.serving import protos
from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.example_json import read_example
from mmkeras.serving.server.json_tensors import (
    echo,
    encode_string,
    explain,
    is_base64,
    no_such_type,
    read_rows,
    read_tensor,
    shape_of,
)
from mmkeras.serving.server.request_limits import NO_LIMITS

_decoder = json.JSONDecoder()


def parse_body(body):
    """Return the object that a request's body holds; what follows it is not looked at.

    Raises:
        ServingError: INVALID_ARGUMENT, "JSON Parse error: ..." or "JSON Value: ... Is not object".
    """
    if not body.strip():
        raise _invalid("JSON Parse error: The document is empty")
    try:
        text = body.decode("utf-8-sig").lstrip(" \t\r\n")
        document, _ = _decoder.raw_decode(text)
    except UnicodeDecodeError as error:
        raise _invalid(
            f"JSON Parse error: Invalid encoding in string. at offset: {error.start}. "
            'JSON is UTF-8; send other bytes as {"b64": "..."}'
        ) from error
    except json.JSONDecodeError as error:
        raise _invalid(f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    except (RecursionError, ValueError) as error:  # ValueError: an integer of thousands of digits
        raise _invalid(f"JSON Parse error: {error}") from error
    if type(document) is not dict:
        raise _invalid(f"JSON Value: {echo(document)} Is not object")
    signature_name(document)
    return document


def signature_name(document):
    """Return the signature that a request names; empty where it names none."""
    name = document.get("signature_name", "")
    if type(name) is not str:
        raise _invalid(
            f"JSON Value: {echo(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    encode_string(name)
    return name


def read_inputs(document, signature, limits=NO_LIMITS):
    """Return (in rows, dict from input alias to array) of a predict request.

    Args:
        document: the body, of `parse_body`.
        signature: SignatureDef; only its inputs' names and types are looked at, as on TensorFlow Serving.
        limits: `RequestLimits`, of which the rows are counted here, before any value is converted.

    Raises:
        ServingError: INVALID_ARGUMENT, or UNIMPLEMENTED for an input type that REST does not know.
    """
    if "instances" in document and "inputs" in document:
        raise _invalid(
            f"JSON Value: {echo(document)} Not formatted correctly expecting only one of "
            "'inputs' or 'instances' keys to exist "
        )
    if not signature.inputs:
        raise _invalid(f"Failed to get input map for signature: {signature_name(document) or 'DEFAULT'}")
    types = {alias: info.dtype for alias, info in sorted(signature.inputs.items())}
    if "instances" in document:
        instances = document["instances"]
        if type(instances) is not list:
            raise _invalid(f"JSON Value: {echo(document)} Excepting 'instances' to be an list/array")
        if not instances:
            raise _invalid(f"JSON Value: {echo(document)} No values in 'instances' array")
        limits.check_rows(len(instances), "instances")
        return True, _read_instances(instances, types)
    if "inputs" in document:
        return False, _read_columns(document["inputs"], types, limits)
    raise _invalid("Missing 'inputs' or 'instances' key")


def read_examples(document, method, limits=NO_LIMITS):
    """Return the Input of a classify or regress request: its examples, with the context where it has one.

    Args:
        document: the body, of `parse_body`.
        method: "classify" or "regress", for an error's text.
        limits: `RequestLimits`, of which the examples are counted here, before any is converted.

    Raises:
        ServingError: INVALID_ARGUMENT.
    """
    context = read_example(document["context"]) if "context" in document else None
    if "examples" not in document:
        raise _invalid(
            f"JSON Value: {echo(document)} When method is {method}, key 'examples' is expected and was not found"
        )
    examples = document["examples"]
    if type(examples) is not list:
        raise _invalid(f"JSON Value: {echo(document)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise _invalid(f"JSON Value: {echo(document)} 'examples' value is an empty array")
    limits.check_rows(len(examples), "examples")
    examples = [read_example(example) for example in examples]
    if context is None:
        return protos.Input(example_list=protos.ExampleList(examples=examples))
    return protos.Input(example_list_with_context=protos.ExampleListWithContext(examples=examples, context=context))


def _read_instances(instances, types):
    named = _is_named(instances[0])
    if not named and len(types) > 1:
        raise _invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    if named:
        columns = _columns(instances, types)
    else:
        columns = None if any(map(_is_named, instances)) else {next(iter(types)): instances}
    feeds = {alias: read_rows(values, types[alias]) for alias, values in (columns or {}).items()}
    if not feeds or any(array is None for array in feeds.values()):
        _explain_instances(instances, types, named)
        raise no_such_type(instances[0], next(iter(types.values())))
    return feeds


def _is_named(instance):
    return type(instance) is dict and not is_base64(instance)


def _columns(instances, types):
    """Return a dict from alias to values, or None where an instance has other keys."""
    if not all(_is_named(instance) and instance.keys() == types.keys() for instance in instances):
        return None
    return {alias: [instance[alias] for instance in instances] for alias in types}


def _explain_instances(instances, types, named):
    """Raise the ServingError of the first instance that does not fit; instance by instance, as the server goes."""
    shapes = {}
    for position, instance in enumerate(instances):
        if named != _is_named(instance):
            raise _invalid(
                f"Expecting object but got list at item {position} of input list"
                if named
                else f"Expecting value/list but got object at item {position} of input list"
            )
        where = f"Failed to process element: {position}"
        for alias, value in instance.items() if named else [(next(iter(types)), instance)]:
            try:
                _explain_value(alias, value, types, shapes)
            except ServingError as error:
                key = f" key: {alias}" if named else ""
                raise _invalid(f"{where}{key} of 'instances' list. Error: {error.code}: {error.details}") from error
        if named and instance.keys() != types.keys():
            raise _invalid(
                f"{where} of 'instances' list. JSON object: {echo(instance)} keys must be equal to: {','.join(types)}"
            )


def _explain_value(alias, value, types, shapes):
    if alias not in types:
        raise _invalid(f"JSON object: does not have named input: {alias}")
    shape = shape_of(value)
    explain(value, shape, types[alias])
    first = shapes.setdefault(alias, shape)
    size, expected = math.prod(shape), math.prod(first)
    if size != expected:
        raise _invalid(f"Expecting tensor size: {expected} but got: {size}")
    if shape != first:
        raise _invalid(f"Expecting shape {_shape_text(first)} but got: {_shape_text(shape)}")


def _read_columns(inputs, types, limits):
    if type(inputs) is not dict or is_base64(inputs):
        if len(types) > 1:
            raise _invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        ((alias, data_type),) = types.items()
        return {alias: _read_column(alias, inputs, data_type, limits)}
    for alias in types:
        if alias not in inputs:
            raise _invalid(f"Missing named input: {alias} in 'inputs' object.")
    return {alias: _read_column(alias, inputs[alias], data_type, limits) for alias, data_type in types.items()}


def _read_column(alias, value, data_type, limits):
    if type(value) is list:
        limits.check_rows(len(value), f"input {alias}")
    return read_tensor(value, data_type)


def _shape_text(shape):
    return "[" + ",".join(map(str, shape)) + "]"


def _invalid(text):
    return ServingError("INVALID_ARGUMENT", text)
