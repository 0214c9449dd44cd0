"""Ranks from the score matrix of two sets of embeddings, in tiles, without ever holding the matrix.

All tiles have one fixed shape, the last ones padded: BLAS picks its kernel by the shape of the operands and kernels
differ in the last bit, so tiles of several shapes would tell apart items that have one and the same embedding, and a
tie would be lost.
"""

import numpy as np

_LANE = 255  # summands of 0 or 1 that one byte holds
_GRAIN = 16  # tile edges are multiples of it: whole BLAS micro-kernels and whole 64-bit words of a mask
_KEPT_BYTES = 2**28  # room for tiles that both passes need


def ranks_both_ways(rows, columns, row_id, column_id, chunk_size, both=True):
    """Rank of each row's best relevant column and, with `both`, of each column's best relevant row, from one product.

    A rank is 1 + the number of irrelevant items that score at least what the best relevant one does.

    Sorted by id, the relevant pairs lie along a diagonal. A first pass over the few tiles that it crosses finds each
    query's best relevant score; a second pass over all tiles counts the irrelevant scores that reach it. The best is
    taken from the very tiles that are counted, so that equal is equal to the last bit.

    Args:
        rows: float32 array (N, D), finite.
        columns: float32 array (M, D), finite.
        row_id: array (N,), each value present in `column_id`.
        column_id: array (M,) of the same type; with `both`, each value present in `row_id`. A pair is relevant where
            the ids are equal.
        chunk_size: longest edge of a tile, before it is rounded up.
        both: whether to rank the columns' queries too.

    Returns:
        Two int64 arrays, (N,) and (M,); the second is None without `both`.
    """
    _, code = np.unique(np.concatenate([row_id, column_id]), return_inverse=True)
    row_code, column_code = code[: len(row_id)], code[len(row_id) :]
    row_order, column_order = np.argsort(row_code, kind="stable"), np.argsort(column_code, kind="stable")
    height, width = tile_edge(len(rows), chunk_size), tile_edge(len(columns), chunk_size)
    rows, columns = padded(rows, height, row_order), padded(columns, width, column_order)
    row_code, column_code = row_code[row_order], column_code[column_order]
    starts = [(top, left) for top in range(0, len(rows), height) for left in range(0, len(columns), width)]

    # Padding reaches nothing, having the score -inf, and is reached by nothing, having the best score +inf.
    row_best, column_best = np.full(len(rows), np.inf, np.float32), np.full(len(columns), np.inf, np.float32)
    row_best[: len(row_code)], column_best[: len(column_code)] = -np.inf, -np.inf
    # One allocation holds the tiles to keep and, at its end, the one to overwrite: NumPy asks for huge pages, and pages
    # that are never used cost nothing.
    room = min(_KEPT_BYTES // (4 * height * width), len(starts))
    store, crossed = np.empty((room + 1, height, width), np.float32), {}
    for top, left in starts:
        down, across = slice(top, top + height), slice(left, left + width)
        pairs = _equal_pairs(row_code[down], column_code[across])
        if not len(pairs[0]):
            continue
        crossed[top, left] = min(len(crossed), room)
        scores = np.matmul(rows[down], columns[across].T, out=store[crossed[top, left]])
        np.maximum.at(row_best[down], pairs[0], scores[pairs])
        np.maximum.at(column_best[across], pairs[1], scores[pairs])

    row_rank, column_rank = np.ones(len(rows), np.int64), np.ones(len(columns), np.int64)
    reached = np.empty((height, width), bool)
    for top, left in starts:
        down, across = slice(top, top + height), slice(left, left + width)
        place = crossed.get((top, left), room)
        scores = store[place]
        if place == room:
            np.matmul(rows[down], columns[across].T, out=scores)
        if (top, left) in crossed:
            scores[_equal_pairs(row_code[down], column_code[across])] = -np.inf
        scores[len(row_code) - top :] = scores[:, len(column_code) - left :] = -np.inf
        row_rank[down] += _count_in_rows(np.greater_equal(scores, row_best[down, None], out=reached))
        if both:
            column_rank[across] += _count_in_columns(np.greater_equal(scores, column_best[across], out=reached))
    by_row, by_column = np.empty(len(row_order), np.int64), np.empty(len(column_order), np.int64)
    by_row[row_order], by_column[column_order] = row_rank[: len(row_order)], column_rank[: len(column_order)]
    return by_row, by_column if both else None


def tile_edge(length, chunk_size):
    """Edge of the tiles that cover `length`: about `chunk_size` at most, with little padding in the last one."""
    tiles = -(-length // chunk_size)
    return max(64, -(-length // (tiles * _GRAIN)) * _GRAIN)  # below about 64, BLAS has kernels that sum otherwise


def padded(array, edge, order=slice(None)):
    """Copy of `array[order]` with rows of zeros up to a multiple of `edge`."""
    copy = np.empty((-(-len(array) // edge) * edge, *array.shape[1:]), array.dtype)
    copy[: len(array)], copy[len(array) :] = array[order], 0
    return copy


def falling_keys(scores):
    """Integers that fall as float32 scores rise, int64 within 32 bits: there is room for more to sort by below them."""
    bits = (scores + np.float32(0)).view(np.int32)  # + 0: minus zero equals zero and shall tie with it
    return (~(bits ^ ((bits >> 31) & 0x7FFFFFFF))).astype(np.int64)  # two's complement order of a float's bits


def _equal_pairs(row_code, column_code):
    """Row and column indices of all pairs of equal codes; both code vectors ascend."""
    first, last = (np.searchsorted(column_code, row_code, side) for side in ("left", "right"))
    matches = last - first
    row = np.repeat(np.arange(len(row_code)), matches)
    return row, np.arange(len(row)) + np.repeat(first - (np.cumsum(matches) - matches), matches)


def _count_in_rows(mask):
    """Number of True in each row: `sum(axis=1)` at several times its speed, eight bytes in one 64-bit addition."""
    words = mask.view(np.uint64)
    return sum(
        words[:, start : start + _LANE].sum(axis=1).view(np.uint8).reshape(len(mask), 8).sum(axis=1, dtype=np.int64)
        for start in range(0, words.shape[1], _LANE)
    )


def _count_in_columns(mask):
    """Number of True in each column: `sum(axis=0)` at several times its speed, in bytes that cannot overflow."""
    counts = mask.view(np.uint8)
    return sum(
        counts[start : start + _LANE].sum(axis=0, dtype=np.uint8).astype(np.int64)
        for start in range(0, len(mask), _LANE)
    )
