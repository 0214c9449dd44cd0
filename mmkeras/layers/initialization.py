"""How weights start: kernels of transformers, and linear layers of the older GAN literature."""

from __future__ import annotations

from typing import Any

import keras


def kernel_initializer(initializer_range: float | None) -> keras.initializers.Initializer:
    """Return how a kernel starts.

    Args:
        initializer_range: standard deviation of a normal distribution cut at two of it: 0.02 in BERT and ViT; `None` is
            Keras' own start (Glorot), which takes the deviation from the layer's sizes and suits narrow ones.

    Returns:
        A `keras.initializers.Initializer`, a new one at each call.

    Raises:
        ValueError: a deviation that is not positive.
    """
    if initializer_range is None:
        return keras.initializers.GlorotUniform()
    if initializer_range <= 0:
        raise ValueError(f"Expected a standard deviation above 0 or None. Received: {initializer_range=}")
    return keras.initializers.TruncatedNormal(stddev=initializer_range)


def linear(units: int, inputs: int, **kwargs: Any) -> keras.layers.Dense:
    """A built `keras.layers.Dense` whose kernel and bias both start uniform within +-1 / sqrt(inputs).

    Keras' own start (Glorot, a bias of 0) draws the kernel by the mean of inputs and units; where a published network
    is followed that was trained from this one, a layer from 1,024 to 1 would start with weights 2.4 times as large.

    Args:
        units: outputs, 1 or more.
        inputs: length of what it takes, 1 or more.
        **kwargs: see `keras.layers.Dense`.

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
