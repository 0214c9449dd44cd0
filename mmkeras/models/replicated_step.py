"""A step that several devices take together: what is checked before, and what is summed over them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.layers.fused.normalize_by_batch import moments_of_all
from mmkeras.layers.replicas import replica_count, sum_over_replicas
from mmkeras.models.layer_tree import layers_within

SEVERAL_MACHINES = (
    "One machine trains a model: Keras 3 does not train on several (keras#20329 on GitHub). Take larger batches by "
    "sub_batch, a machine with more GPUs, or a job a seed"
)


def check_strategy(model: keras.Model) -> None:
    """Check that what a model is trained on is one device, or several of one machine by a `MirroredStrategy`.

    Raises:
        MmkerasError: another strategy, a model that was made outside of the strategy's scope, or a
            `keras.distribution`.
    """
    strategy = model.distribute_strategy
    if keras.distribution.distribution() is not None:
        raise MmkerasError(
            "Expected no keras.distribution, which on TensorFlow distributes nothing. Received: "
            f"{type(keras.distribution.distribution()).__name__}. Make and compile the model in the scope of a "
            "tf.distribute.MirroredStrategy"
        )
    known = isinstance(strategy, (tf.distribute.MirroredStrategy, tf.distribute.OneDeviceStrategy))
    if not known and strategy is not _default():
        raise MmkerasError(
            f"Expected a tf.distribute.MirroredStrategy. Received: {type(strategy).__name__}. {SEVERAL_MACHINES}"
        )
    held = any(isinstance(weight.value, tf.distribute.DistributedValues) for weight in model.weights[:1])
    if isinstance(strategy, tf.distribute.MirroredStrategy) and not held:
        raise MmkerasError(
            "Expected a model that was made in the scope of the strategy, as it is compiled. Received: one made outside"
        )


def check_replicated(optimizers: Iterable[keras.optimizers.Optimizer], jit_compile: bool) -> None:
    """Check what several devices do not do together.

    Raises:
        MmkerasError: XLA, or gradients that an optimizer accumulates.
    """
    if jit_compile:
        raise MmkerasError(
            "Expected jit_compile=False where several devices train: XLA does not compile a step of theirs. "
            "Received: jit_compile=True"
        )
    for optimizer in optimizers:
        if steps := getattr(plain_optimizer(optimizer), "gradient_accumulation_steps", None):
            raise MmkerasError(
                "Expected no gradient_accumulation_steps where several devices train: Keras does not accumulate there. "
                f"Received: {steps}. A larger batch fits by sub_batch of DualEncoder, or by recompute"
            )


def synchronize_statistics(model: keras.Model) -> None:
    """Let every batch normalisation of a model, Keras' own ones too, normalise by the batch of all devices."""
    for layer in layers_within(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer._moments = functools.partial(_moments_of_all, layer)


def _moments_of_all(layer, inputs, mask):
    if mask is not None:
        raise MmkerasError(
            f"Expected no mask at the batch normalisation {layer.path}, where several devices train: it would "
            "normalise each device's rows by themselves. Received: one"
        )
    return moments_of_all(inputs, layer._reduction_axes)


def summed_gradients(gradients: Sequence[Any]) -> list[Any]:
    """Return the sums over the devices of a step, before any is clipped: Keras' optimizers clip each device's part.

    Args:
        gradients: list of tensors, of the few rows of an embedding, or `None`, the same ones in each device.
    """
    there = [gradient for gradient in gradients if gradient is not None]
    sums = iter(sum_over_replicas(there))
    return [None if gradient is None else next(sums) for gradient in gradients]


def takes_sums(optimizer: keras.optimizers.Optimizer) -> None:
    """Tell an optimizer that its gradients are summed over the devices already."""
    plain_optimizer(optimizer)._all_reduce_sum_gradients = list


def in_turn(count: Any, body: Callable[..., Sequence[Any]], *state: Any) -> Sequence[Any]:
    """Return what a state has become after so many rounds, in a loop of the graph.

    Where several devices share a step, they meet in each round, to sum gradients or statistics. TensorFlow does not let
    them do so within a loop: there the graph holds all rounds.

    Args:
        count: rounds, a number or a scalar tensor; of several devices that meet a number.
        body: function from the round, from 0, and the state to the state after it.
        *state: tensors or tensor arrays.
    """
    if replica_count() > 1 and isinstance(count, int):
        for done in range(count):
            state = tuple(body(done, *state))
        return state

    def round_of_loop(done, *state):
        return (done + 1, *body(done, *state))

    return tf.while_loop(lambda done, *_: done < count, round_of_loop, (0, *state), parallel_iterations=1)[1:]


def plain_optimizer(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return what a `LossScaleOptimizer` wraps, or the optimizer itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _default():
    """The strategy of a process that has none."""
    with tf.init_scope():
        return tf.distribute.get_strategy() if not tf.distribute.has_strategy() else None
