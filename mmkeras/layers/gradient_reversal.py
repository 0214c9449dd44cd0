"""Gradient reversal: the way in which a classifier's loss teaches the network below to defeat it."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from mmkeras.tensors import Shape, Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class GradientReversal(keras.layers.Layer):
    """Identity on the way forward, `-strength` times the gradient on the way back.

    What stands behind the layer learns to minimise its loss, with its gradient neither reversed nor scaled; what stands
    before it learns to maximise the same loss. Put it between an encoder and a modality classifier, and add the
    classifier's loss to the total: the strength lives here and must not be its weight too.

    The strength is a weight: assigning to it takes effect in a compiled step without retracing, and it is saved.

    Args:
        strength: factor of the reversed gradient, 0 or more and finite; what `strength.assign(...)` replaces.

    Call arguments:
        inputs: tensor of any shape and float dtype.
        share: number that the strength is multiplied by for these inputs, 0 or more.

    Returns:
        The same tensor.

    Raises:
        ValueError: a negative or infinite strength.

    Example:
        >>> reversal = GradientReversal(strength=0.3)
        >>> modality_logits = classifier(reversal(embedding))
        >>> reversal.strength.assign(1.0)

    Reference:
        Ganin & Lempitsky 2015 (arXiv 1409.7495), section 3.1 and equations 9 and 10.
    """

    def __init__(self, strength: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= strength < math.inf:
            raise ValueError(f"Expected a finite strength of 0 or more. Received: strength={strength}")
        self.initial_strength = float(strength)
        self.strength = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(strength),
            trainable=False,
            dtype="float32",
            autocast=False,
            name="strength",
        )

    def build(self, input_shape: Shape | None = None) -> None:
        self.built = True

    def call(self, inputs: TensorLike, share: TensorLike = 1.0) -> Tensor:
        strength = share * ops.convert_to_tensor(self.strength)

        @ops.custom_gradient
        def reverse(x):
            def gradient(*args, upstream=None):
                upstream = args[0] if upstream is None else upstream  # keyword in one backend, positional in others
                # In float32: a strength of 0.3 is 0.2998 in float16.
                return ops.cast(-strength * ops.cast(upstream, "float32"), upstream.dtype)

            return ops.copy(x), gradient

        return reverse(inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "strength": self.initial_strength}
