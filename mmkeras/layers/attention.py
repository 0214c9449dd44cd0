"""Transformer blocks."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("mmkeras")
class TransformerBlock(keras.layers.Layer):
    """Pre-norm self-attention and feed-forward block (Xiong et al. 2020, figure 1b).

    Pre-norm trains without the long warm-up that BERT's post-norm order needs.

    Args:
        heads: attention heads; `width` of the input must be a multiple of it.
        feed_forward: hidden units of the feed-forward part.
        dropout: rate in [0, 1), on attention weights and on both branches.

    Call arguments:
        tokens: (B, L, W).
        mask: bool (B, L), True where there is a token; optional.

    Returns:
        (B, L, W).

    Raises:
        ValueError: fewer than one head or hidden unit, a dropout outside [0, 1), a width that the heads do not divide.

    Example:
        >>> block = TransformerBlock(heads=4, feed_forward=512, dropout=0.1)
        >>> tokens = block(tokens, mask=token_ids != 0)  # (B, L, 128)
    """

    def __init__(self, heads, feed_forward, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        if heads < 1:
            raise ValueError(f"Expected at least one attention head. Received: heads={heads}")
        if feed_forward < 1:
            raise ValueError(f"Expected at least one hidden unit. Received: feed_forward={feed_forward}")
        if not 0 <= dropout < 1:
            raise ValueError(f"Expected a rate in [0, 1). Received: dropout={dropout}")
        self.heads = heads
        self.feed_forward = feed_forward
        self.dropout = dropout

    def build(self, tokens_shape, mask_shape=None):
        width = tokens_shape[-1]
        if width % self.heads:
            raise ValueError(f"Expected a width that {self.heads} heads divide. Received: width={width}")
        policy = self.dtype_policy
        self.attention_norm = keras.layers.LayerNormalization(epsilon=1e-6, dtype=policy, name="attention_norm")
        self.attention = keras.layers.MultiHeadAttention(
            self.heads, width // self.heads, dropout=self.dropout, dtype=policy, name="attention"
        )
        self.feed_forward_norm = keras.layers.LayerNormalization(epsilon=1e-6, dtype=policy, name="feed_forward_norm")
        self.expand = keras.layers.Dense(self.feed_forward, activation="gelu", dtype=policy, name="expand")
        self.contract = keras.layers.Dense(width, dtype=policy, name="contract")
        self.residual_dropout = keras.layers.Dropout(self.dropout, dtype=policy, name="residual_dropout")
        self.attention_norm.build(tokens_shape)
        self.attention.build(tokens_shape, tokens_shape)
        self.feed_forward_norm.build(tokens_shape)
        self.expand.build(tokens_shape)
        self.contract.build((*tokens_shape[:-1], self.feed_forward))

    def call(self, tokens, mask=None, training=None):
        attention_mask = None if mask is None else ops.expand_dims(mask, 1)  # (B, 1, L): every query, real keys only
        x = self.attention_norm(tokens)
        x = self.attention(x, x, attention_mask=attention_mask, training=training)
        tokens = tokens + self.residual_dropout(x, training=training)
        x = self.contract(self.expand(self.feed_forward_norm(tokens)))
        return tokens + self.residual_dropout(x, training=training)

    def compute_output_shape(self, tokens_shape, mask_shape=None):
        return tokens_shape

    def get_config(self):
        return {
            **super().get_config(),
            "heads": self.heads,
            "feed_forward": self.feed_forward,
            "dropout": self.dropout,
        }
