"""`OptimizerSettings`: what a recipe says about an optimizer, and the optimizer that follows from it."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmkeras.errors import MmkerasError
from mmkeras.training.settings import check_values, checked_settings, documented, setting

if TYPE_CHECKING:
    from keras.optimizers import schedules

    from mmkeras.models.fused_adam import FusedAdam


@documented
@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """AdamW and the schedule of its learning rate.

    Args:
        {fields}

    Raises:
        MmkerasError: a value out of its range, or settings that the decay does not know.
    """

    learning_rate: float = setting(1e-3, "peak of the learning rate", above=0)
    warmup_steps: int = setting(
        100,
        "steps in which the learning rate rises to its peak, linearly; only with `decay` `cosine`. Of a training that"
        " is no longer than that it is a tenth, which a line at the start tells",
    )
    warmup_share: float = setting(
        0.0, "in place of `warmup_steps`, the share of the training's steps in which the learning rate rises", below=1
    )
    final_learning_rate: float = setting(0.0, "where the cosine of the learning rate ends, `learning_rate` at most")
    decay: str = setting(
        "cosine",
        "how the learning rate falls after the warm-up: along a `cosine` to the last step, by `halving` it, or not at"
        " all, `constant`",
        choices=("cosine", "halving", "constant"),
    )
    halving_epochs: int = setting(
        100, "epochs between two halvings of the learning rate, counted from the beginning of a stage", above=0
    )
    adam_beta_1: float = setting(
        0.9,
        "Adam's memory of past gradients, a share below 1; against an adversary that moves on, a short one",
        below=1,
    )
    adam_beta_2: float = setting(0.999, "Adam's memory of past squared gradients, a share below 1", below=1)
    weight_decay: float = setting(
        0.01, "decoupled weight decay of AdamW; biases, normalisation and temperatures are left out"
    )
    gradient_clip: float = setting(1.0, "global norm to which the gradient is clipped; 0 switches clipping off")

    def __post_init__(self) -> None:
        check_values(self)
        self.check_schedule()

    def check_schedule(self) -> None:
        """Check that the settings of the schedule go together.

        Raises:
            MmkerasError: a final rate above the peak, or a warm-up that the decay does not have.
        """
        if self.final_learning_rate > self.learning_rate:
            raise MmkerasError(
                f"Expected final_learning_rate to be at most learning_rate, {self.learning_rate}. "
                f"Received: final_learning_rate={self.final_learning_rate}"
            )
        of_cosine = ("warmup_steps", "warmup_share", "final_learning_rate")
        given = [f"{name}={value}" for name in of_cosine if (value := getattr(self, name))]
        if self.decay != "cosine" and given:
            raise MmkerasError(
                f'Expected {", ".join(of_cosine)} of 0 with decay = "{self.decay}". Received: {", ".join(given)}'
            )

    def build(self, epochs: int, steps_per_epoch: int) -> "FusedAdam":
        """Return the optimizer of a training, a `FusedAdam`.

        Args:
            epochs: epochs of the stage.
            steps_per_epoch: steps of each.
        """
        from mmkeras.models.fused_adam import FusedAdam  # loads TensorFlow, which reading a recipe does not

        return FusedAdam(
            self.schedule(epochs, steps_per_epoch),
            beta_1=self.adam_beta_1,
            beta_2=self.adam_beta_2,
            weight_decay=self.weight_decay or None,
            global_clipnorm=self.gradient_clip or None,
        )

    def warmup_of(self, total: int) -> int:
        """Return the steps of the warm-up in a training of `total` steps: a tenth where `warmup_steps` are no fewer."""
        if self.warmup_share:
            return round(self.warmup_share * total)
        return self.warmup_steps if self.warmup_steps < total else total // 10

    def schedule(self, epochs: int, steps_per_epoch: int) -> "float | schedules.LearningRateSchedule":
        """Return the learning rate by the steps of a stage: a Keras schedule, or a number where it is constant."""
        from keras.optimizers import schedules

        if self.decay == "constant":
            return self.learning_rate
        if self.decay == "halving":
            period = self.halving_epochs * steps_per_epoch
            return schedules.ExponentialDecay(self.learning_rate, period, 0.5, staircase=True)
        total = epochs * steps_per_epoch
        warmup = self.warmup_of(total)
        return schedules.CosineDecay(
            0.0,
            total - warmup,
            alpha=self.final_learning_rate / self.learning_rate,
            warmup_target=self.learning_rate,
            warmup_steps=warmup,
        )


def checked_tables(tables: Mapping[str, Any], where: str = "") -> dict[str, dict[str, Any]]:
    """Check the tables of optimizers of their own: a dict from a role to some of `OptimizerSettings`.

    Raises:
        MmkerasError: something else than a table of tables, an unknown key, a value of another type.
    """
    checked = {}
    for role, table in tables.items():
        place = f"optimizers.{role}{where and f' of {where}'}"
        if not isinstance(table, dict):
            raise MmkerasError(f"Expected {place} as a table of settings. Received: {role}={table!r}")
        checked[role] = checked_settings(OptimizerSettings, table, place)
    return checked
