"""Scores of two sets of embeddings and ranks by them, in tiles, without ever holding the matrix of all scores.

Rows that are equal have equal scores here, to the last bit, because only one of them is scored. A matrix product alone
does not promise that: BLAS sums an element in an order that depends on where it stands and on the processor, so that
copies of one embedding would be told apart, ties lost, and a collapsed model, to which all items are the same,
flattered. Rows that differ, be it in the last bit, are scored each by itself, and what rounding makes of two scores
that are equal in exact arithmetic depends on the processor.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.metrics.ids import relevant_codes

_LEAST_EDGE = 64  # of a tile: below it, what a call costs is more than the arithmetic
_KEPT_BYTES = 2**28  # room for tiles that both passes need; what is not used costs nothing


def ranks_both_ways(
    rows: NDArray[np.float32],
    columns: NDArray[np.float32],
    row_id: NDArray[Any],
    column_id: NDArray[Any],
    chunk_size: int,
    both: bool = True,
) -> tuple[NDArray[np.int64], Any]:
    """Rank of each row's best relevant column and, with `both`, of each column's best relevant row, from one product.

    A rank is 1 + the number of irrelevant items that score at least what the best relevant one does: all that do, less
    the relevant ones that do.

    Sorted by id, the relevant pairs lie along a diagonal, but for rows that are equal under several ids, or have some.
    A first pass over the tiles that hold relevant pairs finds each query's best relevant score; a second pass over all
    tiles counts the scores that reach it. The best is taken from the very product that is counted: from a tile that was
    kept, or where there is no room, from the same call with the same operands.

    Args:
        rows: float32 array (N, D), finite.
        columns: float32 array (M, D), finite.
        row_id: array (N,), or int (N, S) for several ids a row, see `mmkeras.metrics.ids`; of each row at least one is
            present in `column_id`.
        column_id: array (M,) of the same type, or (M, S) where `row_id` is (N,); with `both`, of each column at least
            one is present in `row_id`. A pair is relevant where an id is equal.
        chunk_size: longest edge of a tile, 64 at least.
        both: whether to rank the columns' queries too.

    Returns:
        Two int64 arrays, (N,) and (M,); the second is None without `both`.
    """
    edge = max(chunk_size, _LEAST_EDGE)
    row_code, column_code, *relevant = relevant_codes(row_id, column_id)
    down, across = _Side(rows, row_code, edge), _Side(columns, column_code, edge)
    tiles = [(above, left) for above in down.blocks for left in across.blocks]
    # One allocation holds the tiles to keep and, at its end, the one to overwrite: NumPy asks for huge pages.
    height, width = (max(len(block) for block in side.blocks) for side in (down, across))
    room = min(_KEPT_BYTES // (4 * height * width), len(tiles))
    store, kept = np.empty((room + 1, height, width), np.float32), {}

    def product(above, left, place):
        scores = store[place, : len(above), : len(left)]
        return np.matmul(down.distinct[above.rows], across.distinct[left.rows].T, out=scores)

    for tile in tiles:
        above, left = tile
        for row, column in _relevant_queries(above, left, *relevant):
            if tile not in kept:
                kept[tile] = min(len(kept), room)
                scores = product(*tile, kept[tile])
            score = scores[above.place[row], left.place[column]]
            np.maximum.at(above.best, row, score)
            np.maximum.at(left.best, column, score)
    for tile in tiles:
        above, left = tile
        place = kept.get(tile, room)
        scores = product(*tile, place) if place == room else store[place, : len(above), : len(left)]
        above.count_reached(scores, left)
        if both:
            left.count_reached(scores.T, above)
        for row, column in _relevant_queries(above, left, *relevant) if tile in kept else ():
            score = scores[above.place[row], left.place[column]]
            above.take_back(row, score, left.copies[column])
            if both:
                left.take_back(column, score, above.copies[row])
    return down.ranks(), across.ranks() if both else None


def score_blocks(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], chunk_size: int
) -> Iterator[tuple[NDArray[Any], NDArray[np.float32]]]:
    """Scores of all queries with the whole gallery, about `chunk_size` queries at a time; equal rows score equally.

    Args:
        queries: float32 array (N, D), finite.
        gallery: float32 array (M, D), finite.
        chunk_size: queries of a block.

    Yields:
        (indices, scores): int array (B,), B at most `chunk_size`, each query being in one block, in any order; float32
        array (B, M), the caller's to overwrite.
    """
    (queries, query_place), (gallery, gallery_place) = _distinct(queries), _distinct(gallery)
    all_differ = len(gallery) == len(gallery_place)
    order = np.argsort(query_place, kind="stable")
    for start in range(0, len(queries), chunk_size):
        scores = queries[start : start + chunk_size] @ gallery.T
        first, last = np.searchsorted(query_place, (start, start + chunk_size), sorter=order)
        for begin in range(first, last, chunk_size):
            indices = order[begin : min(begin + chunk_size, last)]
            of_indices = scores if last - first == len(scores) else scores[query_place[indices] - start]
            yield indices, of_indices if all_differ else of_indices[:, gallery_place]


def falling_keys(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Integers that fall as float32 scores rise, int64 within 32 bits: there is room for more to sort by below them."""
    bits = (scores + np.float32(0)).view(np.int32)  # + 0: minus zero equals zero and shall tie with it
    return (~(bits ^ ((bits >> 31) & 0x7FFFFFFF))).astype(np.int64)  # two's complement order of a float's bits


class _Side:
    """One side of the score matrix: its distinct rows, each of which stands for its copies, in blocks.

    What is ranked are queries: a distinct row and an id, for as many items as have both.
    """

    def __init__(self, rows, code, edge):
        ids = int(code.max()) + 1
        order = np.argsort(code, kind="stable")
        self.distinct, place = _distinct(rows[order])
        # Rows that have several ids go last: most of the tiles that hold their relevant pairs are then the same ones.
        several = np.bincount(np.unique(place * ids + code[order]) // ids) > 1
        if several.any():
            moved = np.argsort(several, kind="stable")
            self.distinct, place = self.distinct[moved], np.argsort(moved)[place]
        queries, query, copies = np.unique(place * ids + code[order], return_inverse=True, return_counts=True)
        self._query_of_item = np.empty(len(rows), np.int64)
        self._query_of_item[order] = query
        place, code = np.divmod(queries, ids)
        edges = np.linspace(0, len(self.distinct), -(-len(self.distinct) // edge) + 1).astype(int)
        self.blocks = []
        for start, stop in zip(edges[:-1], edges[1:], strict=True):
            own = slice(*np.searchsorted(place, (start, stop)))
            self.blocks.append(_Block(slice(start, stop), place[own] - start, code[own], copies[own], edge))

    def ranks(self):
        """Rank of each item, (N,)."""
        return np.concatenate([block.rank for block in self.blocks])[self._query_of_item]


class _Block:
    """Distinct rows that follow each other, and their queries: the row's place in the block, id, copies, rank."""

    def __init__(self, rows, place, code, copies, edge):
        self.rows, self.place, self.code, self.copies = rows, place, code, copies
        self.best = np.full(len(place), -np.inf, np.float32)
        self.rank = np.ones(len(place), np.int64)
        weight = np.bincount(place, copies)  # float64; the sums that float32 holds exactly are faster in it
        self.weight = weight.astype(np.float32 if weight.sum() < 2**24 else np.float64)
        # At most `edge` queries at a time, so that what they take is no larger than a tile.
        self.pieces = [slice(start, start + edge) for start in range(0, len(place), edge)]

    def __len__(self):
        return self.rows.stop - self.rows.start

    def count_reached(self, scores, other):
        """Add to the ranks the items of another block that score at least the best; scores (rows, the other's rows)."""
        for piece in self.pieces:
            own = scores if len(self.place) == len(self) else scores[self.place[piece]]
            reached = own >= self.best[piece, None]
            if (other.weight == 1).all():
                count = reached.sum(axis=1, dtype=np.min_scalar_type(len(other)))  # the narrowest is the fastest by far
            else:
                count = reached.astype(other.weight.dtype) @ other.weight
            self.rank[piece] += count.astype(np.int64)

    def take_back(self, query, score, copies):
        """Subtract relevant items again, where their score is the best: they were counted as all others."""
        reached = score >= self.best[query]
        np.subtract.at(self.rank, query[reached], copies[reached])


def _relevant_queries(above, left, start, codes):
    """Indices of the queries of one block and of another that are relevant; for each piece of the first, if it has any.

    A piece's pairs are no more than a tile has scores. What is relevant to code i is `codes[start[i] : start[i + 1]]`.
    """
    order = np.argsort(left.code, kind="stable")
    left_code = left.code[order]
    for piece in above.pieces:
        wanted, code = _stretches(start[above.code[piece]], start[above.code[piece] + 1])
        code = codes[code]
        query, column = _stretches(*(np.searchsorted(left_code, code, side) for side in ("left", "right")))
        if len(query):
            yield wanted[query] + piece.start, order[column]


def _stretches(first, last):
    """All of first[i] to last[i], one stretch behind the other: the i of each, and its place."""
    sizes = last - first
    which = np.repeat(np.arange(len(sizes)), sizes)
    return which, np.arange(len(which)) + np.repeat(first - (np.cumsum(sizes) - sizes), sizes)


def _distinct(rows):
    """The distinct rows of a float32 array (N, D) in the order in which they come first, and each row's place there."""
    rows = np.add(rows, np.float32(0), order="C")  # minus zero is zero: rows that are equal have equal bytes
    # Rows with equal bytes have equal sums of their bits, and few others do.
    _, group, size = np.unique(rows.view(np.int32).sum(axis=1, dtype=np.int64), return_inverse=True, return_counts=True)
    first, seen = np.arange(len(rows)), {}
    for row in np.flatnonzero(size[group] > 1):
        first[row] = seen.setdefault(rows[row].tobytes(), row)
    if not seen:
        return rows, first
    own, place = np.unique(first, return_inverse=True)
    return rows[own], place
