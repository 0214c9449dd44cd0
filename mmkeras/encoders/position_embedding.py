"""Position embeddings of patches, brought to pictures of another size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError


def resize_position_embedding(
    weights: NDArray[Any], old_grid: tuple[int, int], new_grid: tuple[int, int]
) -> NDArray[Any]:
    """Bring position embeddings to pictures of another size, as ALBEF does: bicubic, the class token's row as it is.

    The kernel is Keys' with a = -0.75 between the centres of patches, edges repeated, no antialiasing: what PyTorch's
    interpolation computes, and not TensorFlow's, whose a is -0.5.

    Args:
        weights: array (1 + N, W), the class token's row first.
        old_grid: (rows, columns) of patches, N = rows x columns.
        new_grid: likewise, what they shall be.

    Returns:
        array (1 + M, W), of the dtype of `weights`.

    Raises:
        MmkerasError: another number of rows than the grid has patches and a class token.
    """
    weights = np.asarray(weights)
    if weights.ndim != 2 or len(weights) != 1 + old_grid[0] * old_grid[1]:
        raise MmkerasError(
            f"Expected position embeddings of shape ({1 + old_grid[0] * old_grid[1]}, W), for a class token and "
            f"{old_grid[0]} x {old_grid[1]} patches. Received: shape {weights.shape}"
        )
    if tuple(old_grid) == tuple(new_grid):
        return weights
    rows, columns = (_bicubic(old, new) for old, new in zip(old_grid, new_grid, strict=True))
    patches = weights[1:].reshape(*old_grid, -1)
    patches = np.einsum("rh,cw,hwd->rcd", rows, columns, patches, optimize=True)
    return np.concatenate([weights[:1], patches.reshape(-1, weights.shape[-1])]).astype(weights.dtype)


def _bicubic(old, new):
    """Weights (new, old) of bicubic interpolation along one axis."""
    a = -0.75
    position = (np.arange(new) + 0.5) * old / new - 0.5
    start = np.floor(position).astype(int)
    matrix = np.zeros((new, old))
    for tap in range(-1, 3):
        distance = np.abs(position - (start + tap))
        near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
        far = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
        np.add.at(matrix, (np.arange(new), np.clip(start + tap, 0, old - 1)), np.where(distance <= 1, near, far))
    return matrix
