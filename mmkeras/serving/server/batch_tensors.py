"""Arrays of several requests made one batch, and a batch's outputs made each request's again.

Reference: tensorflow_serving/batching/batching_session.cc, batching_util.cc.
"""

import math

import numpy as np

from mmkeras.serving.errors import ServingError
from mmkeras.serving.server.request_limits import MAX_MESSAGE_BYTES


def batch_size(feeds):
    """Return the number of rows of a request's inputs.

    Args:
        feeds: dict from input alias to array.

    Raises:
        ServingError: INVALID_ARGUMENT, an input is a scalar or the inputs disagree.
    """
    sizes = set()
    for array in feeds.values():
        if array.ndim == 0:
            raise ServingError("INVALID_ARGUMENT", "Batching Run() input tensors must have at least one dimension")
        sizes.add(len(array))
    if len(sizes) != 1:
        raise ServingError("INVALID_ARGUMENT", "Batching Run() input tensors must have equal 0th-dimension size")
    return sizes.pop()


def merge_inputs(several_feeds, signature, padding_rows, pad_variable_length):
    """Return one dict of arrays with the rows of all, one after the other.

    Args:
        several_feeds: list of dicts from input alias to array.
        signature: SignatureDef, for a tensor's name in an error's text.
        padding_rows: how many times the last request's first row is added, to reach an allowed size.
        pad_variable_length: rows of different shapes are filled up to the largest with their array's first element, as
            the original does; where False they are an error.

    Raises:
        ServingError: FAILED_PRECONDITION, the rows have different shapes, or are too large once padded.
    """
    merged = {}
    for alias in several_feeds[0]:
        arrays = [feeds[alias] for feeds in several_feeds]
        if len({array.shape[1:] for array in arrays}) > 1:
            if not pad_variable_length or len({array.ndim for array in arrays}) > 1:
                raise _different_shapes(signature.inputs[alias].name)
            arrays = _pad_to_largest(arrays, signature.inputs[alias].name)
        if padding_rows:
            arrays = [*arrays, np.repeat(arrays[-1][:1], padding_rows, axis=0)]
        merged[alias] = np.concatenate(arrays) if len(arrays) > 1 else arrays[0]
    return merged


def split_outputs(arrays, sizes, padding_rows):
    """Return a list of lists of arrays, one list for each of the `sizes`; the padding's rows are dropped.

    Raises:
        ServingError: FAILED_PRECONDITION, an output has not one row for each row of the input.
    """
    rows = sum(sizes) + padding_rows
    for array in arrays:
        if np.ndim(array) == 0:
            raise ServingError("FAILED_PRECONDITION", "Batched output tensor has 0 dimensions")
        if len(array) != rows:
            raise ServingError(
                "FAILED_PRECONDITION",
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input "
                "tensors",
            )
    ends = np.cumsum(sizes)
    return [[array[end - size : end] for array in arrays] for end, size in zip(ends, sizes, strict=True)]


def contradicts(feeds, signature):
    """Say whether an input's shape is not the signature's, so that only its own request may fail for it."""
    for alias, array in feeds.items():
        shape = signature.inputs[alias].tensor_shape
        if shape.unknown_rank:
            continue
        sizes = [dim.size for dim in shape.dim]
        if len(sizes) != array.ndim or any(
            size >= 0 and size != found for size, found in zip(sizes[1:], array.shape[1:], strict=True)
        ):
            return True
    return False


def _pad_to_largest(arrays, name):
    shape = np.max([array.shape[1:] for array in arrays], axis=0)
    size = sum(map(len, arrays)) * math.prod(shape.tolist()) * arrays[0].itemsize
    if size > MAX_MESSAGE_BYTES:  # one long row would make all others of the batch as long
        raise ServingError(
            "FAILED_PRECONDITION",
            f"Tensors with name '{name}' from different tasks take {size} bytes once they are padded, more than "
            f"{MAX_MESSAGE_BYTES}",
        )
    padded = []
    for array in arrays:
        filled = np.full((len(array), *shape), array.flat[0] if array.size else 0, dtype=array.dtype)
        filled[tuple(slice(size) for size in array.shape)] = array
        padded.append(filled)
    return padded


def _different_shapes(name):
    return ServingError(
        "FAILED_PRECONDITION",
        f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off. Set "
        "pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions "
        "starting with the first dim.",
    )
