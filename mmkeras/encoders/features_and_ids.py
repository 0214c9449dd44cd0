"""`FeaturesAndIds`: takes apart what a frozen text tower's features and a text's ids were joined to."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.tensors import Array, Shape, Tensor


@keras.saving.register_keras_serializable("mmkeras")
class FeaturesAndIds(ConfigFromSignature, keras.layers.Layer):
    """Split vectors into the features of a frozen tower and the token ids that stand behind them.

    A head that reads a text's tokens besides what a frozen network made of it gets both as one vector, so that one
    vector a text is what is computed once and cached. float32 holds ids below 2^24 exactly. What stands before this
    layer makes the features.

    Args:
        sequence_length: ids of a text, L.

    Call arguments:
        inputs: float32 (B, W + L).

    Returns:
        Pair of features, float32 (B, W), and ids, int32 (B, L), under any dtype policy.

    Example:
        >>> joined = layers.Concatenate(dtype="float32")([features, layers.Identity(dtype="float32")(token_ids)])
        >>> features, token_ids = FeaturesAndIds(sequence_length=46)(joined)
    """

    def __init__(self, sequence_length: int, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.sequence_length = sequence_length

    def call(self, inputs: Array) -> tuple[Tensor, Tensor]:
        features, ids = inputs[:, : -self.sequence_length], inputs[:, -self.sequence_length :]
        return features, ops.cast(ops.round(ids), "int32")

    def compute_output_shape(self, inputs_shape: Shape) -> tuple[Shape, Shape]:
        rows, width = inputs_shape
        return (rows, width - self.sequence_length), (rows, self.sequence_length)

    def compute_output_spec(self, inputs: Any) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        features, ids = self.compute_output_shape(inputs.shape)
        return keras.KerasTensor(features, "float32"), keras.KerasTensor(ids, "int32")
