"""Arrays to JSON text, number by number as TensorFlow Serving's REST interface writes them.

It differs from TensorFlow Serving in one thing: a string that is no UTF-8 is written as `{"b64": ...}` instead of as
invalid JSON.

Reference: tensorflow_serving/util/json_tensor.cc.
"""

import base64
import json
import math

import numpy as np

from mmkeras.serving.errors import ServingError


def json_texts(array, as_bytes=False):
    """Return the JSON text of each row of an array of at least one dimension.

    Floats always have a '.' or an 'e' and as many digits as tell them apart; NaN and infinities are written as
    JavaScript spells them, which is not standard JSON.

    Args:
        array: of a type that REST knows; strings as objects of bytes.
        as_bytes: strings become `{"b64": ...}`, all of them.

    Raises:
        ServingError: INVALID_ARGUMENT for a type that REST does not know.
    """
    return _nest(_leaf_texts(array, as_bytes), array.shape[1:], len(array))


def json_text(array, as_bytes=False):
    """Return the JSON text of a whole array, a scalar without brackets."""
    return _nest(_leaf_texts(array, as_bytes), array.shape, 1)[0]


def _leaf_texts(array, as_bytes):
    """Return the JSON texts of all elements, in one list."""
    flat, kind = array.ravel(), array.dtype.kind
    if array.dtype.hasobject:
        return [_string_text(value, as_bytes) for value in flat]
    if array.dtype.name in ("float32", "float64"):
        texts = list(map(repr, flat.tolist())) if array.dtype == np.float64 else _float32_texts(flat)
        for position in np.flatnonzero(~np.isfinite(flat)).tolist():
            texts[position] = json.dumps(float(flat[position]))
        return texts
    if kind == "b":
        return ["true" if value else "false" for value in flat.tolist()]
    if kind in "iu" and array.dtype.name != "uint16":
        return list(map(str, flat.tolist()))
    name = {"float16": "half"}.get(array.dtype.name, array.dtype.name)
    raise ServingError("INVALID_ARGUMENT", f"Failed to write JSON value for tensor type: {name}")


def _float32_texts(flat):
    """Return each number with six digits where they suffice, else with nine, which always do."""
    texts = ("%.9g " * flat.size % tuple(flat.tolist())).split()
    with np.errstate(all="ignore"):
        wide = flat.astype(np.float64)
        digits = 5 - np.floor(np.log10(np.abs(wide)))
        # Only the positive powers of ten are exact.
        power = 10.0 ** np.abs(digits)
        rounded = np.where(digits > 0, np.rint(wide * power) / power, np.rint(wide / power) * power)
        is_short = rounded.astype(np.float32) == flat
    positions = np.flatnonzero(is_short)
    for position, text in zip(
        positions.tolist(), ("%.6g " * positions.size % tuple(wide[positions])).split(), strict=True
    ):
        texts[position] = text
    for position in np.flatnonzero(np.rint(flat) == flat).tolist():
        if "e" not in texts[position]:
            texts[position] += ".0"
    return texts


def _string_text(value, as_bytes):
    if not as_bytes:
        try:
            return json.dumps(value.decode(), ensure_ascii=False)
        except UnicodeDecodeError:
            pass
    return f'{{"b64": "{base64.b64encode(value).decode()}"}}'


def _nest(texts, shape, count):
    """Return `count` JSON texts, each of an array of `shape`."""
    for depth in reversed(range(len(shape))):
        size, groups = shape[depth], count * math.prod(shape[:depth])
        texts = ["[" + ", ".join(texts[group * size : (group + 1) * size]) + "]" for group in range(groups)]
    return texts
