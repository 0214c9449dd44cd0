"""Tokens pooled by attention."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.layers.activations import ActivationName, activation_named
from mmkeras.layers.fused.fused_layer_normalization import FusedLayerNormalization
from mmkeras.layers.initialization import kernel_initializer
from mmkeras.layers.multi_head_attention import MultiHeadAttention
from mmkeras.tensors import Array, Shape, Tensor


@keras.saving.register_keras_serializable("mmkeras")
class AttentionPooling(ConfigFromSignature, keras.layers.Layer):
    """One learnt query that looks at all tokens, and a feed-forward part on what it found.

        y = attention(probe, tokens)
        pooled = y + contract(activation(expand(norm(y))))

    Args:
        heads: attention heads, which divide the width of the tokens.
        feed_forward: hidden units of the feed-forward part.
        activation: of the feed-forward part, see `activation_named`.
        epsilon: what the normalisation adds to a variance.
        initializer_range: deviation that all kernels begin with, see `kernel_initializer`.

    Call arguments:
        tokens: (B, L, W).

    Returns:
        (B, W).

    Raises:
        ValueError: fewer than one head or hidden unit, an unknown activation, a width that the heads do not divide.

    Reference:
        Lee et al. 2019 (Set Transformer, arXiv 1810.00825), section 3.2, with one seed; as the head of a vision
        transformer Zhai et al. 2022 (arXiv 2106.04560), section 3.
    """

    def __init__(
        self,
        heads: int,
        feed_forward: int,
        activation: ActivationName = "gelu",
        epsilon: float = 1e-6,
        initializer_range: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if min(heads, feed_forward) < 1:
            raise ValueError(
                f"Expected one head and one hidden unit or more. Received: heads={heads}, feed_forward={feed_forward}"
            )
        activation_named(activation)
        self.heads = heads
        self.feed_forward = feed_forward
        self.activation = activation
        self.epsilon = epsilon
        self.initializer_range = initializer_range

    def build(self, tokens_shape: Shape) -> None:
        width, policy = tokens_shape[-1], self.dtype_policy
        query_shape = (*tokens_shape[:-2], 1, width)
        self.probe = self.add_weight(
            shape=(width,), initializer=kernel_initializer(self.initializer_range or 0.02), name="probe"
        )
        self.attention = MultiHeadAttention(
            self.heads, initializer_range=self.initializer_range, dtype=policy, name="attention"
        )
        self.attention.build(query_shape, tokens_shape)
        self.norm = FusedLayerNormalization(epsilon=self.epsilon, dtype=policy, name="norm")
        self.norm.build(query_shape)
        self.expand = self._dense(self.feed_forward, activation_named(self.activation), "expand")
        self.expand.build(query_shape)
        self.contract = self._dense(width, None, "contract")
        self.contract.build((*query_shape[:-1], self.feed_forward))

    def _dense(self, units, activation, name):
        kernel = kernel_initializer(self.initializer_range)
        return keras.layers.Dense(units, activation, kernel_initializer=kernel, dtype=self.dtype_policy, name=name)

    def call(self, tokens: Array, training: bool | None = None) -> Tensor:
        probe = ops.cast(self.probe, tokens.dtype)[None, None]
        probe = ops.broadcast_to(probe, (ops.shape(tokens)[0], 1, tokens.shape[-1]))
        found = self.attention(probe, tokens, training=training)  # (B, 1, W)
        return (found + self.contract(self.expand(self.norm(found, training=training))))[:, 0]
