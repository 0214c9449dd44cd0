"""Transformer blocks."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.layers.activations import ActivationName, activation_named
from mmkeras.layers.fused.fused_dropout import FusedDropout
from mmkeras.layers.fused.fused_layer_normalization import FusedLayerNormalization
from mmkeras.layers.initialization import kernel_initializer
from mmkeras.layers.multi_head_attention import MultiHeadAttention
from mmkeras.layers.recomputed import recomputed
from mmkeras.tensors import Array, Shape, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class TransformerBlock(ConfigFromSignature, keras.layers.Layer):
    """Self-attention and feed-forward block, if asked with attention to another modality's tokens between the two.

    Normalised before each part (Xiong et al. 2020, figure 1b), as ViT is, which trains without a long warm-up; or after
    each sum (figure 1a), as BERT is and with it all that starts from its weights.

    Args:
        heads: attention heads; `width` of the input must be a multiple of it.
        feed_forward: hidden units of the feed-forward part.
        dropout: rate in [0, 1), on attention probabilities and on every branch.
        post_norm: whether to normalise after each sum in place of before each part.
        cross_attention: whether the tokens look at a `context` after they looked at each other.
        epsilon: what the normalisations add to a variance.
        initializer_range: deviation that all kernels begin with, see `kernel_initializer`.
        activation: of the feed-forward part, see `activation_named`.
        causal: whether each token looks at itself and at those before it alone.
        layer_scale: what each branch is multiplied by at first, feature by feature, before it is added to the tokens,
            learnt from there (Touvron et al. 2021, arXiv 2103.17239, section 2); `None` leaves that out.

    Call arguments:
        tokens: (B, L, W).
        mask: bool (B, L), True where there is a token; optional.
        context: (B, N, V), with `cross_attention` and only with it; all of it is looked at.
        probe: (B, heads, L, N), added to the probabilities of the attention to the context, see `MultiHeadAttention`;
            optional.
        return_probabilities: whether to return these as well.
        class_only: whether the first token alone asks, still of all of them, and is handed on: what is left to do where
            nobody reads the others.

    Attributes:
        recomputed: whether a training step computes the block again for its gradient, in place of keeping the
            activations within it; what it drops is the same both times. False; not part of the config.

    Returns:
        (B, L, W), or (B, 1, W) with `class_only`; with `return_probabilities` also float32 (B, heads, L, N).

    Raises:
        ValueError: fewer than one head or hidden unit, a dropout outside [0, 1), an epsilon that is not positive, an
            unknown activation, a width that the heads do not divide; a context or `return_probabilities` without
            `cross_attention`, or that without a context.

    Example:
        >>> block = TransformerBlock(heads=4, feed_forward=512, dropout=0.1)
        >>> tokens = block(tokens, mask=token_ids != 0)  # (B, L, 128)
    """

    recomputed: bool = False

    def __init__(
        self,
        heads: int,
        feed_forward: int,
        dropout: float = 0.0,
        post_norm: bool = False,
        cross_attention: bool = False,
        epsilon: float = 1e-6,
        initializer_range: float | None = None,
        activation: ActivationName = "gelu",
        causal: bool = False,
        layer_scale: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if heads < 1:
            raise ValueError(f"Expected at least one attention head. Received: heads={heads}")
        if feed_forward < 1:
            raise ValueError(f"Expected at least one hidden unit. Received: feed_forward={feed_forward}")
        if not 0 <= dropout < 1:
            raise ValueError(f"Expected a rate in [0, 1). Received: dropout={dropout}")
        if epsilon <= 0:
            raise ValueError(f"Expected an epsilon above 0. Received: epsilon={epsilon}")
        activation_named(activation)
        self.heads = heads
        self.feed_forward = feed_forward
        self.dropout = dropout
        self.post_norm = post_norm
        self.cross_attention = cross_attention
        self.epsilon = epsilon
        self.initializer_range = initializer_range
        self.activation = activation
        self.causal = causal
        self.layer_scale = layer_scale

    def build(self, tokens_shape: Shape, context_shape: Shape | None = None) -> None:
        self._check_context(context_shape)
        width, policy = tokens_shape[-1], self.dtype_policy
        self.attention_norm = self._norm("attention_norm")
        self.attention = self._attention("attention", self.causal)
        self.feed_forward_norm = self._norm("feed_forward_norm")
        self.expand = self._dense(self.feed_forward, activation_named(self.activation), "expand")
        self.contract = self._dense(width, None, "contract")
        self.residual_dropout = FusedDropout(self.dropout, dtype=policy, name="residual_dropout")
        self.attention_norm.build(tokens_shape)
        self.attention.build(tokens_shape)
        if self.cross_attention:
            self.context_norm = self._norm("context_norm")
            self.context_attention = self._attention("context_attention")
            self.context_norm.build(tokens_shape)
            self.context_attention.build(tokens_shape, context_shape)
        self.feed_forward_norm.build(tokens_shape)
        self.expand.build(tokens_shape)
        self.contract.build((*tokens_shape[:-1], self.feed_forward))
        self.attention_scale = self._scale("attention_scale", width)
        self.context_scale = self._scale("context_scale", width) if self.cross_attention else None
        self.feed_forward_scale = self._scale("feed_forward_scale", width)

    def _scale(self, name, width):
        if self.layer_scale is None:
            return None
        return self.add_weight(shape=(width,), initializer=keras.initializers.Constant(self.layer_scale), name=name)

    def _norm(self, name):
        return FusedLayerNormalization(epsilon=self.epsilon, dtype=self.dtype_policy, name=name)

    def _dense(self, units, activation, name):
        kernel = kernel_initializer(self.initializer_range)
        return keras.layers.Dense(units, activation, kernel_initializer=kernel, dtype=self.dtype_policy, name=name)

    def _attention(self, name, causal=False):
        return MultiHeadAttention(
            self.heads, self.dropout, self.initializer_range, causal, dtype=self.dtype_policy, name=name
        )

    def _check_context(self, context):
        if (context is not None) != self.cross_attention:
            raise ValueError(
                "Expected a context with cross_attention and only with it. "
                f"Received: {'no context' if context is None else 'a context'}, cross_attention={self.cross_attention}"
            )

    def call(
        self,
        tokens: Array,
        mask: TensorLike | None = None,
        context: TensorLike | None = None,
        probe: TensorLike | None = None,
        return_probabilities: bool = False,
        class_only: bool = False,
        training: bool | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        self._check_context(context)
        if return_probabilities and not self.cross_attention:
            raise ValueError("Expected cross_attention with return_probabilities. Received: cross_attention=False")
        given = {"tokens": tokens, "context": context, "probe": probe}  # what a gradient flows through
        options = {"mask": mask, "return_probabilities": return_probabilities, "class_only": class_only}
        present = [name for name, tensor in given.items() if tensor is not None]

        def compute(*tensors):
            inputs = given | dict(zip(present, tensors, strict=True))
            return self._computed(**inputs, **options, training=training)

        if training and self.recomputed and not isinstance(tokens, keras.KerasTensor):
            states = [variable for variable in self.non_trainable_variables if "seed_generator" in variable.path]
            compute = recomputed(compute, states)
        return compute(*(given[name] for name in present))

    def _computed(self, tokens, context, probe, mask, return_probabilities, class_only, training):
        x = self._before(self.attention_norm, tokens, training)
        if class_only:
            tokens, x = tokens[:, :1], self.attention(x[:, :1], x, attention_mask=mask, training=training)
        else:
            x = self.attention(x, attention_mask=mask, training=training)
        tokens = self._after(self.attention_norm, tokens, x, training, self.attention_scale)
        if self.cross_attention:
            x = self._before(self.context_norm, tokens, training)
            x = self.context_attention(
                x, context, probe=probe, return_probabilities=return_probabilities, training=training
            )
            x, probabilities = x if return_probabilities else (x, None)
            tokens = self._after(self.context_norm, tokens, x, training, self.context_scale)
        x = self.contract(self.expand(self._before(self.feed_forward_norm, tokens, training)))
        tokens = self._after(self.feed_forward_norm, tokens, x, training, self.feed_forward_scale)
        return (tokens, probabilities) if return_probabilities else tokens

    def _before(self, norm, tokens, training):
        """What goes into a part of the block."""
        return tokens if self.post_norm else norm(tokens, training=training)

    def _after(self, norm, tokens, branch, training, scale):
        """What comes of the tokens and the part's output."""
        branch = branch if scale is None else branch * ops.cast(scale, branch.dtype)
        tokens = tokens + self.residual_dropout(branch, training=training)
        return norm(tokens, training=training) if self.post_norm else tokens

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        return None  # masks go by argument; attached to a tensor, Keras would hand them to layers that take none
