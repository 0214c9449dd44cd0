"""Which items are relevant to each other, by ids as `mmkeras.ids` describes them."""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mmkeras.ids import NO_ID


def related(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """Which items have an id in common: bool (N, M), of ids (N,) or (N, S) and (M,), or (N,) and (M, S)."""
    if one.ndim == 1 and other.ndim == 2:
        return related(other, one).T
    columns = one.T if one.ndim == 2 else one[None]
    return functools.reduce(np.logical_or, (column[:, None] == other for column in columns))


def related_candidates(query_id: NDArray[Any], candidate_id: NDArray[Any]) -> NDArray[np.bool_]:
    """Which candidates of each query have an id of it.

    Args:
        query_id: (N,) or (N, S).
        candidate_id: (N, k), or (N, k, S) where a query has one id.

    Returns:
        bool (N, k).
    """
    if candidate_id.ndim == 3:
        return (candidate_id == query_id[:, None, None]).any(axis=2)
    columns = query_id.T if query_id.ndim == 2 else query_id[None]
    return functools.reduce(np.logical_or, (column[:, None] == candidate_id for column in columns))


def linked_groups(image_id: NDArray[Any], text_image_id: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return ids by which what is linked by any id, be it over others, is one group: (N,) and (M,).

    Args:
        image_id: (N,), or int (N, S) filled up with `NO_ID`.
        text_image_id: (M,).
    """
    if image_id.ndim == 1:
        return image_id, text_image_id
    known, code = np.unique(np.concatenate([image_id.ravel(), text_image_id]), return_inverse=True)
    of_image = code[: image_id.size].reshape(image_id.shape)
    first = np.broadcast_to(of_image[:, :1], of_image.shape)
    real = image_id != NO_ID
    links = coo_array((np.ones(real.sum()), (first[real], of_image[real])), (len(known), len(known)))
    _, group = connected_components(links, directed=False)
    return group[of_image[:, 0]], group[code[image_id.size :]]


def relevant_codes(
    row_id: NDArray[Any], column_id: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Number what items can be relevant by, and say which numbers are relevant to which.

    Args:
        row_id: ids (N,) or (N, S).
        column_id: ids (M,) or (M, S); one side at most has several.

    Returns:
        the number of each row (N,), that of each column (M,), and of the rows' numbers the columns' that are relevant
        to them: those of number i stand in `columns[start[i] : start[i + 1]]`. `(row, column, start, columns)`.
    """
    if column_id.ndim == 2:
        column, row, start, rows = relevant_codes(column_id, row_id)
        of_row = np.repeat(np.arange(len(start) - 1), np.diff(start))  # the column's number of each pair
        order = np.argsort(rows, kind="stable")
        numbers = int(row.max()) + 1
        return row, column, np.searchsorted(rows[order], np.arange(numbers + 1)), of_row[order]
    if row_id.ndim == 1:
        known, code = np.unique(np.concatenate([row_id, column_id]), return_inverse=True)
        return code[: len(row_id)], code[len(row_id) :], np.arange(len(known) + 1), np.arange(len(known))
    known, column = np.unique(column_id, return_inverse=True)
    sets, row = np.unique(np.sort(row_id, axis=1), axis=0, return_inverse=True)
    place = np.clip(np.searchsorted(known, sets), 0, len(known) - 1)
    there = (known[place] == sets) & (sets != NO_ID)
    there[:, 1:] &= sets[:, 1:] != sets[:, :-1]
    return row.ravel(), column, np.concatenate([[0], np.cumsum(there.sum(axis=1))]), place[there]
