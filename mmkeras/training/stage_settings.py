"""`StageSettings`: what a recipe says for all of its stages, and a stage for itself."""

import dataclasses

from mmkeras.errors import MmkerasError
from mmkeras.training.optimizer_settings import OptimizerSettings
from mmkeras.training.settings import documented, setting


@documented
@dataclasses.dataclass(frozen=True, kw_only=True)
class StageSettings(OptimizerSettings):
    """What a recipe says for all of its stages, and a stage for itself.

    Args:
        {fields}
    """

    reversal_strength: float = setting(
        1.0, "largest strength of the gradient reversal, for systems with a modality classifier"
    )
    reversal_ramp: float = setting(
        0.5,
        "share of the training, or of the stage, in which the reversal grows to that, along the schedule of DANN; 0 is"
        " at once",
        most=1,
    )
    augment_distortion: str = setting(
        "",
        "makes a second view, a distorted one: in light and `shape`, or also in `colour`. A system with a teacher shows"
        " the teacher the first view; others train on the second",
        choices=("", "shape", "colour"),
    )
    optimizers: dict = setting(
        dict,
        "tables of optimizer settings by role, over those beside it, for a system whose step is taken by several"
        " optimizers: `[optimizers.classifier]`, on the command line `optimizers.classifier.learning_rate=1e-3`; in any"
        " system `[optimizers.backbones]` is of the pretrained networks that are trained, which want a lower rate",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for role in self.optimizers:
            self.of_role(role)

    def of_role(self, role: str) -> OptimizerSettings:
        """Return the `OptimizerSettings` of a role: those of its own table, over those beside it.

        Raises:
            MmkerasError: settings that do not go together.
        """
        own = self.optimizers.get(role, {})
        beside = {field.name: getattr(self, field.name) for field in dataclasses.fields(OptimizerSettings)}
        if own.get("decay", "cosine") != "cosine":
            beside |= {"warmup_steps": 0, "warmup_share": 0.0, "final_learning_rate": 0.0}  # which belong to the cosine
        try:
            return OptimizerSettings(**{**beside, **own})
        except MmkerasError as error:
            raise MmkerasError(f"optimizers.{role}: {error}") from error
