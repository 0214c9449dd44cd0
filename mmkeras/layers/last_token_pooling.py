"""A text pooled at its last place."""

from __future__ import annotations

import keras

from mmkeras.tensors import Array, Tensor


@keras.saving.register_keras_serializable("mmkeras")
class LastTokenPooling(keras.layers.Layer):
    """The token at the last place of a row, whether a word or padding stands there.

    Call arguments:
        tokens: (B, L, W).

    Returns:
        (B, W).

    Reference:
        Zhai et al. 2023 (SigLIP, arXiv 2303.15343): its text encoder looks at padding as at any other token.
    """

    def call(self, tokens: Array) -> Tensor:
        return tokens[:, -1]
