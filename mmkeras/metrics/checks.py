"""What metrics take: embeddings, ids and labels, checked; an error names the row that does not fit."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmkeras.errors import MmkerasError


def check_embeddings(
    first_name: str, first: ArrayLike, second_name: str, second: ArrayLike
) -> list[NDArray[np.float32]]:
    """Both as float32 (rows, D), finite, and with finite inner products."""
    arrays = []
    for name, given in ((first_name, first), (second_name, second)):
        array = np.asarray(given)
        if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "fiu":
            raise MmkerasError(
                f"Expected {name} as real numbers of shape (rows, D), neither zero. "
                f"Received: shape {array.shape}, dtype {array.dtype}"
            )
        with np.errstate(over="ignore"):
            array = array.astype(np.float32, copy=False)
        bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
        if len(bad):
            raise MmkerasError(
                f"Expected {name} finite in float32. Received: NaN or infinity in {len(bad)} of {len(array)} rows, "
                f"first in row {bad[0]}"
            )
        arrays.append(array)
    if arrays[0].shape[1] != arrays[1].shape[1]:
        raise MmkerasError(
            f"Expected {first_name} and {second_name} of the same dimension. "
            f"Received: {arrays[0].shape[1]} and {arrays[1].shape[1]}"
        )
    longest = [np.sqrt(np.max(np.einsum("nd,nd->n", array, array, dtype=np.float64))) for array in arrays]
    if longest[0] * longest[1] > np.finfo(np.float32).max:
        raise MmkerasError(
            f"Expected inner products of {first_name} and {second_name} within float32. "
            f"Received: norms up to {longest[0]:.3g} and {longest[1]:.3g}"
        )
    return arrays


def check_ids(
    query_name: str,
    query_id: ArrayLike,
    queries: int,
    gallery_name: str,
    gallery_id: ArrayLike,
    gallery: int,
    both: bool = True,
) -> list[NDArray[Any]]:
    """Both as integers or strings; each query (with `both`, each item) has a partner.

    One side at most may have several ids an item, integers (rows, S), filled up with -1.
    """
    ids = []
    for name, given, length in ((query_name, query_id, queries), (gallery_name, gallery_id, gallery)):
        array = np.asarray(given)
        several = array.ndim == 2 and array.shape[1] > 0
        if (
            array.shape[:1] != (length,)
            or array.dtype.kind not in ("iu" if several else "iuUS")
            or array.ndim > 1 + several
        ):
            raise MmkerasError(
                f"Expected {name} as integers or strings of shape ({length},), one for each embedding, or integers of "
                f"shape ({length}, S), several. Received: shape {array.shape}, dtype {array.dtype}"
            )
        ids.append(array.astype(np.int64) if array.dtype.kind in "iu" else array)
    if ids[0].dtype.kind != ids[1].dtype.kind:
        raise MmkerasError(
            f"Expected {query_name} and {gallery_name} of one type. Received: {ids[0].dtype} and {ids[1].dtype}"
        )
    if ids[0].ndim + ids[1].ndim > 3:
        raise MmkerasError(
            f"Expected several ids an item in one of {query_name} and {gallery_name}. "
            f"Received: shapes {ids[0].shape} and {ids[1].shape}"
        )
    directions = [(query_name, ids[0], gallery_name, ids[1]), (gallery_name, ids[1], query_name, ids[0])]
    for name, own, other_name, other in directions[: 2 if both else 1]:
        found = np.isin(own, other)
        alone = np.flatnonzero(~(found.any(axis=1) if own.ndim == 2 else found))
        if len(alone):
            raise MmkerasError(
                f"Expected a relevant item for each query: every {name} among {other_name}. "
                f"Received: {name}[{alone[0]}] = {own[alone[0]]}, which is not ({len(alone)} such rows of {len(own)})"
            )
    return ids


def check_labels(name: str, given: ArrayLike, length: int) -> NDArray[Any]:
    """Non-negative integers (length,), or multi-hot (length, C) as float32, ready for a product."""
    array = np.asarray(given)
    kinds = {1: "iu", 2: "biuf"}.get(array.ndim, "")
    if array.dtype.kind not in kinds or len(array) != length:
        raise MmkerasError(
            f"Expected {name} as integers of shape ({length},) or multi-hot 0/1 of shape ({length}, C), one row for "
            f"each embedding. Received: shape {array.shape}, dtype {array.dtype}"
        )
    wrong = array < 0 if array.ndim == 1 else (array != 0) & (array != 1)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        allowed = "labels of 0 and above" if array.ndim == 1 else "0 or 1"
        raise MmkerasError(f"Expected in {name} {allowed}. Received: {array[at]} in row {at[0]}")
    return array if array.ndim == 1 else array.astype(np.float32)


def check_positive(name: str, value: Any) -> int:
    """An int from 1 up."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise MmkerasError(f"Expected {name} a positive integer. Received: {name}={value!r}")
    return int(value)


def check_ks(ks: Any) -> tuple[int, ...]:
    """A tuple of positive ints."""
    if np.ndim(ks) != 1 or not len(ks):
        raise MmkerasError(f"Expected ks as positive integers, such as (1, 5, 10). Received: ks={ks!r}")
    return tuple(check_positive("k in ks", k) for k in ks)
