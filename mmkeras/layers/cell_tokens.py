"""`CellTokens`: the cells of a feature map as tokens behind a class token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.errors import MmkerasError
from mmkeras.tensors import Shape, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class CellTokens(ConfigFromSignature, keras.layers.Layer):
    """Put the mean of an image's cells before them, where systems that fuse modalities look for a class token.

    Convolutional networks, and vision transformers without a class token, have cells or patches alone.

    Args:
        grid: (rows, columns) of the cells, which come row by row.

    Call arguments:
        cells: (B, rows x columns, W).

    Returns:
        (B, 1 + rows x columns, W).

    Raises:
        MmkerasError: a grid that is none, or cells of another number.

    Example:
        >>> CellTokens((7, 7))(cells).shape  # of a feature map of 7 x 7 cells
        (8, 50, 1280)
    """

    def __init__(self, grid: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if len(grid) != 2 or min(grid) < 1:
            raise MmkerasError(f"Expected rows and columns of 1 or more. Received: grid={grid}")
        self.grid = tuple(grid)

    def build(self, cells_shape: Shape) -> None:
        if cells_shape[1] not in (None, self.grid[0] * self.grid[1]):
            raise MmkerasError(f"Expected cells of a grid of {self.grid}. Received: {cells_shape[1]} cells")

    def call(self, cells: TensorLike) -> Tensor:
        return ops.concatenate([ops.mean(cells, axis=1, keepdims=True), cells], axis=1)
