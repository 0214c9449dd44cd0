"""Pooling over the tokens that are there."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("mmkeras")
class MaskedMeanPooling(keras.layers.Layer):
    """Mean over the unmasked tokens; zeros where there is none.

    Call arguments:
        tokens: (B, L, W).
        mask: bool (B, L), True where there is a token.

    Returns:
        (B, W).
    """

    def call(self, tokens, mask):
        weight = ops.expand_dims(ops.cast(mask, tokens.dtype), -1)  # (B, L, 1)
        return ops.sum(tokens * weight, axis=1) / ops.maximum(ops.sum(weight, axis=1), 1.0)


@keras.saving.register_keras_serializable("mmkeras")
class MaskedMaxPooling(keras.layers.Layer):
    """Largest value of each feature over the unmasked tokens; zeros where there is none.

    Call arguments:
        tokens: (B, L, W).
        mask: bool (B, L), True where there is a token.

    Returns:
        (B, W).
    """

    def call(self, tokens, mask):
        mask = ops.expand_dims(mask, -1)  # (B, L, 1)
        lowest = ops.cast(-1e4, tokens.dtype)  # within float16
        pooled = ops.max(ops.where(mask, tokens, lowest), axis=1)
        return ops.where(ops.any(mask, axis=1), pooled, ops.zeros_like(pooled))
