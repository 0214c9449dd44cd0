"""The optimizers that `compile()` makes for the roles of a step, and the loss scale that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from mmkeras.errors import MmkerasError
from mmkeras.models.repeated_steps import repeating, twin, without_decay_of_scales
from mmkeras.tensors import TensorLike


def role_optimizer(
    given: Mapping[str, str | keras.optimizers.Optimizer],
    role: str,
    steps: int,
    optimizer: str | keras.optimizers.Optimizer,
    default: Callable[[str], keras.optimizers.Optimizer],
    first: bool,
) -> keras.optimizers.Optimizer:
    """Return the optimizer of a role: its own, or one of the kind that all roles get.

    Args:
        given: dict from a role to an optimizer of its own.
        role: its name.
        steps: updates that it takes a batch.
        optimizer: what each role gets that `given` does not name; `"auto"` is its default.
        default: function from a role to its default.
        first: whether it is the first role, which gets `optimizer` itself; the others get one like it.

    Raises:
        MmkerasError: gradients that are accumulated by an optimizer that takes several steps a batch.
    """
    chosen = given.get(role, optimizer)
    if isinstance(chosen, str) and chosen == "auto":
        chosen = default(role)
    chosen = keras.optimizers.get(chosen)
    if getattr(chosen, "gradient_accumulation_steps", None) and steps > 1:
        raise MmkerasError(
            f"Expected no gradient_accumulation_steps for {role}: it takes {steps} steps a batch, "
            f"which would be gathered in place of batches. Received: {chosen.gradient_accumulation_steps}"
        )
    shared = role not in given and not first and optimizer != "auto"
    return without_decay_of_scales(repeating(twin(chosen) if shared else chosen, steps))


def loss_scaled(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return the optimizer, wrapped in a `LossScaleOptimizer` unless it is one."""
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return optimizer if scaled else keras.optimizers.LossScaleOptimizer(optimizer)


def common_scale(optimizers: Iterable[keras.optimizers.Optimizer]) -> Any:
    """Return the factor of a loss whose gradients several optimizers take: the least of theirs.

    Each scale falls where its own optimizer's gradients overflow. With the least of them the loss is small enough for
    all.

    Returns:
        A number where none of them scales, or a float32 scalar tensor.
    """
    factors = [optimizer.scale_loss(1.0) for optimizer in optimizers]
    return factors[0] if len(factors) == 1 else ops.min(ops.stack(factors))


def rescaled(gradients: Iterable[Any], factor: TensorLike) -> list[Any]:
    """Return gradients times a factor, a power of 2 and hence exact, as an optimizer expects that scaled otherwise.

    Args:
        gradients: list of tensors, of the few rows of an embedding, or `None`.
        factor: scalar.
    """

    def times(gradient: Any) -> Any:
        if isinstance(gradient, tf.IndexedSlices):
            return tf.IndexedSlices(times(gradient.values), gradient.indices, gradient.dense_shape)
        return None if gradient is None else gradient * ops.cast(factor, gradient.dtype)

    return [times(gradient) for gradient in gradients]
