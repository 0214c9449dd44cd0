"""Position embeddings of patches, brought to pictures of another size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError


def resize_position_embedding(
    weights: NDArray[Any],
    old_grid: tuple[int, int],
    new_grid: tuple[int, int],
    leading: int = 1,
    antialias: bool = False,
) -> NDArray[Any]:
    """Bring position embeddings to pictures of another size, as ALBEF does: bicubic, the class token's row as it is.

    The kernel is Keys' with a = -0.75 between the centres of patches, edges repeated, no antialiasing: what PyTorch's
    interpolation computes, and not TensorFlow's, whose a is -0.5. With `antialias`, as DINOv2 with registers was made
    for other sizes, it is -0.5 in PyTorch too, the kernel is as wide as a patch of the smaller grid, and what it lacks
    at an edge is left out.

    Args:
        weights: array (`leading` + N, W), the class token's row first where there is one.
        old_grid: (rows, columns) of patches, N = rows x columns.
        new_grid: (rows, columns) of patches that the new table is for.
        leading: rows before those of patches, which stay: 1 with a class token, 0 without.
        antialias: whether the kernel widens where a grid shrinks.

    Returns:
        array (`leading` + M, W), of the dtype of `weights`.

    Raises:
        MmkerasError: another number of rows than the grid has patches, and those before them.
    """
    weights = np.asarray(weights)
    if weights.ndim != 2 or len(weights) != leading + old_grid[0] * old_grid[1]:
        raise MmkerasError(
            f"Expected position embeddings of shape ({leading + old_grid[0] * old_grid[1]}, W), for "
            f"{'a class token and ' if leading else ''}{old_grid[0]} x {old_grid[1]} patches. "
            f"Received: shape {weights.shape}"
        )
    if tuple(old_grid) == tuple(new_grid):
        return weights
    interpolation = _antialiased_bicubic if antialias else _bicubic
    rows, columns = (interpolation(old, new) for old, new in zip(old_grid, new_grid, strict=True))
    patches = weights[leading:].reshape(*old_grid, -1)
    patches = np.einsum("rh,cw,hwd->rcd", rows, columns, patches, optimize=True)
    return np.concatenate([weights[:leading], patches.reshape(-1, weights.shape[-1])]).astype(weights.dtype)


def _bicubic(old, new):
    """Weights (new, old) of bicubic interpolation along one axis."""
    position = (np.arange(new) + 0.5) * old / new - 0.5
    start = np.floor(position).astype(int)
    matrix = np.zeros((new, old))
    for tap in range(-1, 3):
        place = np.clip(start + tap, 0, old - 1)
        np.add.at(matrix, (np.arange(new), place), _kernel(position - (start + tap), a=-0.75))
    return matrix


def _antialiased_bicubic(old, new):
    """Weights (new, old) along one axis, of a kernel as wide as the coarser of both grids."""
    scale = max(old / new, 1.0)
    position = (np.arange(new) + 0.5) * old / new - 0.5
    matrix = _kernel((np.arange(old)[None] - position[:, None]) / scale, a=-0.5)
    return matrix / matrix.sum(axis=1, keepdims=True)


def _kernel(distance, a):
    """Keys' cubic kernel, 0 from a distance of 2 on."""
    distance = np.abs(distance)
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
