"""`RepeatedSteps`: the learning rate of an optimizer that takes several steps a batch, and optimizers that have it."""

from __future__ import annotations

from typing import Any, TypeVar

import keras
from keras import ops

from mmkeras.errors import MmkerasError
from mmkeras.tensors import Tensor, TensorLike

T = TypeVar("T", bound=keras.optimizers.Optimizer)


@keras.saving.register_keras_serializable("mmkeras")
class RepeatedSteps(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that goes on once in so many steps of its optimizer.

        rate(step) = schedule(step // repeats)

    Args:
        schedule: `keras.optimizers.schedules.LearningRateSchedule`, in batches.
        repeats: steps of the optimizer a batch, 1 or more.

    Raises:
        MmkerasError: fewer than one step a batch.

    Example:
        >>> keras.optimizers.Adam(RepeatedSteps(keras.optimizers.schedules.CosineDecay(1e-3, 1000), repeats=5))
    """

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, repeats: int) -> None:
        super().__init__()
        if repeats < 1:
            raise MmkerasError(f"Expected repeats of 1 or more. Received: repeats={repeats}")
        self.schedule = schedule
        self.repeats = repeats

    def __call__(self, step: TensorLike) -> Tensor:
        return self.schedule(ops.floor_divide(ops.convert_to_tensor(step), self.repeats))

    def get_config(self) -> dict[str, Any]:
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "repeats": self.repeats}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> RepeatedSteps:
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["repeats"])


def repeating(optimizer: keras.optimizers.Optimizer, steps: int) -> keras.optimizers.Optimizer:
    """Return an optimizer that takes so many steps a batch: the given one, or one whose schedule counts batches.

    Args:
        optimizer: `keras.optimizers.Optimizer`.
        steps: 1 or more.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # what a LossScaleOptimizer wraps
    schedule = inner.get_config()["learning_rate"]
    if steps == 1 or not isinstance(schedule, dict):
        return optimizer
    schedule = keras.saving.deserialize_keras_object(schedule)
    if isinstance(schedule, RepeatedSteps):
        return optimizer
    schedule = keras.saving.serialize_keras_object(RepeatedSteps(schedule, steps))
    repeated = type(inner).from_config(inner.get_config() | {"learning_rate": schedule})
    return repeated if inner is optimizer else _wrapped(optimizer, repeated)


def twin(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return a new optimizer of the same kind and settings, before its first step."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    copy = type(inner).from_config(inner.get_config())
    return copy if inner is optimizer else _wrapped(optimizer, copy)


def _wrapped(loss_scale_optimizer, inner):
    config = loss_scale_optimizer.get_config() | {"inner_optimizer": keras.saving.serialize_keras_object(inner)}
    return type(loss_scale_optimizer).from_config(config)


def without_decay_of_scales(optimizer: T) -> T:
    """Return the optimizer, told to leave some variables out of weight decay.

    Decay shrinks directions of matrices; biases, scales, offsets and the temperature it would only bias towards 0.
    """
    decaying = getattr(optimizer, "inner_optimizer", optimizer)  # what a LossScaleOptimizer wraps
    if not decaying.built:  # compiled before, it has its exclusions; Keras takes them only until then
        decaying.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "temperature"])
    return optimizer
