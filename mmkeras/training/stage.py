"""`Stage`: one part of a training that goes in several."""

import dataclasses

from mmkeras.errors import MmkerasError
from mmkeras.training.settings import check_choices, check_range, check_schedule, checked_settings

INHERITED = (
    "learning_rate",
    "warmup_steps",
    "final_learning_rate",
    "decay",
    "halving_epochs",
    "adam_beta_1",
    "reversal_strength",
    "reversal_ramp",
    "augment_distortion",
)


@dataclasses.dataclass(frozen=True)
class Stage:
    """What is trained, and how, for some epochs. A recipe without stages is one stage of its own settings.

    Each stage has optimizers and a schedule of its own; the weights and the order of the data go on.

    Args:
        name: for logs, plots and the command line, where `stages.NAME.epochs=3` changes it.
        epochs: passes over the training data; 0 leaves the stage out, but for its arguments.
        trains: parts of the model that are trained, the others stay as they are: `image_encoder`, `text_encoder`,
            `modality_classifier`, `category_head`, `image_backbone`, `autoencoder`, ...; empty for all that the preset
            trains.
        arguments: arguments of the model that hold from this stage on, such as `negatives` and weights of losses.
        learning_rate: see `Recipe`, whose value holds where it is left out; so for the others below.
        warmup_steps: see `Recipe`.
        final_learning_rate: see `Recipe`.
        decay: see `Recipe`.
        halving_epochs: see `Recipe`; epochs of this stage.
        adam_beta_1: see `Recipe`.
        reversal_strength: see `Recipe`.
        reversal_ramp: see `Recipe`; a share of this stage.
        augment_distortion: see `Recipe`.

    Raises:
        MmkerasError: a value out of its range.
    """

    name: str
    epochs: int
    trains: list = dataclasses.field(default_factory=list)
    arguments: dict = dataclasses.field(default_factory=dict)
    learning_rate: float = 1e-3
    warmup_steps: int = 0
    final_learning_rate: float = 0.0
    decay: str = "cosine"
    halving_epochs: int = 100
    adam_beta_1: float = 0.9
    reversal_strength: float = 1.0
    reversal_ramp: float = 0.0
    augment_distortion: str = ""

    def __post_init__(self):
        if not self.name or not all(character.isalnum() or character in "-_" for character in self.name):
            raise MmkerasError(f"Expected the name of a stage as letters, digits, - and _. Received: {self.name!r}")
        if not all(isinstance(part, str) for part in self.trains):
            raise MmkerasError(f"Expected trains as a list of names. Received: trains={self.trains!r}")
        check_choices(self)
        check_range(self, zero=("epochs",))
        check_schedule(self)


def read_stages(tables, inherited):
    """Build the stages of a recipe.

    Args:
        tables: list of dicts, as TOML's `[[stages]]` gives them.
        inherited: dict of the recipe's own settings, for what a stage leaves out.

    Returns:
        list of `Stage`.

    Raises:
        MmkerasError: no list of tables, an unknown key, a value of another type, two stages of one name.
    """
    if not isinstance(tables, (list, tuple)) or not all(isinstance(table, dict) for table in tables):
        raise MmkerasError(f"Expected stages as tables, [[stages]] in TOML. Received: stages={tables!r}")
    stages = []
    for position, table in enumerate(tables, 1):
        where = f"stage {table.get('name', position)}"
        given = {key: inherited[key] for key in INHERITED if key in inherited} | table
        if missing := {"name", "epochs"} - set(given):
            raise MmkerasError(f"Expected {', '.join(sorted(missing))} in {where} of the recipe. Received: {table!r}")
        stages.append(Stage(**checked_settings(Stage, given, where)))
    names = [stage.name for stage in stages]
    if len(set(names)) < len(names):
        raise MmkerasError(f"Expected stages of different names. Received: {', '.join(names)}")
    return stages
