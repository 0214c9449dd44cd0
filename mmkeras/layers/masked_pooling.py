"""Pooling over the tokens that are there."""

from __future__ import annotations

import keras
from keras import ops

from mmkeras.tensors import Array, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class MaskedMeanPooling(keras.layers.Layer):
    """Mean over the unmasked tokens; zeros where there is none.

    Call arguments:
        tokens: (B, L, W).
        mask: bool (B, L), True where there is a token.

    Returns:
        (B, W).
    """

    def call(self, tokens: Array, mask: TensorLike) -> Tensor:
        mask = ops.expand_dims(mask, -1)  # (B, L, 1)
        # Summed in float32: from 257 on, bfloat16 cannot count tokens. `where`, as 0 times infinity is no 0.
        total = ops.sum(ops.where(mask, ops.cast(tokens, "float32"), 0.0), axis=1)
        count = ops.sum(ops.cast(mask, "float32"), axis=1)
        return ops.cast(total / ops.maximum(count, 1.0), tokens.dtype)


@keras.saving.register_keras_serializable("mmkeras")
class MaskedMaxPooling(keras.layers.Layer):
    """Largest value of each feature over the unmasked tokens; zeros where there is none.

    Call arguments:
        tokens: (B, L, W), values above -10,000.
        mask: bool (B, L), True where there is a token.

    Returns:
        (B, W).
    """

    def call(self, tokens: Array, mask: TensorLike) -> Tensor:
        mask = ops.expand_dims(mask, -1)  # (B, L, 1)
        lowest = ops.cast(-1e4, tokens.dtype)  # within float16
        pooled = ops.max(ops.where(mask, tokens, lowest), axis=1)
        return ops.where(ops.any(mask, axis=1), pooled, ops.zeros_like(pooled))
