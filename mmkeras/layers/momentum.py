"""A momentum model: a copy of a model that follows it slowly, to teach it."""

from __future__ import annotations

from typing import TypeVar

import keras
import tensorflow as tf

from mmkeras.layers.replicas import replica_count
from mmkeras.tensors import TensorLike

LayerOrModel = TypeVar("LayerOrModel", bound=keras.layers.Layer)


def momentum_copy(model: LayerOrModel) -> LayerOrModel:
    """Return a copy of a functional model that no optimizer trains and that starts with the same weights.

    Args:
        model: functional `keras.Model` or layer with a config, built.

    Returns:
        Model of the same class, of all weights the same values, with `trainable` False.

    Raises:
        ValueError: a layer that is not built, and has no weights to copy.

    Example:
        >>> teacher = momentum_copy(image_encoder)
        >>> momentum_update(image_encoder, teacher, 0.995)  # once a step
    """
    if not model.built:
        raise ValueError(f"Expected a built model to copy. Received: {model.name}, which is not built")
    # Through the serialised form: a `from_config` alone would not find registered classes within.
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    if not copy.built:
        copy.build_from_config(model.get_build_config())
    momentum_update(model, copy, momentum=0.0)
    copy.trainable = False
    return copy


def momentum_update(model: keras.layers.Layer, teacher: keras.layers.Layer, momentum: TensorLike) -> None:
    """Move the teacher's weights towards the model's.

        teacher = momentum teacher + (1 - momentum) model

    At 0 it copies and at 1 it changes nothing, bit for bit. Weights that are no floats are copied. Call it in a
    `train_step`, while no tape records and outside of a layer's `call`. Under `tf.distribute` the copies of every
    replica move.

    Args:
        model: the `keras.Model` or layer that is trained.
        teacher: a `momentum_copy` of it.
        momentum: share that is kept, in [0, 1]; a number or a scalar tensor.

    Raises:
        ValueError: weights that do not correspond, the first pair is named; a momentum outside [0, 1]; a call where
            weights are read in half precision.

    Reference:
        He et al. 2020 (MoCo, arXiv 1911.05722), equation 2; 0.995 in Li et al. 2021 (ALBEF, arXiv 2107.07651).
    """
    if isinstance(momentum, (int, float)) and not 0 <= momentum <= 1:
        raise ValueError(f"Expected a share in [0, 1]. Received: momentum={momentum}")
    if len(model.weights) != len(teacher.weights):
        raise ValueError(
            f"Expected a copy of {model.name}, {len(model.weights)} weights. Received: {len(teacher.weights)} weights"
        )
    for online, slow in zip(model.weights, teacher.weights, strict=True):
        if tuple(online.shape) != tuple(slow.shape):
            raise ValueError(
                f"Expected a copy of {model.name}, with {online.path} of shape {tuple(online.shape)}. "
                f"Received: {slow.path} of shape {tuple(slow.shape)}"
            )
        if online.value.dtype != online.dtype:
            raise ValueError(
                f"Expected a call outside of a layer's. Received: {online.path} read as {online.value.dtype.name}"
            )
    pairs = [(online.value, slow.value) for online, slow in zip(model.weights, teacher.weights, strict=True)]
    if replica_count() == 1:
        for online, slow in pairs:
            _move(slow, online, momentum)
        return

    def on_every_replica(strategy):
        for online, slow in pairs:
            strategy.extended.update(slow, _move, args=(online, momentum))

    tf.distribute.get_replica_context().merge_call(on_every_replica)


def _move(slow, online, momentum):
    if slow.dtype.is_floating:
        share = tf.cast(momentum, slow.dtype)
        online = share * slow + (1 - share) * online
    slow.assign(online)
