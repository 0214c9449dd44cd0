"""The evaluation of the CM-GANs authors: mean average precision of raw representations, standardised or not."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmkeras.errors import MmkerasError
from mmkeras.metrics.retrieval import mean_average_precision

Normalize: TypeAlias = Literal["none", "query", "both"]

NORMALIZE = get_args(Normalize)


def representation_map(
    query: ArrayLike,
    gallery: ArrayLike,
    query_label: ArrayLike,
    gallery_label: ArrayLike,
    normalize: Normalize = "none",
    exclude_self: bool = False,
    gallery_parts: Sequence[int] | None = None,
) -> float:
    """Mean average precision by category over all results, by the cosine of representations of any length.

    Before the cosine, columns may be standardised: less the mean and over the deviation (with N - 1; 1 where a column
    is constant) of the very set that they are measured on, queries and gallery each with its own. That uses statistics
    of the test set, which a query on its own does not have. A representation of zeros has a cosine of 0 with all.

    Args:
        query: float array (N, D), finite.
        gallery: float array (M, D), finite.
        query_label: non-negative integers (N,), or multi-hot (N, C).
        gallery_label: (M,) or (M, C).
        normalize: `"none"`, `"query"` (the queries only) or `"both"`.
        exclude_self: whether query i is row i of the gallery, and none of its own results.
        gallery_parts: how many rows of the gallery belong to each of the sets that it is made of, in their order, each
            standardised by itself; one set where left out.

    Returns:
        A float in [0, 1].

    Raises:
        MmkerasError: another `normalize`, parts that are not the gallery, and as `mean_average_precision`.

    Example:
        >>> representation_map([[2.0, 0.0]], [[9.0, 1.0], [0.0, 1.0]], [0], [0, 1])
        1.0

    Reference:
        The MATLAB evaluation that goes with Peng, Qi & Yuan 2019 (ACM TOMM 15(1), 22).
    """
    if normalize not in NORMALIZE:
        raise MmkerasError(f"Expected normalize to be one of {', '.join(NORMALIZE)}. Received: normalize={normalize!r}")
    query, gallery = (
        _finite(name, given) for name, given in (("query representations", query), ("gallery representations", gallery))
    )
    parts = [len(gallery)] if gallery_parts is None else list(gallery_parts)
    if sum(parts) != len(gallery) or min(parts) < 1:
        raise MmkerasError(f"Expected gallery_parts of {len(gallery)} rows together. Received: gallery_parts={parts}")
    if normalize != "none":
        query = _standardised(query)
    if normalize == "both":
        gallery = np.concatenate([_standardised(part) for part in np.split(gallery, np.cumsum(parts)[:-1])])
    return mean_average_precision(_unit(query), _unit(gallery), query_label, gallery_label, exclude_self=exclude_self)


def representation_maps(
    images: ArrayLike, texts: ArrayLike, image_label: ArrayLike, text_label: ArrayLike, exclude_self: bool = False
) -> dict[str, float]:
    """Every form of `representation_map` of two modalities: from one to the other, and from each to all items.

    The authors' own forms are `..._map_query` from one modality to the other (standardised queries against a raw
    gallery), and `..._to_all_map_both`, whose gallery holds all pictures and all texts, each modality standardised by
    itself, the query among them.

    Args:
        images: float array (N, D), finite.
        texts: float array (M, D), finite.
        image_label: non-negative integers (N,), or multi-hot (N, C).
        text_label: (M,) or (M, C).
        exclude_self: whether the query is taken out of the gallery of all items. In, it is nearly always its own first
            result, which is right.

    Returns:
        dict of floats in [0, 1]: `image_to_text_map_none`, `..._query`, `..._both`, the same of `text_to_image_map`;
        `image_to_all_map_none`, `..._both`, the same of `text_to_all_map`.

    Raises:
        MmkerasError: as `representation_map`.
    """
    sides: dict[str, tuple[Any, Any]] = {"image": (images, image_label), "text": (texts, text_label)}
    maps = {}
    for name, other in (("image", "text"), ("text", "image")):
        for normalize in NORMALIZE:
            pair = sides[name], sides[other]
            (query, query_label), (gallery, gallery_label) = pair
            key = f"{name}_to_{other}_map_{normalize}"
            maps[key] = representation_map(query, gallery, query_label, gallery_label, normalize)
    for name, other in (("image", "text"), ("text", "image")):
        (query, query_label), (rest, rest_label) = sides[name], sides[other]
        whole: tuple[Normalize, ...] = ("none", "both")
        for normalize in whole:
            maps[f"{name}_to_all_map_{normalize}"] = representation_map(
                query,
                np.concatenate([query, rest]),  # the queries first: query i is row i
                query_label,
                np.concatenate([query_label, rest_label]),
                normalize,
                exclude_self,
                gallery_parts=(len(query), len(rest)),
            )
    return maps


def _finite(name: str, given: ArrayLike) -> NDArray[np.float64]:
    """float64 (rows, D); what does not fit is `mean_average_precision`'s to refuse, but for what is not finite."""
    array = np.asarray(given)
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "fiu":
        raise MmkerasError(
            f"Expected {name} as real numbers of shape (rows, D), neither zero. "
            f"Received: shape {array.shape}, dtype {array.dtype}"
        )
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise MmkerasError(
            f"Expected {name} finite. Received: NaN or infinity in {len(bad)} of {len(array)} rows, first in row "
            f"{bad[0]}"
        )
    return array.astype(np.float64)


def _standardised(rows):
    """Columns with mean 0 and deviation 1, of N - 1; constant ones, rounding apart, are 0."""
    constant = rows.max(axis=0) == rows.min(axis=0)
    squares = np.sum(np.square(rows - rows.mean(axis=0)), axis=0)
    deviation = np.where(constant, 1.0, np.sqrt(squares / max(len(rows) - 1, 1)))
    return np.where(constant, 0.0, rows - rows.mean(axis=0)) / deviation


def _unit(rows):
    """Rows of length 1; rows of zeros stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(length == 0, 1.0, length)).astype(np.float32)
