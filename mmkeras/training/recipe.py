"""Recipes: whole experiments as TOML files, strictly typed."""

import dataclasses
import difflib
import math
import tomllib
from importlib import resources
from pathlib import Path

from mmkeras.errors import MmkerasError

CHOICES = {
    "targets": ("", "category", "tags"),
    "precision": ("float32", "mixed_float16", "mixed_bfloat16"),
    "select": ("last", "best"),
}
POSITIVE = ("epochs", "batch_size", "learning_rate", "checkpoint_steps")
SHARES = ("reversal_ramp",)
LARGEST_INT = 2**31 - 1  # TensorFlow makes int32 of a Python number


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One experiment: what is trained, on what, and how.

    Args:
        preset: model preset, a name or the path of a JSON file.
        data: `glyphs`, or the path of a captions file (JSONL of {image, split, captions}).
        targets: categories of the data: none, one `category` an item, or any number of `tags`; what systems that train
            on categories need.
        image_folder: where the captions file's pictures lie; by default the folder of the file.
        epochs: passes over the training pairs.
        batch_size: pairs a step.
        learning_rate: peak of the schedule, which warms up linearly and decays to 0 along a cosine.
        warmup_steps: steps of the warm-up.
        weight_decay: AdamW's, decoupled.
        gradient_clip: global norm the gradient is clipped to; 0 switches it off.
        augment_shift: pictures are shifted by up to so many px in training.
        seed: of the weights, the order of the pairs, dropout and augmentation.
        precision: `float32`, `mixed_float16` or `mixed_bfloat16`; embeddings are float32 in all of them.
        deterministic: deterministic TensorFlow kernels; a resumed run needs them to end with equal weights.
        reversal_strength: largest strength of the gradient reversal, for systems with a modality classifier.
        reversal_ramp: share of the training in which it grows to that, along the schedule of DANN; 0 is at once.
        select: the weights kept at the end: of the `last` epoch, or of the one `best` in `val_rsum` (`val_map` for
            systems that train on categories).
        checkpoint_steps: steps between two checkpoints; one is written at the end of each epoch too.
        limit: only the first so many texts of each split, to try things out; 0 is all.
    """

    preset: str
    data: str = "glyphs"
    targets: str = ""
    image_folder: str = ""
    epochs: int = 10
    batch_size: int = 256
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    augment_shift: int = 0
    reversal_strength: float = 1.0
    reversal_ramp: float = 0.5
    seed: int = 0
    precision: str = "float32"
    deterministic: bool = True
    select: str = "last"
    checkpoint_steps: int = 200
    limit: int = 0

    def __post_init__(self):
        for key, allowed in CHOICES.items():
            if getattr(self, key) not in allowed:
                raise MmkerasError(
                    f"Expected {key} to be one of {', '.join(map(repr, allowed))}. Received: {getattr(self, key)!r}"
                )
        for field in dataclasses.fields(self):
            if field.type in (int, float):
                _check_range(field.name, getattr(self, field.name))

    @classmethod
    def load(cls, recipe, overrides=()):
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
        name = str(recipe)
        if name in list_recipes():
            file = resources.files("mmkeras.training") / "recipes" / f"{name}.toml"
        elif name.endswith(".toml") and Path(name).is_file():
            file = Path(name)
        else:
            near = difflib.get_close_matches(name, list_recipes(), 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise MmkerasError(
                f"Expected a recipe ({', '.join(list_recipes())}) or the path of a TOML file. Received: {name}.{hint}"
            )
        try:
            settings = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise MmkerasError(f"Recipe {name} is no valid TOML: {error}") from error
        for override in overrides:
            key, equals, value = override.partition("=")
            if not equals:
                raise MmkerasError(f"Expected key=value. Received: {override}")
            settings[key] = _parse(key, value)
        return cls.from_settings(settings)

    @classmethod
    def from_settings(cls, settings):
        """Build a recipe from a dict, checking every key and type."""
        checked = {}
        for key, value in settings.items():
            kind = _kind(key)
            if kind is float and type(value) is int:
                value = float(value)
            if type(value) is not kind:
                raise MmkerasError(f"Expected {key} to be of type {kind.__name__}. Received: {key}={value!r}")
            checked[key] = value
        if "preset" not in checked:
            raise MmkerasError('A recipe needs a preset, the model that it trains. Add: preset = "..."')
        return cls(**checked)


def list_recipes():
    """Return the names of the recipes inside the package, sorted."""
    folder = resources.files("mmkeras.training") / "recipes"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def _check_range(key, value):
    if key in POSITIVE and not value > 0:
        raise MmkerasError(f"Expected {key} to be more than 0. Received: {key}={value}")
    if not value >= 0:  # written so that NaN fails
        raise MmkerasError(f"Expected {key} to be 0 or more. Received: {key}={value}")
    if key in SHARES and value > 1:
        raise MmkerasError(f"Expected {key} to be a share, 1 at most. Received: {key}={value}")
    if not math.isfinite(value) or (isinstance(value, int) and value > LARGEST_INT):
        raise MmkerasError(f"Expected {key} to be {LARGEST_INT} at most. Received: {key}={value}")


def _kind(key):
    kinds = {field.name: field.type for field in dataclasses.fields(Recipe)}
    if key not in kinds:
        near = difflib.get_close_matches(key, kinds, 1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(kinds)}"
        raise MmkerasError(f"Unknown setting {key}. {hint}")
    return kinds[key]


def _parse(key, value):
    kind = _kind(key)
    if kind is bool:
        if value.lower() not in ("true", "false"):
            raise MmkerasError(f"Expected {key} to be true or false. Received: {key}={value}")
        return value.lower() == "true"
    try:
        return kind(value)
    except ValueError as error:
        raise MmkerasError(f"Expected {key} to be of type {kind.__name__}. Received: {key}={value}") from error
