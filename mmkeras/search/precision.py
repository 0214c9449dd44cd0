"""How an index holds embeddings: as they are, in half the bytes, or in a quarter."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Precision: TypeAlias = Literal["float32", "float16", "int8"]

PRECISIONS: dict[Precision, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "int8": np.dtype(np.int8),
}
# Rows brought to float32 at a time: half a megabyte at 256 dimensions, which stays in a core's own cache.
_ROWS = 512


def rounded(embeddings: NDArray[np.float32], precision: Precision) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """Return embeddings in a precision, and for `int8` the scale of each row.

    Args:
        embeddings: float32 (N, D).
        precision: a key of `PRECISIONS`.

    Returns:
        (array (N, D) of that type, float32 (N,) or `None`). A row of `int8` times its scale is the embedding, with an
        error of half the scale at most in every dimension.
    """
    if precision != "int8":
        return embeddings.astype(PRECISIONS[precision], copy=False), None
    scales = np.abs(embeddings).max(axis=1) / 127
    scales[scales == 0] = 1
    return np.rint(embeddings / scales[:, np.newaxis]).astype(np.int8), scales.astype(np.float32)


def cosines(
    queries: NDArray[np.float32], embeddings: NDArray[Any], scales: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return the products of queries with embeddings of any precision.

    Args:
        queries: float32 (Q, D).
        embeddings: (N, D), as `rounded` returns them; may be mapped from a file.
        scales: float32 (N,) of `int8`.

    Returns:
        float32 (Q, N).
    """
    if embeddings.dtype == np.float32:
        return queries @ embeddings.T
    scores = np.empty((len(queries), len(embeddings)), np.float32)
    block = np.empty((_ROWS, embeddings.shape[1]), np.float32)
    halves = embeddings.dtype == np.float16
    if halves:
        queries = queries * _HALF_TO_FLOAT
    for start in range(0, len(embeddings), _ROWS):
        rows = embeddings[start : start + _ROWS]
        floats = block[: len(rows)]
        if halves:
            _spread(rows, floats)
        else:
            np.copyto(floats, rows)
        np.matmul(queries, floats.T, out=scores[:, start : start + len(rows)])
    return scores if scales is None else np.multiply(scores, scales, out=scores)


# NumPy's own conversion of float16 takes four times as long as this one. Shifted left by 13 bits, a float16 has its
# exponent and its mantissa where a float32 has them. Its exponent counts from -15 and a float32's from -127, so that
# the float32 is 2^112 times too small; the queries are multiplied by this factor to make up for it.
_HALF_TO_FLOAT = np.float32(2.0**112)
_SIGN_EXPONENT_MANTISSA = np.int32(-0x70002000)  # 0x8fffe000: without the copies of the sign that a shift leaves


def _spread(halves, floats):
    """Write halves, finite ones, into float32 of the same shape, `_HALF_TO_FLOAT` times too small."""
    bits = floats.view(np.int32)
    np.copyto(bits, halves.view(np.int16))
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, _SIGN_EXPONENT_MANTISSA, out=bits)
