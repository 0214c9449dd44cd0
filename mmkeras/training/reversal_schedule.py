"""The schedule by which the adversary's strength grows."""

import math
from typing import Any

import keras

from mmkeras.errors import MmkerasError


class ReversalSchedule(keras.callbacks.Callback):
    """Raise the strength of a model's gradient reversal from 0 along the schedule of DANN.

        strength(p) = maximum * (2 / (1 + exp(-gamma p)) - 1),    p = min(1, step / ramp_steps)

    so that the encoders learn categories before a modality classifier that has learnt nothing pushes them about. The
    step is the optimizer's own count, in batches where it accumulates the gradients of several: a resumed run, whose
    optimizer is restored, goes on where it stopped. The strength reached is logged as `reversal_strength`.

    Args:
        ramp_steps: steps until p is 1, 1 or more.
        maximum: the strength at the end of the ramp is `maximum` times 0.9999 with the usual gamma; 0 or more.
        gamma: steepness, more than 0.

    Raises:
        MmkerasError: an argument out of its range, a model without an adversary, or one compiled to take several steps
            at a time (`steps_per_execution`), between which no strength could be set.

    Example:
        >>> model.fit(batches, steps_per_epoch=20, epochs=40, callbacks=[ReversalSchedule(ramp_steps=400)])

    Reference:
        Ganin & Lempitsky 2015 (arXiv 1409.7495), section 4: gamma 10.
    """

    def __init__(self, ramp_steps: int, maximum: float = 1.0, gamma: float = 10.0) -> None:
        super().__init__()
        if ramp_steps < 1 or not 0 <= maximum < math.inf or not 0 < gamma < math.inf:
            raise MmkerasError(
                "Expected ramp_steps of 1 or more, maximum of 0 or more and gamma of more than 0. "
                f"Received: ramp_steps={ramp_steps}, maximum={maximum}, gamma={gamma}"
            )
        self.ramp_steps = ramp_steps
        self.maximum = maximum
        self.gamma = gamma
        self.steps = -1  # of the optimizer, at the batch before
        self.gathered = 0  # batches since then, whose gradients are accumulated

    def strength(self, step: int) -> float:
        """Return the strength at a step counted from the beginning of training."""
        progress = min(1.0, step / self.ramp_steps)
        return self.maximum * (2 / (1 + math.exp(-self.gamma * progress)) - 1)

    def set_model(self, model: keras.Model) -> None:
        if getattr(model, "adversary", None) is None:
            raise MmkerasError(f"Expected a model with an adversary. Received: {type(model).__name__}")
        super().set_model(model)

    def on_train_begin(self, logs: Any = None) -> None:
        if self.model.steps_per_execution != 1:
            raise MmkerasError(
                "Expected steps_per_execution=1: the strength of the reversal is set before every step. "
                f"Received: steps_per_execution={self.model.steps_per_execution}"
            )
        self.steps = -1

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        steps = int(keras.ops.convert_to_numpy(optimizer.iterations))
        batches_a_step = getattr(optimizer, "gradient_accumulation_steps", None) or 1
        self.gathered = 0 if steps != self.steps else min(self.gathered + 1, batches_a_step - 1)
        self.steps = steps
        strength = self.strength(steps * batches_a_step + self.gathered)
        self.model.adversary.gradient_reversal.strength.assign(strength)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["reversal_strength"] = float(keras.ops.convert_to_numpy(self.model.adversary.gradient_reversal.strength))
