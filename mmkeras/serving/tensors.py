"""TensorFlow's TensorProto to NumPy and back, without TensorFlow.

A tensor travels in one of two ways: raw little-endian bytes (`tensor_content`), or one repeated field a type
(`float_val`, `string_val`, ...), where a missing tail repeats the last value. Servers answer in typed fields unless
told otherwise, so both are read; strings always travel in `string_val`.

Reference: tensorflow/core/framework/tensor.cc, `Tensor::FromProto`.
"""

import math
import sys

import numpy as np

from mmkeras.errors import MmkerasError
from mmkeras.serving import protos

# A few bytes can claim any shape; what would not fit a gRPC message is not allocated for one.
MAX_TENSOR_BYTES = 2**31 - 1
# Nor is it filled for one: what a tensor gets by repeating its last value takes at most so much.
MAX_REPEATED_BYTES = 2**24
_MOST_DIMENSIONS = 32

# DataType name -> (NumPy dtype, typed field). bfloat16 needs the ml_dtypes package and is added where it is used.
_LAYOUTS = {
    "DT_FLOAT": ("float32", "float_val"),
    "DT_DOUBLE": ("float64", "double_val"),
    "DT_INT32": ("int32", "int_val"),
    "DT_UINT8": ("uint8", "int_val"),
    "DT_INT16": ("int16", "int_val"),
    "DT_INT8": ("int8", "int_val"),
    "DT_STRING": ("object", "string_val"),
    "DT_COMPLEX64": ("complex64", "scomplex_val"),
    "DT_INT64": ("int64", "int64_val"),
    "DT_BOOL": ("bool", "bool_val"),
    "DT_BFLOAT16": ("bfloat16", "half_val"),
    "DT_UINT16": ("uint16", "int_val"),
    "DT_COMPLEX128": ("complex128", "dcomplex_val"),
    "DT_HALF": ("float16", "half_val"),
    "DT_UINT32": ("uint32", "uint32_val"),
    "DT_UINT64": ("uint64", "uint64_val"),
}
_DATA_TYPES = {numpy_name: protos.DataType[name] for name, (numpy_name, _) in _LAYOUTS.items()}
# The same by dtype: NumPy puts a dtype's name together anew each time it is asked.
_DATA_TYPES_OF = {np.dtype(name): number for name, number in _DATA_TYPES.items() if name != "bfloat16"}


def numpy_dtype_name(data_type):
    """Return the NumPy name of a DataType number ("string" for DT_STRING), or its DT_ name where NumPy has none."""
    name = protos.DATA_TYPE_NAMES.get(data_type, f"DT_{data_type}")
    return "string" if name == "DT_STRING" else _LAYOUTS.get(name, (name,))[0]


def type_name(data_type):
    """Return TensorFlow's word for a DataType number: float, double, int32, string, half, ..."""
    return protos.DATA_TYPE_NAMES.get(data_type, str(data_type)).removeprefix("DT_").lower()


def data_type(array):
    """Return the DataType number of an array's dtype."""
    number = _DATA_TYPES_OF.get(array.dtype)
    if number is not None:
        return number
    if array.dtype.name not in _DATA_TYPES:
        raise MmkerasError(f"Expected a dtype among {sorted(_DATA_TYPES)}. Received: dtype={array.dtype.name}")
    return _DATA_TYPES[array.dtype.name]


def as_array(values):
    """Return `values` as an array that `encode_tensor` takes.

    Arrays keep their dtype. Python numbers become float32 and int32 (int64 where they need it), as TensorFlow reads
    them; strings become objects.
    """
    if _holds_strings(values):
        return _as_bytes(np.asarray(values, dtype=object))
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise MmkerasError(f"Expected rows of equal length. Received: {error}") from error
    if array.dtype.kind == "O":
        return _as_bytes(array)
    if isinstance(values, np.ndarray | np.generic):
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    if array.dtype == np.float64:
        return array.astype(np.float32)
    if array.dtype == np.int64 and (not array.size or np.abs(array).max() < 2**31):
        return array.astype(np.int32)
    return array


def _holds_strings(values):
    """Say whether the first leaf is a string: NumPy's own strings would cut trailing zero bytes and pad the rest."""
    while isinstance(values, list | tuple) and len(values):
        values = values[0]
    return isinstance(values, str | bytes) or getattr(values, "dtype", np.dtype(int)).kind in "US"


def _as_bytes(array):
    """Return an object array of the same shape with every string encoded as UTF-8."""
    encoded = np.empty(array.size, dtype=object)
    for position, value in enumerate(array.ravel()):
        if isinstance(value, str):
            value = value.encode()
        if not isinstance(value, bytes):
            raise MmkerasError(
                "Expected numbers, strings or bytes in rows of equal length. "
                f"Received: {type(value).__name__} at position {position}"
            )
        encoded[position] = value
    return encoded.reshape(array.shape)


def encode_tensor(values, typed_fields=False):
    """Return a TensorProto.

    Args:
        values: array or nested list of numbers, strings or bytes.
        typed_fields: True writes the typed field, as a server answers; False the raw bytes, which are faster.
    """
    proto = protos.TensorProto()
    write_tensor(proto, as_array(values), typed_fields)
    return proto


def write_tensor(proto, array, typed_fields=False):
    """Write an array into an empty TensorProto that is a message's field: to copy one there takes protobuf long.

    Args:
        proto: TensorProto.
        array: what `as_array` returns.
        typed_fields: as for `encode_tensor`.
    """
    proto.dtype = data_type(array)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    flat = array.ravel()
    if array.dtype.hasobject:
        proto.string_val.extend(flat.tolist())
    elif not typed_fields:
        proto.tensor_content = _little_endian(flat).tobytes()
    else:
        _set_typed_field(proto, flat)


def decode_tensor(proto):
    """Return the array of a TensorProto; string tensors come as object arrays of bytes.

    Raises:
        MmkerasError: the dtype is unknown, the shape is not a shape, the values do not fit it, or too many of them are
            to be repeated.
    """
    name = protos.DATA_TYPE_NAMES.get(proto.dtype, str(proto.dtype))
    if name not in _LAYOUTS:
        raise MmkerasError(f"Expected a tensor of dtype {', '.join(_LAYOUTS)}. Received: dtype={name}")
    numpy_name, field = _LAYOUTS[name]
    dtype = _numpy_dtype(numpy_name)
    rank = len(proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or rank > _MOST_DIMENSIONS:  # the product of a million sizes takes hours
        raise MmkerasError(f"Expected a tensor of known shape of at most 32 dimensions. Received: {rank} dimensions")
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if any(size < 0 for size in shape):
        raise MmkerasError(f"Expected sizes of at least 0. Received: shape={list(shape)}")
    count = math.prod(shape)
    if count * dtype.itemsize > MAX_TENSOR_BYTES:
        raise MmkerasError(f"Expected a tensor of at most {MAX_TENSOR_BYTES} bytes. Received: shape={list(shape)}")
    if proto.tensor_content and not dtype.hasobject:
        if len(proto.tensor_content) != count * dtype.itemsize:
            raise MmkerasError(
                f"Expected {count * dtype.itemsize} bytes for shape {list(shape)} of {numpy_name}. "
                f"Received: {len(proto.tensor_content)} bytes"
            )
        return _from_little_endian(proto.tensor_content, dtype).reshape(shape)
    if proto.tensor_content:
        values = _split_strings(proto.tensor_content, count)
    else:
        values = getattr(proto, field)
    return _fill(values, count, dtype, field).reshape(shape)


def _set_typed_field(proto, flat):
    field = _LAYOUTS[protos.DATA_TYPE_NAMES[proto.dtype]][1]
    if field == "half_val":
        flat = flat.view(np.uint16)
    if flat.dtype.kind in "fc":
        # On the wire a packed field of floats is their bytes; over a Python list it takes ten times as long.
        content = _little_endian(flat).tobytes()
        tag = protos.TensorProto.DESCRIPTOR.fields_by_name[field].number << 3 | 2
        proto.MergeFromString(bytes([tag]) + _varint(len(content)) + content)
    else:
        getattr(proto, field).extend(flat.tolist())


def _varint(number):
    """Return a non-negative integer as protobuf writes it."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _numpy_dtype(name):
    """Return the dtype; bfloat16, which NumPy does not know, through ml_dtypes."""
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError as error:
        raise MmkerasError("A bfloat16 tensor needs the ml_dtypes package: pip install ml_dtypes") from error
    return np.dtype(ml_dtypes.bfloat16)


def _fill(values, count, dtype, field):
    """Return `count` values: cut, or continued with the last one (zero or the empty string where there is none)."""
    repeated = (count - len(values)) * dtype.itemsize
    if repeated > MAX_REPEATED_BYTES:
        raise MmkerasError(
            f"Expected at most {MAX_REPEATED_BYTES} bytes of repeated values. "
            f"Received: {len(values)} values for {count}, of {dtype.itemsize} bytes each"
        )
    if dtype.hasobject:
        values = list(values[:count])
        flat = np.empty(count, dtype=object)
        flat[: len(values)] = values
        flat[len(values) :] = values[-1] if values else b""
        return flat
    if field == "half_val":
        flat = (np.array(values, dtype=np.int64) & 0xFFFF).astype(np.uint16).view(dtype)
    elif field == "int_val":
        flat = np.array(values, dtype=np.int32).astype(dtype)
    elif dtype.kind == "c":
        flat = np.array(values[: len(values) // 2 * 2], dtype=np.zeros(0, dtype).real.dtype).view(dtype)
    else:
        flat = np.array(values, dtype=dtype)
    if len(flat) >= count:
        return flat[:count]
    return np.concatenate([flat, np.full(count - len(flat), flat[-1] if len(flat) else 0, dtype=dtype)])


def _split_strings(content, count):
    """Return the strings of a `tensor_content`: `count` varint lengths, then the bytes one after the other."""
    lengths, position = [], 0
    while len(lengths) < count:
        length, shift = 0, 0
        while True:
            if position >= len(content) or shift > 63:
                raise MmkerasError(f"Expected the lengths of {count} strings. Received: {len(content)} bytes")
            byte = content[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if sum(lengths) != len(content) - position:
        raise MmkerasError(f"Expected {sum(lengths)} bytes of strings. Received: {len(content) - position}")
    strings = []
    for length in lengths:
        strings.append(content[position : position + length])
        position += length
    return strings


def _little_endian(flat):
    return flat if sys.byteorder == "little" else flat.byteswap()


def _from_little_endian(content, dtype):
    if dtype == np.bool_:
        return np.frombuffer(content, np.uint8) != 0
    flat = np.frombuffer(content, dtype)
    return flat.copy() if sys.byteorder == "little" else flat.byteswap()
