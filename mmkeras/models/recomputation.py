"""Gradient checkpointing in a whole model."""

from __future__ import annotations

import keras

from mmkeras.errors import MmkerasError
from mmkeras.layers.transformer_block import TransformerBlock
from mmkeras.models.layer_tree import layers_within


def recompute_blocks(model: keras.Model) -> None:
    """Let each `TransformerBlock` of a model be computed again for its gradient in place of keeping its activations.

    A step then keeps the tokens between the blocks, and the activations of one block. Call it before `fit`.

    Args:
        model: `keras.Model`.

    Raises:
        MmkerasError: a model without such blocks.
    """
    blocks = [layer for layer in layers_within(model) if isinstance(layer, TransformerBlock)]
    if not blocks:
        raise MmkerasError(
            f"Expected a model with transformer blocks to compute again. Received: {type(model).__name__} of encoders "
            "that have none; leave recompute out"
        )
    for block in blocks:
        block.recomputed = True
