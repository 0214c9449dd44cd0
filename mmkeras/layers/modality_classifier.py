"""The modality classifier: the adversary of the encoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.tensors import Shape, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class ModalityClassifier(ConfigFromSignature, keras.layers.Layer):
    """An MLP that tells embeddings of pictures from embeddings of texts.

    At least one hidden layer: a linear classifier sees a difference of means only. No normalisation over the batch,
    which would carry the modality from row to row, and smooth activations, whose slope never vanishes.

    Args:
        hidden: units of each hidden layer, one layer or more.
        dropout: rate in [0, 1) after each hidden layer.

    Call arguments:
        embedding: (N, D).

    Returns:
        float32 (N,), logits, positive for pictures.

    Raises:
        ValueError: no hidden layer, a layer without units, a dropout outside [0, 1).

    Example:
        >>> logits = ModalityClassifier((256, 256))(reversal(embedding))
    """

    def __init__(self, hidden: Sequence[int] = (256, 256), dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not hidden or min(hidden) < 1:
            raise ValueError(f"Expected the units of one hidden layer or more. Received: hidden={hidden}")
        if not 0 <= dropout < 1:
            raise ValueError(f"Expected a rate in [0, 1). Received: dropout={dropout}")
        self.hidden = hidden
        self.dropout = dropout

    def build(self, embedding_shape: Shape) -> None:
        policy = self.dtype_policy
        self.hidden_layers = []
        width = embedding_shape[-1]
        for index, units in enumerate(self.hidden):
            layer = keras.layers.Dense(units, activation="leaky_relu", dtype=policy, name=f"hidden_{index}")
            layer.build((None, width))
            self.hidden_layers.append(layer)
            width = units
        self.hidden_dropout = keras.layers.Dropout(self.dropout, dtype=policy, name="dropout")
        self.logit = keras.layers.Dense(1, dtype="float32", name="logit")
        self.logit.build((None, width))

    def call(self, embedding: TensorLike, training: bool | None = None) -> Tensor:
        x = embedding
        for layer in self.hidden_layers:
            x = self.hidden_dropout(layer(x), training=training)
        return ops.squeeze(self.logit(x), axis=-1)

    def compute_output_spec(self, embedding: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        return keras.KerasTensor(embedding.shape[:-1], "float32")
