"""Gradient checkpointing: a function that is computed again for its gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf


def recomputed(function: Callable[..., Any], states: Sequence[keras.Variable] = ()) -> Callable[..., Any]:
    """Return the function, whose activations are not kept for the gradient but computed again from its arguments.

    It is `keras.remat`, and random states that begin the second time as they did the first. With `keras.remat` alone,
    dropout would drop other numbers when it is computed again: the gradient would be that of another network.

    Args:
        function: of tensors; it may read variables. It is to be called once.
        states: what it moves, such as the random states of dropout.

    Returns:
        A function of the same arguments and results.

    Reference:
        Chen et al. 2016 (arXiv 1604.06174), section 3.
    """
    before = [tf.identity(state.value) for state in states]
    calls = []

    def repeatable(*arguments):
        if calls:
            for state, value in zip(states, before, strict=True):
                state.assign(value)
        calls.append(arguments)
        return function(*arguments)

    return keras.remat(repeatable)
