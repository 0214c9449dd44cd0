"""Who belongs together: rows are related where they have an id in common."""

from __future__ import annotations

from keras import ops

from mmkeras.ids import NO_ID
from mmkeras.tensors import Tensor, TensorLike


def share_id(one: TensorLike, other: TensorLike | None = None) -> Tensor:
    """Which rows have an id in common with which others.

    Args:
        one: int (B,), or (B, S) for S ids a row; rows that have fewer are filled up with -1, see `mmkeras.ids`.
        other: int (C,) or (C, T); `one` itself where left out.

    Returns:
        bool (B, C).

    Example:
        >>> share_id([[1, 2], [2, -1]], [1, 2, 3]).numpy().tolist()
        [[True, True, False], [False, True, False]]
    """
    rows = _columns(one)
    columns = rows if other is None else _columns(other)
    related = None
    for row in rows:
        for column in columns:
            equal = ops.equal(ops.expand_dims(row, 1), ops.expand_dims(column, 0))
            if len(rows) > 1 and len(columns) > 1:  # only then may both be filled up
                equal = ops.logical_and(equal, ops.expand_dims(ops.not_equal(row, NO_ID), 1))
            related = equal if related is None else ops.logical_or(related, equal)
    return related


def _columns(ids):
    """Ids as a list of int64 vectors, one for each id that a row may have."""
    ids = ops.cast(ops.convert_to_tensor(ids), "int64")
    return [ids] if len(ids.shape) == 1 else ops.unstack(ids, axis=1)
