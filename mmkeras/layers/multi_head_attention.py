"""Multi-head attention whose probabilities can be read and differentiated."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.layers.fused.fused_dropout import FusedDropout
from mmkeras.layers.fused.head_dense import HeadDense
from mmkeras.layers.initialization import kernel_initializer
from mmkeras.tensors import Array, Shape, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class MultiHeadAttention(ConfigFromSignature, keras.layers.Layer):
    """Scaled dot-product attention in several heads, from tokens to themselves or to a context.

    Outputs and weights are those of `keras.layers.MultiHeadAttention`; what that one lacks is a way to the derivative
    of a score by the attention probabilities, which Grad-CAM needs. A `probe` of zeros is added to the probabilities
    before dropout: it changes nothing, and a tape that watches it returns that derivative, also in a graph.

    Args:
        heads: attention heads; the width W of the tokens must be a multiple of it.
        dropout: rate in [0, 1) on the probabilities.
        initializer_range: see `kernel_initializer`.
        causal: whether each token looks at itself and at those before it alone.

    Call arguments:
        tokens: (B, L, W), what asks.
        context: (B, N, V), what is looked at, of any width V; `tokens` where left out.
        attention_mask: bool (B, N), True where there is something to look at; optional.
        probe: float (B, heads, L, N), added to the probabilities; optional.
        return_probabilities: whether to return them as well.

    Returns:
        (B, L, W); with `return_probabilities` also float32 (B, heads, L, N), rows of sum 1 and the probe, as they were
        before dropout.

    Raises:
        ValueError: no head, a dropout outside [0, 1), a width that the heads do not divide.

    Example:
        >>> probe = tf.zeros((8, 4, 25, 17))
        >>> with tf.GradientTape() as tape:
        ...     tape.watch(probe)
        ...     attended, probabilities = attention(words, patches, probe=probe, return_probabilities=True)
        ...     score = tf.reduce_sum(head(attended))
        >>> tape.gradient(score, probe)  # of the score by the probabilities, (8, 4, 25, 17)

    Reference:
        Vaswani et al. 2017 (arXiv 1706.03762), section 3.2.
    """

    def __init__(
        self,
        heads: int,
        dropout: float = 0.0,
        initializer_range: float | None = None,
        causal: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if heads < 1:
            raise ValueError(f"Expected at least one attention head. Received: heads={heads}")
        if not 0 <= dropout < 1:
            raise ValueError(f"Expected a rate in [0, 1). Received: dropout={dropout}")
        self.heads = heads
        self.dropout = dropout
        self.initializer_range = initializer_range
        self.causal = causal

    def build(self, tokens_shape: Shape, context_shape: Shape | None = None) -> None:
        width = tokens_shape[-1]
        if width % self.heads:
            raise ValueError(f"Expected a width that {self.heads} heads divide. Received: width={width}")
        context_shape = context_shape or tokens_shape
        size = width // self.heads
        self.query_dense = self._dense("blw,whd->blhd", (None, self.heads, size), "hd", "query")
        self.key_dense = self._dense("blw,whd->blhd", (None, self.heads, size), "hd", "key")
        self.value_dense = self._dense("blw,whd->blhd", (None, self.heads, size), "hd", "value")
        self.output_dense = self._dense("blhd,hdw->blw", (None, width), "w", "output")
        self.probability_dropout = FusedDropout(self.dropout, dtype=self.dtype_policy, name="dropout")
        self.query_dense.build(tokens_shape)
        self.key_dense.build(context_shape)
        self.value_dense.build(context_shape)
        self.output_dense.build((*tokens_shape[:-1], self.heads, size))

    def _dense(self, equation, output_shape, bias_axes, name):
        return HeadDense(
            equation,
            output_shape,
            bias_axes=bias_axes,
            kernel_initializer=kernel_initializer(self.initializer_range),
            dtype=self.dtype_policy,
            name=name,
        )

    def call(
        self,
        tokens: TensorLike,
        context: TensorLike | None = None,
        attention_mask: Array | None = None,
        probe: TensorLike | None = None,
        return_probabilities: bool = False,
        training: bool | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        context = tokens if context is None else context
        query, key, value = self.query_dense(tokens), self.key_dense(context), self.value_dense(context)
        query = query * ops.cast(query.shape[-1] ** -0.5, query.dtype)
        scores = ops.einsum("blhd,bnhd->bhln", query, key)  # (B, H, L, N)
        if attention_mask is not None:
            # Finite, and within float16: a row with nothing to look at stays finite.
            scores = ops.where(attention_mask[:, None, None], scores, ops.cast(-1e4, scores.dtype))
        if self.causal:
            places = [ops.arange(ops.shape(scores)[axis]) for axis in (2, 3)]
            is_before = places[1][None] <= places[0][:, None]  # (L, N)
            scores = ops.where(is_before, scores, ops.cast(-1e4, scores.dtype))
        weights = probabilities = tf.nn.softmax(scores)  # Keras' own warns of a context of one token
        if probe is not None or return_probabilities:
            probabilities = ops.cast(probabilities, self.variable_dtype)
        if probe is not None:
            probabilities = probabilities + ops.cast(probe, probabilities.dtype)
            weights = ops.cast(probabilities, scores.dtype)
        weights = self.probability_dropout(weights, training=training)
        attended = self.output_dense(ops.einsum("bhln,bnhd->blhd", weights, value))  # (B, L, W)
        return (attended, probabilities) if return_probabilities else attended
