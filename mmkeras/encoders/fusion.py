"""Texts in the light of pictures."""

from __future__ import annotations

from typing import Any

import keras

from mmkeras._config import ConfigFromSignature
from mmkeras.layers.transformer_block import TransformerBlock
from mmkeras.tensors import Array, Shape, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class FusionEncoder(ConfigFromSignature, keras.layers.Layer):
    """The tokens of a text, which look at each other and at those of a picture, block by block.

    Post-norm, as BERT is: the defaults are the upper half of BERT-base with attention to the picture between
    self-attention and feed-forward part, ALBEF's multimodal encoder. It can be run in parts, so that only the blocks
    from one on are differentiated by that one's attention.

    Args:
        depth: transformer blocks.
        heads: attention heads, which divide the width of the text's tokens.
        mlp_ratio: hidden units of the feed-forward part over the width of the text's tokens.
        dropout: rate in every block.
        initializer_range: standard deviation of the kernels' start; `None` is Glorot, for narrow nets.

    Call arguments:
        tokens: (B, L, W), of the text; or what the blocks before `start` made of them.
        image_tokens: (B, N, V), of the picture, of any width V.
        mask: bool (B, L), True where there is a token; optional.
        start: the first block to run, from 0.
        stop: the first block not to run; `None` runs to the end.
        probe: (B, heads, L, N), zeros added to the probabilities with which block `start` looks at the picture;
            optional. See `MultiHeadAttention`.
        return_probabilities: whether to return these probabilities as well.
        class_only: whether only what becomes of the first token is wanted. In the last block that is run nothing is
            computed of the others then, but what it looks at.

    Returns:
        (B, L, W), L and W as of `tokens`, or (B, 1, W) with `class_only`; with `return_probabilities` also float32
        (B, heads, L, N), of block `start`.

    Raises:
        ValueError: no block, as of `TransformerBlock`, or a `start` and `stop` between which there is no block.

    Example:
        >>> fusion = FusionEncoder(depth=6, heads=12)
        >>> lower = fusion(words, patches, mask, stop=2)
        >>> with tf.GradientTape() as tape:
        ...     tape.watch(probe)  # tf.zeros((8, 12, 26, 257))
        ...     fused, attention = fusion(lower, patches, mask, start=2, probe=probe, return_probabilities=True)
        ...     score = tf.reduce_sum(head(fused[:, 0])[:, 1])
        >>> relevance = tf.nn.relu(tape.gradient(score, probe)) * attention

    Reference:
        Li et al. 2021 (arXiv 2107.07651), section 3.1.
    """

    def __init__(
        self,
        depth: int = 6,
        heads: int = 12,
        mlp_ratio: int = 4,
        dropout: float = 0.1,
        initializer_range: float | None = 0.02,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if depth < 1:
            raise ValueError(f"Expected at least one block. Received: depth={depth}")
        self.depth = depth
        self.heads = heads
        self.mlp_ratio = mlp_ratio
        self.dropout = dropout
        self.initializer_range = initializer_range

    def build(self, tokens_shape: Shape, image_tokens_shape: Shape) -> None:
        self.blocks = [
            TransformerBlock(
                self.heads,
                self.mlp_ratio * tokens_shape[-1],
                self.dropout,
                post_norm=True,
                cross_attention=True,
                epsilon=1e-12,
                initializer_range=self.initializer_range,
                dtype=self.dtype_policy,
                name=f"block_{index}",
            )
            for index in range(self.depth)
        ]
        for block in self.blocks:
            block.build(tokens_shape, image_tokens_shape)

    def call(
        self,
        tokens: Array,
        image_tokens: TensorLike,
        mask: TensorLike | None = None,
        start: int = 0,
        stop: int | None = None,
        probe: TensorLike | None = None,
        return_probabilities: bool = False,
        class_only: bool = False,
        training: bool | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        stop = self.depth if stop is None else stop
        if not 0 <= start < stop <= self.depth:
            raise ValueError(f"Expected 0 <= start < stop <= {self.depth}. Received: start={start}, stop={stop}")
        probabilities = None
        for index in range(start, stop):
            first = {"probe": probe, "return_probabilities": return_probabilities} if index == start else {}
            last = class_only and index == stop - 1
            tokens = self.blocks[index](tokens, mask, image_tokens, class_only=last, training=training, **first)
            if index == start and return_probabilities:
                tokens, probabilities = tokens
        return (tokens, probabilities) if return_probabilities else tokens

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        return None  # as of the blocks
