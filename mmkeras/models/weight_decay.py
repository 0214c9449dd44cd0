"""What weight decay leaves alone."""

from typing import TypeVar

import keras

T = TypeVar("T", bound=keras.optimizers.Optimizer)


def without_decay_of_scales(optimizer: T) -> T:
    """Return the optimizer, told to leave some variables out of weight decay.

    Decay shrinks directions of matrices; biases, scales, offsets and the temperature it would only bias towards 0.
    """
    decaying = getattr(optimizer, "inner_optimizer", optimizer)  # what a LossScaleOptimizer wraps
    if not decaying.built:  # compiled before, it has its exclusions; Keras takes them only until then
        decaying.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "log_temperature"])
    return optimizer
