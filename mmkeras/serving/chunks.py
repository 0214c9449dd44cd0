"""How the rows of a long call are divided into requests."""

import numpy as np

# Far below what servers take: ours 128 MiB, where over REST a pixel may be written as four bytes; stock ones 2 GiB.
MAX_REQUEST_BYTES = 16 * 2**20


def chunks(columns, max_rows, max_bytes=MAX_REQUEST_BYTES):
    """Return the slices of a call's rows, one a request, in order.

    Args:
        columns: dict of columns of equal length, at least one row: arrays, or objects with the bytes of their rows as
            `sizes`.
        max_rows: rows a request at most.
        max_bytes: bytes of the rows of a request at most; a row that is larger goes by itself.

    Example:
        >>> chunks({"text": np.array([b"a", b"b", b"c"], object)}, max_rows=2)
        [slice(0, 2, None), slice(2, 3, None)]
    """
    sizes = np.sum([_sizes(column) for column in columns.values()], axis=0)
    found, start, held = [], 0, 0
    for row, size in enumerate(sizes.tolist()):
        if row > start and (row - start == max_rows or held + size > max_bytes):
            found.append(slice(start, row))
            start, held = row, 0
        held += size
    return [*found, slice(start, len(sizes))]


def _sizes(column):
    if not isinstance(column, np.ndarray):
        return column.sizes
    if column.dtype.hasobject:
        return [len(value) for value in column]
    return np.full(len(column), column[0].nbytes)
