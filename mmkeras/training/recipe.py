"""Recipes: whole experiments as TOML files, strictly typed."""

import dataclasses
import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mmkeras.errors import MmkerasError
from mmkeras.training.augmentation import check_augmentation
from mmkeras.training.optimizer_settings import OptimizerSettings, checked_tables
from mmkeras.training.settings import check_values, checked_settings, documented, parse_setting, setting
from mmkeras.training.stage import INHERITED, Stage, read_stages
from mmkeras.training.stage_settings import StageSettings

if TYPE_CHECKING:
    from mmkeras.models.preset import Preset


@documented
@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(StageSettings):
    """One experiment: what is trained, on what, and how.

    Args:
        {fields}

    Attributes:
        given: the settings that its file and the command line give, and no defaults: a dict from `""`, the recipe, and
            from each stage's name to a set of names; empty for the recipe of a run that has begun.

    Raises:
        MmkerasError: a value out of its range, or settings that do not go together.
    """

    preset: str = setting(dataclasses.MISSING, "model preset, a name or the path of a JSON file")
    data: str = setting(
        "glyphs",
        "`glyphs`, or a file or folder of pictures with captions in any known layout, or of features",
    )
    train_split: str = setting("train", "split trained on; several are joined by `+`: `train+restval`")
    targets: str = setting(
        "",
        "categories of the data: none, one `category` an item, or any number of `tags`; what systems that train on"
        " categories need",
        choices=("", "category", "tags"),
    )
    image_folder: str = setting(
        "",
        "where the captions file's pictures lie, a folder or a zip, or their features, an `.npz` file of `names` and"
        " `features`; by default the folder of the file",
    )
    skip_unreadable: float = setting(
        0.0,
        "share of the records of pictures with captions that may be unreadable; those are left out, and told, in place"
        " of an error",
        most=1,
    )
    pictures_outside: bool = setting(
        False,
        "whether a captions file may name pictures outside of `image_folder`, by `../`, an absolute path or a symbolic"
        " link; they then lie in reports and exports",
    )
    memory_mib: int = setting(
        1024,
        "decoded pictures are kept in memory where those of the training and dev splits take no more than so many MiB;"
        " more are read from disk when a batch wants them, with the same batches",
        least=0,
    )
    pretrained: str = setting(
        "",
        "a published pair of encoders, such as CLIP or SigLIP, that the training begins with, by its folder or its"
        " name: `--from` of `mmkeras train`",
    )
    backbone: str = setting(
        "",
        "the pretrained network of the image encoder, in place of the preset's own: a published model by its folder or"
        " name, several joined by `+`, a network of keras.applications, a hub handle, or for the kinds `backbone` and"
        " `vit` a file of weights: `--image-encoder`",
    )
    text_backbone: str = setting(
        "",
        "the pretrained network of the text encoder, in place of the preset's own encoder: a published model by its"
        " folder or name, or a hub handle: `--text-encoder`",
    )
    initial_weights: str = setting(
        "",
        "folder of a finished run of the same system and sizes, whose weights and tokenizer the training begins with;"
        " pictures may be of another size where the image encoder is of kind `vit`",
    )
    start: str = setting(
        "",
        "what the projections begin with: random weights, or the `linear` map between a frozen network's features and"
        " bags of tokens that a regularised canonical correlation analysis finds",
        choices=("", "linear"),
    )
    lora_rank: int = setting(
        0,
        "in stages that train a pretrained network, the rank of the adapters (LoRA) that are trained in place of its"
        " own weights, 4 to 16 as a rule; 0 trains these. The model that is kept has them added to the weights",
    )
    recompute: bool = setting(
        False,
        "whether transformer blocks are computed a second time for the gradient in place of keeping their activations:"
        " larger batches or networks in the same memory, for about a third more time",
    )
    epochs: int = setting(
        10,
        "passes over the training pairs; of all stages together where there are `stages`; 0: by the number of pairs",
    )
    batch_size: int = setting(256, "pairs in a step; 0: by the number of pairs")
    largest_batch: int = setting(
        0,
        "the most pairs in a step where `batch_size` is left to the data; 0: 128, and of 20,000 pairs and more 256",
        least=0,
    )
    patience: int = setting(
        0, "epochs without a better `val_rsum` or `val_map` after which a training without stages ends; 0: none does"
    )
    augment_shift: int = setting(
        0,
        "pictures are shifted by up to so many px in training; 0 where training reads a frozen backbone's features of"
        " them, as for the other kinds of augmentation",
    )
    augment_crop: float = setting(
        1.0,
        "in place of a shift, the least share of a picture's area that is cut out and stretched; 1 cuts nothing",
        above=0,
        most=1,
    )
    augment_flip: float = setting(
        0.0, "share of pictures that are mirrored; 0 for writing, or captions that tell left from right", most=1
    )
    augment_fill: int = setting(
        255, "grey value 0 to 255 of what a shift or a distortion brings in at the border", least=0, most=255
    )
    seed: int = setting(0, "random seed of the weights, the order of the pairs, dropout and augmentation")
    precision: str = setting(
        "float32",
        "numbers that the network computes in: `float32`, `mixed_float16` or `mixed_bfloat16`; embeddings are float32"
        " in all of them",
        choices=("float32", "mixed_float16", "mixed_bfloat16"),
    )
    devices: str = setting(
        "one",
        "what shares each step: `one` device, `all` GPUs of the machine, or a number of them; `batch_size` is of all"
        " together, and a multiple of it",
    )
    deterministic: bool = setting(
        True, "whether TensorFlow's kernels are deterministic; a resumed run needs that to end with equal weights"
    )
    select: str = setting(
        "last",
        "the weights kept at the end: of the `last` epoch, or of the one `best` in `val_rsum` (`val_map` for systems"
        " that train on categories, with or without pairs)",
        choices=("last", "best"),
    )
    checkpoint_steps: int = setting(
        200, "steps between two checkpoints; one is written at the end of each epoch too", above=0
    )
    limit: int = setting(0, "only the first so many texts of each split, to try things out; 0 is all")
    stages: list = setting(
        list,
        "parts of a training that goes in several, one after the other; each has its own `epochs` then, and may have"
        " learning rate, warm-up, reversal and distortion of its own. See `Stage`",
    )

    given = {}  # no setting: `load` notes here what was written

    def __post_init__(self) -> None:
        if self.stages:  # each of them has a schedule of its own, checked by itself
            check_values(self)
        else:
            super().__post_init__()
        if self.stages and not self.epochs:
            raise MmkerasError("Expected epochs to be more than 0 in one of the stages. Received: epochs=0 in all")
        if self.stages and self.patience:
            raise MmkerasError(f"Expected patience=0 for a training in stages. Received: patience={self.patience}")
        if self.pretrained and (given := self.backbone or self.text_backbone):
            raise MmkerasError(f"Expected a whole pair, or halves. Received: {self.pretrained} and {given}")
        check_augmentation(self)
        if self.devices not in ("one", "all") and not re.fullmatch("[1-9][0-9]{0,2}", self.devices):
            raise MmkerasError(f"Expected devices to be one, all or a number of 1 or more. Received: {self.devices!r}")

    @property
    def training_stages(self) -> Sequence[Stage]:
        """The stages to run: the recipe's, or the one that its own settings are."""
        own = {key: getattr(self, key) for key in INHERITED}
        return self.stages or (Stage(name="training", epochs=self.epochs, **own),)

    def load_preset(self) -> "Preset":
        """Return the `Preset` of the model, with `pretrained`, `backbone` and `text_backbone` in it."""
        from mmkeras.models.preset import Preset

        preset = Preset.load(self.preset)
        if self.pretrained:
            preset = preset.with_pair(self.pretrained)
        if self.backbone:
            preset = preset.with_backbone(self.backbone)
        return preset.with_text_backbone(self.text_backbone) if self.text_backbone else preset

    @classmethod
    def load(cls, recipe: str | os.PathLike[str], overrides: Iterable[str] = ()) -> Self:
        """Read a recipe and lay settings over it.

        Args:
            recipe: a name from `list_recipes()`, or the path of a TOML file.
            overrides: strings `key=value`.

        Raises:
            MmkerasError: no such recipe, an unknown key (the nearest is named), a value of another type.

        Example:
            >>> Recipe.load("glyphs_dual_encoder", ["epochs=2", "learning_rate=3e-4"]).epochs
            2
        """
        try:
            settings = tomllib.loads(recipe_text(recipe))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise MmkerasError(f"Recipe {recipe} is no valid TOML: {error}") from error
        for override in overrides:
            key, equals, value = override.partition("=")
            if not equals:
                raise MmkerasError(f"Expected key=value. Received: {override}")
            _override(settings, key, value)
        loaded = cls.from_settings(settings)
        given = {"": set(settings) - {"stages"}} | {stage["name"]: set(stage) for stage in settings.get("stages", ())}
        object.__setattr__(loaded, "given", given)
        return loaded

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Build a recipe from a dict, checking every key and type."""
        checked = checked_settings(cls, {key: value for key, value in settings.items() if key != "stages"})
        checked["optimizers"] = checked_tables(checked.get("optimizers", {}))
        if "preset" not in checked:
            raise MmkerasError('A recipe needs a preset, the model that it trains. Add: preset = "..."')
        defaults = {field.name: field.default for field in dataclasses.fields(StageSettings)}
        stages = read_stages(settings.get("stages", ()), defaults | checked)
        if stages:
            total = sum(stage.epochs for stage in stages)
            if checked.setdefault("epochs", total) != total:
                name = stages[-1].name
                raise MmkerasError(
                    f"Expected epochs in the stages, which have {total} together, and not beside them. "
                    f"Received: epochs={checked['epochs']}; write stages.{name}.epochs={checked['epochs']}"
                )
        return cls(**checked, stages=stages)


def list_recipes() -> list[str]:
    """Return the names of the recipes inside the package, sorted."""
    folder = resources.files("mmkeras.training") / "recipes"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def recipe_text(recipe: str | os.PathLike[str]) -> str:
    """Return a recipe's file, its settings with their reasons.

    Args:
        recipe: a name from `list_recipes()`, or the path of a TOML file.

    Raises:
        MmkerasError: no such recipe.
    """
    return _file_of(str(recipe)).read_text(encoding="utf-8")


def recipe_title(name: str) -> str:
    """Return the comment that a recipe inside the package begins with: what it is about, in a line."""
    return recipe_text(name).partition("\n")[0].removeprefix("# ")


def _file_of(name):
    if name in list_recipes():
        return resources.files("mmkeras.training") / "recipes" / f"{name}.toml"
    if name.endswith(".toml") and Path(name).is_file():
        return Path(name)
    near = difflib.get_close_matches(name, list_recipes(), 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise MmkerasError(
        f"Expected data that is there, a recipe ({', '.join(list_recipes())}) or the path of a TOML file. "
        f"Received: {name}.{hint}"
    )


def _override(settings, key, text):
    """Lay one setting of the command line over a recipe's.

    `stages.NAME.key` is that stage's, and `optimizers.ROLE.key`, before which that may stand too, that optimizer's.
    """
    table, settings_class, path = settings, Recipe, key
    if path.startswith("stages."):
        stages = {stage.get("name"): stage for stage in settings.get("stages", ())}
        name, _, path = path.removeprefix("stages.").partition(".")
        if name not in stages:
            names = ", ".join(stages) or "it has none"
            raise MmkerasError(f"Expected a stage of the recipe: {names}. Received: {key}={text}")
        table, settings_class = stages[name], Stage
    if path.startswith("optimizers."):
        role, _, path = path.removeprefix("optimizers.").partition(".")
        table = table.setdefault("optimizers", {}).setdefault(role, {})
        settings_class = OptimizerSettings
    table[path] = parse_setting(settings_class, path, text)
