"""From tokens back to words."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.layers.fused.fused_layer_normalization import FusedLayerNormalization
from mmkeras.layers.initialization import kernel_initializer
from mmkeras.tensors import Array, Shape, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class MaskedLanguageHead(ConfigFromSignature, keras.layers.Layer):
    """BERT's masked language head: a hidden layer, and the token embedding itself as the output layer's kernel.

    The table is given at each call, as this layer does not own it; its gradient comes from here and from the encoder.
    Give it only the masked positions: logits of all positions over a whole vocabulary are the step's largest tensor.

    Args:
        vocabulary_size: ids are 0 to `vocabulary_size` - 1.
        epsilon: what the normalisation adds to a variance.
        initializer_range: see `kernel_initializer`.

    Call arguments:
        tokens: (..., W).
        token_embedding: (V, W), the encoder's table, V = `vocabulary_size`.
        training: bool.

    Returns:
        logits, float32 (..., V).

    Raises:
        ValueError: a vocabulary of no ids, a table of another size.

    Reference:
        Devlin et al. 2019 (arXiv 1810.04805), section 3.1; the tied kernel is Press & Wolf 2017 (arXiv 1608.05859).
    """

    def __init__(
        self, vocabulary_size: int, epsilon: float = 1e-12, initializer_range: float | None = 0.02, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if vocabulary_size < 1:
            raise ValueError(f"Expected one id or more. Received: vocabulary_size={vocabulary_size}")
        self.vocabulary_size = vocabulary_size
        self.epsilon = epsilon
        self.initializer_range = initializer_range

    def build(self, tokens_shape: Shape, token_embedding_shape: Shape | None = None) -> None:
        kernel, policy = kernel_initializer(self.initializer_range), self.dtype_policy
        self.dense = keras.layers.Dense(tokens_shape[-1], "gelu", kernel_initializer=kernel, dtype=policy, name="dense")
        self.norm = FusedLayerNormalization(epsilon=self.epsilon, dtype=policy, name="norm")
        # Added in float32, also under mixed precision: the softmax over a vocabulary is taken of these sums.
        self.bias = self.add_weight(shape=(self.vocabulary_size,), initializer="zeros", autocast=False, name="bias")
        self.dense.build(tokens_shape)
        self.norm.build(tokens_shape)

    def call(self, tokens: TensorLike, token_embedding: Array, training: bool | None = None) -> Tensor:
        if token_embedding.shape[0] != self.vocabulary_size:
            raise ValueError(
                f"Expected the embedding of {self.vocabulary_size} ids. Received: {token_embedding.shape[0]}"
            )
        x = self.norm(self.dense(tokens), training=training)
        logits = ops.matmul(x, ops.transpose(ops.cast(token_embedding, x.dtype)))
        return ops.cast(logits, self.variable_dtype) + self.bias
