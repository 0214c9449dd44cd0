"""The linear layers around attention's heads, as one matrix product each."""

from __future__ import annotations

import math

import keras
from keras import ops

from mmkeras.tensors import Array, Tensor


@keras.saving.register_keras_serializable("mmkeras")
class HeadDense(keras.layers.EinsumDense):
    """`keras.layers.EinsumDense` into heads or out of them, without a product a row of the batch.

    `tf.einsum` makes of it a batched product, and of the kernel's gradient one matrix for each row, (B, W, H * D), to
    be summed. Over all tokens at once it is one product, forward and back: the step of `soft_mask_glyphs` takes nine
    tenths of the time. Outputs, weights and their names are those of Keras' layer.

    Args:
        equation: `"blw,whd->blhd"` or `"blhd,hdw->blw"`.
        output_shape: as of Keras' layer.
        **kwargs: as of Keras' layer.

    Call arguments:
        inputs: (B, L, W), or (B, L, H, D).

    Returns:
        (B, L, H, D), or (B, L, W).

    Example:
        >>> HeadDense("blw,whd->blhd", (None, 4, 16), bias_axes="hd")(tokens)  # (B, L, 4, 16)
    """

    def call(self, inputs: Array, training: bool | None = None) -> Tensor:
        summed = len(inputs.shape) - 2  # axes of the kernel that the product is over
        inner, outer = (math.prod(shape) for shape in (self.kernel.shape[:summed], self.kernel.shape[summed:]))
        outputs = ops.matmul(ops.reshape(inputs, (-1, inner)), ops.reshape(self.kernel, (inner, outer)))
        if self.bias is not None:
            outputs = ops.add(outputs, ops.reshape(self.bias, (outer,)))
        outputs = ops.reshape(outputs, (*ops.shape(inputs)[:2], *self.kernel.shape[summed:]))
        return outputs if self.activation is None else self.activation(outputs)
