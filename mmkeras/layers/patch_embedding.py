"""Pictures as sequences of patches."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.layers.initialization import kernel_initializer
from mmkeras.tensors import Shape, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class PatchEmbedding(ConfigFromSignature, keras.layers.Layer):
    """Cut pictures into patches, project each, put a learnt class token before them and add learnt positions.

    Patches are read row by row from the top left. `grid` is their number, (rows, columns); the first row of
    `position_embedding` is the class token's.

    Args:
        patch: px, height and width of a patch.
        width: W.
        initializer_range: see `kernel_initializer`.

    Call arguments:
        image: float (B, height, width, C), scaled as the encoder wants it.

    Returns:
        (B, 1 + N, W), the class token first, then N = rows x columns patches.

    Raises:
        ValueError: a patch or a width below 1, pictures that the patches do not fill.

    Reference:
        Dosovitskiy et al. 2021 (arXiv 2010.11929), section 3.1.
    """

    def __init__(self, patch: int, width: int, initializer_range: float | None = 0.02, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if min(patch, width) < 1:
            raise ValueError(f"Expected sizes of 1 or more. Received: patch={patch}, width={width}")
        self.patch = patch
        self.width = width
        self.initializer_range = initializer_range

    def build(self, image_shape: Shape) -> None:
        height, width = image_shape[1:3]
        if height % self.patch or width % self.patch:
            raise ValueError(
                f"Expected a height and a width that patches of {self.patch} px fill. Received: {height} x {width} px"
            )
        self.grid = (height // self.patch, width // self.patch)
        self.projection = keras.layers.Conv2D(
            self.width,
            self.patch,
            self.patch,
            kernel_initializer=kernel_initializer(self.initializer_range),
            dtype=self.dtype_policy,
            name="projection",
        )
        self.projection.build(image_shape)
        self.class_token = self.add_weight(
            shape=(self.width,), initializer=kernel_initializer(self.initializer_range), name="class_token"
        )
        self.position_embedding = self.add_weight(
            shape=(1 + self.grid[0] * self.grid[1], self.width),
            initializer=kernel_initializer(self.initializer_range),
            name="position_embedding",
        )

    def call(self, image: TensorLike) -> Tensor:
        patches = self.projection(image)  # (B, rows, columns, W)
        patches = ops.reshape(patches, (-1, self.grid[0] * self.grid[1], self.width))
        class_token = ops.cast(self.class_token, patches.dtype)[None, None]
        class_token = ops.broadcast_to(class_token, (ops.shape(patches)[0], 1, self.width))
        tokens = ops.concatenate([class_token, patches], axis=1)
        return tokens + ops.cast(self.position_embedding, tokens.dtype)
