"""A discriminator: is this real, or made by the network that it plays against?"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.layers.initialization import linear
from mmkeras.layers.projection_block import ProjectionBlock
from mmkeras.tensors import Shape, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class Discriminator(ConfigFromSignature, keras.layers.Layer):
    """One logit a row: a single linear layer, or one behind a `ProjectionBlock`.

    With a hidden block a row is judged within its batch, whose statistics it is normalised by: call it for real rows
    and for each kind of made ones separately.

    Args:
        hidden: units of the block, or 0 for a single linear layer.

    Call arguments:
        inputs: (B, F).

    Returns:
        float32 (B,), logits, positive for what looks real.

    Raises:
        ValueError: fewer than 0 units.

    Example:
        >>> logits = Discriminator(512)(ops.concatenate([representation, feature], axis=-1), training=True)
    """

    def __init__(self, hidden: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if hidden < 0:
            raise ValueError(f"Expected 0 hidden units or more. Received: hidden={hidden}")
        self.hidden = hidden

    def build(self, input_shape: Shape) -> None:
        width = input_shape[-1]
        self.block = None
        if self.hidden:
            self.block = ProjectionBlock(self.hidden, dtype=self.dtype_policy, name="block")
            self.block.build((None, width))
            width = self.hidden
        self.logit = linear(1, width, dtype="float32", name="logit")

    def call(self, inputs: TensorLike, training: bool | None = None) -> Tensor:
        x = inputs if self.block is None else self.block(inputs, training=training)
        return ops.squeeze(self.logit(x), axis=-1)

    def compute_output_spec(self, inputs: keras.KerasTensor, training: bool | None = None) -> keras.KerasTensor:
        return keras.KerasTensor(inputs.shape[:-1], "float32")
