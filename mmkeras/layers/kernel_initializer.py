"""How the kernels of transformers start."""

from __future__ import annotations

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
