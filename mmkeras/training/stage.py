"""`Stage`: one part of a training that goes in several."""

import dataclasses

from mmkeras.errors import MmkerasError
from mmkeras.training.optimizer_settings import checked_tables
from mmkeras.training.settings import checked_settings, documented, setting
from mmkeras.training.stage_settings import StageSettings


@documented
@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage(StageSettings):
    """What is trained, and how, for some epochs. A recipe without stages is one stage of its own settings.

    Each stage has optimizers and a schedule of its own; the weights and the order of the data go on. A setting that the
    recipe has too holds as it stands there, where the stage leaves it out.

    Args:
        {fields}

    Raises:
        MmkerasError: a value out of its range.
    """

    name: str = setting(
        dataclasses.MISSING,
        "name of the stage in logs, plots and on the command line, where `stages.NAME.epochs=3` changes it",
    )
    epochs: int = setting(
        dataclasses.MISSING, "passes over the training data; 0 leaves the stage out, but for its arguments", least=0
    )
    trains: list = setting(
        list,
        "parts of the model that are trained, the others stay as they are: `image_encoder`, `text_encoder`,"
        " `modality_classifier`, `category_head`, `image_backbone`, `autoencoder`, ...; empty for all that the preset"
        " trains",
    )
    arguments: dict = setting(
        dict,
        "arguments of the model that hold from this stage on, such as `negatives`, and of its parts, such as"
        " `adversary.weight`",
    )

    def __post_init__(self):
        if not self.name or not all(character.isalnum() or character in "-_" for character in self.name):
            raise MmkerasError(f"Expected the name of a stage as letters, digits, - and _. Received: {self.name!r}")
        if not all(isinstance(part, str) for part in self.trains):
            raise MmkerasError(f"Expected trains as a list of names. Received: trains={self.trains!r}")
        super().__post_init__()


INHERITED = tuple(field.name for field in dataclasses.fields(StageSettings))


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
        if missing := {"name", "epochs"} - set(table):
            raise MmkerasError(f"Expected {', '.join(sorted(missing))} in {where} of the recipe. Received: {table!r}")
        own = checked_settings(Stage, table, where)
        given = {key: inherited[key] for key in INHERITED if key in inherited} | own
        tables_of_roles = checked_tables(own.get("optimizers", {}), where)
        theirs = inherited.get("optimizers", {})
        given["optimizers"] = {
            role: theirs.get(role, {}) | tables_of_roles.get(role, {}) for role in {**theirs, **tables_of_roles}
        }
        stages.append(Stage(**given))
    names = [stage.name for stage in stages]
    if len(set(names)) < len(names):
        raise MmkerasError(f"Expected stages of different names. Received: {', '.join(names)}")
    return stages
