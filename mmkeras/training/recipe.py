"""Recipes: whole experiments as TOML files, strictly typed."""

import dataclasses
import difflib
import tomllib
from importlib import resources
from pathlib import Path

from mmkeras.errors import MmkerasError
from mmkeras.training.augmentation import check_augmentation
from mmkeras.training.settings import check_choices, check_range, check_schedule, checked_settings, parse_setting
from mmkeras.training.stage import INHERITED, Stage, read_stages


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One experiment: what is trained, on what, and how.

    Args:
        preset: model preset, a name or the path of a JSON file.
        data: `glyphs`, or the path of a captions file (JSONL of {image, split, captions}, or Karpathy's JSON).
        train_split: split trained on; several are joined by `+`: `train+restval`.
        targets: categories of the data: none, one `category` an item, or any number of `tags`; what systems that train
            on categories need.
        image_folder: where the captions file's pictures lie, a folder or a zip, or their features, an `.npz` file of
            `names` and `features`; by default the folder of the file.
        backbone: the pretrained network of the preset's image encoder, in place of the preset's own: a hub handle for
            the kind `hub`, weights for the kinds `backbone` and `vit`.
        initial_weights: folder of a finished run of the same system and sizes, whose weights and tokenizer the training
            begins with; pictures may be of another size where the image encoder is of kind `vit`.
        epochs: passes over the training pairs; of all stages together where there are `stages`.
        batch_size: pairs a step.
        learning_rate: peak of the schedule.
        warmup_steps: steps in which it is reached, linearly; none with `halving`.
        final_learning_rate: where the cosine ends, `learning_rate` at most.
        decay: of the learning rate after that: along a `cosine` to the last step, or by `halving` it.
        halving_epochs: epochs between two halvings.
        adam_beta_1: Adam's memory of past gradients, a share below 1; against an adversary that moves on, a short one.
        weight_decay: AdamW's, decoupled.
        gradient_clip: global norm the gradient is clipped to; 0 switches it off.
        augment_shift: pictures are shifted by up to so many px in training; 0 where it reads a frozen backbone's
            features of them, as for the other kinds of augmentation.
        augment_crop: in place of that, the least share of a picture's area that is cut out and stretched, in (0, 1]; 1
            cuts nothing.
        augment_flip: share of pictures that are mirrored; 0 for writing, or captions that tell left from right.
        augment_distortion: makes a second view, a distorted one: in light and `shape`, or also in `colour`. A system
            with a teacher shows it the first; others train on the second.
        augment_fill: grey value 0..255 of what a shift or a distortion brings in at the border.
        seed: of the weights, the order of the pairs, dropout and augmentation.
        precision: `float32`, `mixed_float16` or `mixed_bfloat16`; embeddings are float32 in all of them.
        deterministic: deterministic TensorFlow kernels; a resumed run needs them to end with equal weights.
        reversal_strength: largest strength of the gradient reversal, for systems with a modality classifier.
        reversal_ramp: share of the training in which it grows to that, along the schedule of DANN; 0 is at once.
        select: the weights kept at the end: of the `last` epoch, or of the one `best` in `val_rsum` (`val_map` for
            systems that train on categories, with or without pairs).
        checkpoint_steps: steps between two checkpoints; one is written at the end of each epoch too.
        limit: only the first so many texts of each split, to try things out; 0 is all.
        stages: parts of a training that goes in several, one after the other; each has its own `epochs` then, and may
            have learning rate, warm-up, reversal and distortion of its own. See `Stage`.
    """

    preset: str
    data: str = "glyphs"
    train_split: str = "train"
    targets: str = ""
    image_folder: str = ""
    backbone: str = ""
    initial_weights: str = ""
    epochs: int = 10
    batch_size: int = 256
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    final_learning_rate: float = 0.0
    decay: str = "cosine"
    halving_epochs: int = 100
    adam_beta_1: float = 0.9
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    augment_shift: int = 0
    augment_crop: float = 1.0
    augment_flip: float = 0.0
    augment_distortion: str = ""
    augment_fill: int = 255
    reversal_strength: float = 1.0
    reversal_ramp: float = 0.5
    seed: int = 0
    precision: str = "float32"
    deterministic: bool = True
    select: str = "last"
    checkpoint_steps: int = 200
    limit: int = 0
    stages: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        check_choices(self)
        if not self.stages:  # each of them has a schedule of its own, checked by itself
            check_schedule(self)
        check_range(self)
        check_augmentation(self)

    @property
    def training_stages(self):
        """The stages to run: the recipe's, or the one that its own settings are."""
        own = {key: getattr(self, key) for key in INHERITED}
        return self.stages or (Stage(name="training", epochs=self.epochs, **own),)

    @property
    def model_preset(self):
        """What `from_preset` takes: the preset's name, or its settings with `backbone` in them."""
        from mmkeras.models.preset import with_backbone

        return with_backbone(self.preset, self.backbone) if self.backbone else self.preset

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
            _override(settings, key, value)
        return cls.from_settings(settings)

    @classmethod
    def from_settings(cls, settings):
        """Build a recipe from a dict, checking every key and type."""
        checked = checked_settings(cls, {key: value for key, value in settings.items() if key != "stages"})
        if "preset" not in checked:
            raise MmkerasError('A recipe needs a preset, the model that it trains. Add: preset = "..."')
        defaults = {field.name: field.default for field in dataclasses.fields(cls)}
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


def list_recipes():
    """Return the names of the recipes inside the package, sorted."""
    folder = resources.files("mmkeras.training") / "recipes"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def recipe_title(name):
    """Return the comment that a recipe inside the package begins with: what it is about, in a line."""
    file = resources.files("mmkeras.training") / "recipes" / f"{name}.toml"
    return file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def _override(settings, key, text):
    """Lay one setting of the command line over a recipe's, or `stages.NAME.key` over that stage's."""
    if not key.startswith("stages."):
        settings[key] = parse_setting(Recipe, key, text)
        return
    stages = {stage.get("name"): stage for stage in settings.get("stages", ())}
    name, _, key = key.removeprefix("stages.").partition(".")
    if name not in stages:
        names = ", ".join(stages) or "it has none"
        raise MmkerasError(f"Expected a stage of the recipe: {names}. Received: stages.{name}.{key}={text}")
    stages[name][key] = parse_setting(Stage, key, text)
