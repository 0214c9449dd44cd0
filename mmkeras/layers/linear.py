"""Linear layers as the older GAN literature starts them."""

from __future__ import annotations

from typing import Any

import keras


def linear(units: int, inputs: int, **kwargs: Any) -> keras.layers.Dense:
    """A built `keras.layers.Dense` whose kernel and bias both start uniform within +-1 / sqrt(inputs).

    Keras' own start (Glorot, a bias of 0) draws the kernel by the mean of inputs and units; where a published network
    is followed that was trained from this one, a layer from 1,024 to 1 would start with weights 2.4 times as large.

    Args:
        units: outputs, 1 or more.
        inputs: length of what it takes, 1 or more.
        **kwargs: as of `keras.layers.Dense`.

    Returns:
        `keras.layers.Dense`.

    Reference:
        LeCun et al. 1998, Efficient BackProp, section 4.6, for the scale; the uniform form with its bias is the default
        of Torch's linear layer.
    """
    bound = inputs**-0.5
    layer = keras.layers.Dense(
        units,
        kernel_initializer=keras.initializers.RandomUniform(-bound, bound),
        bias_initializer=keras.initializers.RandomUniform(-bound, bound),
        **kwargs,
    )
    layer.build((None, inputs))
    return layer
