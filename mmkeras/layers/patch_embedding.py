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
    `position_embedding` is the class token's where there is one. Registers stand between the class token and the
    patches and have no position.

    Args:
        patch: px, height and width of a patch.
        width: W.
        initializer_range: see `kernel_initializer`.
        use_bias: whether the projection has a bias.
        use_class_token: whether a class token stands before the patches.
        registers: learnt tokens that belong to no patch, 0 or more.
        cropped: whether pictures are taken that the patches do not fill; what is left at the right and at the bottom,
            less than a patch, is not seen then.

    Attributes:
        leading: rows of `position_embedding` before those of the patches, 1 or 0.

    Call arguments:
        image: float (B, height, width, C), scaled as the encoder wants it.

    Returns:
        (B, 1 + R + N, W), the class token first, then R registers, then N = rows x columns patches; without a class
        token one less.

    Raises:
        ValueError: a patch or a width below 1, fewer than no registers, pictures that the patches do not fill.

    Reference:
        Dosovitskiy et al. 2021 (arXiv 2010.11929), section 3.1; registers are Darcet et al. 2024 (arXiv 2309.16588),
        section 2.2.
    """

    def __init__(
        self,
        patch: int,
        width: int,
        initializer_range: float | None = 0.02,
        use_bias: bool = True,
        use_class_token: bool = True,
        registers: int = 0,
        cropped: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if min(patch, width) < 1:
            raise ValueError(f"Expected sizes of 1 or more. Received: patch={patch}, width={width}")
        if registers < 0:
            raise ValueError(f"Expected 0 registers or more. Received: registers={registers}")
        self.patch = patch
        self.width = width
        self.initializer_range = initializer_range
        self.use_bias = use_bias
        self.use_class_token = use_class_token
        self.registers = registers
        self.cropped = cropped
        self.leading = int(use_class_token)

    def build(self, image_shape: Shape) -> None:
        height, width = image_shape[1:3]
        fills = not (height % self.patch or width % self.patch)
        if not (fills or self.cropped) or min(height, width) < self.patch:
            raise ValueError(
                f"Expected a height and a width that patches of {self.patch} px fill. Received: {height} x {width} px"
            )
        self.grid = (height // self.patch, width // self.patch)
        self.projection = keras.layers.Conv2D(
            self.width,
            self.patch,
            self.patch,
            use_bias=self.use_bias,
            kernel_initializer=kernel_initializer(self.initializer_range),
            dtype=self.dtype_policy,
            name="projection",
        )
        self.projection.build(image_shape)
        if self.use_class_token:
            self.class_token = self._table((self.width,), "class_token")
        places = self.leading + self.grid[0] * self.grid[1]
        self.position_embedding = self._table((places, self.width), "position_embedding")
        if self.registers:
            self.register_tokens = self._table((self.registers, self.width), "register_tokens")

    def _table(self, shape, name):
        return self.add_weight(shape=shape, initializer=kernel_initializer(self.initializer_range), name=name)

    def call(self, image: TensorLike) -> Tensor:
        patches = self.projection(image)  # (B, rows, columns, W)
        patches = ops.reshape(patches, (-1, self.grid[0] * self.grid[1], self.width))
        positions = ops.cast(self.position_embedding, patches.dtype)
        if not (self.use_class_token or self.registers):
            return patches + positions
        tokens = [self._of_batch(self.class_token[None], patches), patches] if self.use_class_token else [patches]
        tokens = ops.concatenate(tokens, axis=1) + positions
        if not self.registers:
            return tokens
        registers = self._of_batch(self.register_tokens, patches)
        return ops.concatenate([tokens[:, : self.leading], registers, tokens[:, self.leading :]], axis=1)

    def _of_batch(self, rows, patches):
        """Rows (R, W) for every picture: (B, R, W)."""
        rows = ops.cast(rows, patches.dtype)[None]
        return ops.broadcast_to(rows, (ops.shape(patches)[0], *rows.shape[1:]))
