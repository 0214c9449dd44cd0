"""What commands are given: found and checked without TensorFlow, so that a mistake is told at once."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmkeras.errors import MmkerasError

DEFAULT_RECIPE = "photos"  # for data of the user's own
PAIR_RECIPE = "pretrained_pair"  # for a published pair
HALVES_RECIPE = "photos_pretrained"  # for published networks of both modalities
DEFAULT_PRESET = "photos"  # captions as people write them

if TYPE_CHECKING:
    from mmkeras.models.preset import Preset
    from mmkeras.training.recipe import Recipe
    from mmkeras.training.run import Run


def finished_run(folder: str | os.PathLike[str]) -> Run:
    """Return the `Run` of a folder, of which there must be a trained model.

    Raises:
        MmkerasError: the folder is no run, or training has not finished.
    """
    from mmkeras.training.run import Run

    run = Run(folder)
    run.check_finished()
    return run


def newest_run(folder: str | os.PathLike[str]) -> Path:
    """Return the run in a folder such as `runs` that finished last.

    Raises:
        MmkerasError: none in it has finished.
    """
    models = sorted(Path(folder).glob("*/model.keras"), key=lambda file: file.stat().st_mtime)
    if not models:
        raise MmkerasError(f"Which run? Name its folder; none in {folder}/ has finished")
    return models[-1].parent


def chosen_recipe(
    what: str | None,
    recipe: str | None = None,
    images: str | None = None,
    settings: Sequence[str] = (),
    pretrained: str | None = None,
) -> tuple[str, str, Recipe]:
    """Return what is to be trained: a name for its run, that of the recipe, and the `Recipe`.

    Args:
        what: the user's data, a file or a folder, or the name of a recipe, or the path of a TOML file.
        recipe: the recipe for the user's data.
        images: where the pictures lie.
        settings: strings `key=value`.
        pretrained: a published pair that the training begins with.

    Raises:
        MmkerasError: nothing of all that was given, or what does not go together; no such recipe.
    """
    from mmkeras.data.sources import is_source
    from mmkeras.training.recipe import Recipe, list_recipes

    if not what:
        raise MmkerasError(
            "Expected your data (a captions file or a folder of pictures), a RECIPE (mmkeras recipes lists them) or "
            "--resume RUN"
        )
    placed = [f"image_folder={images}"] if images else []
    placed += [f"pretrained={pretrained}"] if pretrained else []
    if what in list_recipes() or what.endswith(".toml") or not is_source(what):
        if recipe and what not in list_recipes() and not what.endswith(".toml"):
            raise MmkerasError(f"There is no file or folder {what}")
        if recipe:
            raise MmkerasError(f"Expected data with --recipe {recipe}. Received: the recipe {what}")
        return Path(what).stem, Path(what).stem, Recipe.load(what, [*placed, *settings])
    if given := [setting for setting in settings if setting.partition("=")[0] == "data"]:
        raise MmkerasError(f"Expected the data once. Received: {what} and {given[0]}")
    has_texts = any(setting.startswith("text_backbone=") for setting in settings)
    recipe = recipe or (PAIR_RECIPE if pretrained else HALVES_RECIPE if has_texts else DEFAULT_RECIPE)
    name = re.sub(r"\W+", "-", Path(what).resolve().name.partition(".")[0]).strip("-")
    return name or "run", Path(recipe).stem, Recipe.load(recipe, [f"data={what}", *placed, *settings])


def check_names(recipe: Recipe) -> None:
    """Look for what a `Recipe` names: its preset, its data and the run that it begins with.

    Raises:
        MmkerasError: one of them is not there.
    """
    from mmkeras.data.sources import check_source

    recipe.load_preset()
    if not recipe.data:
        raise MmkerasError("This recipe is for data of your own: mmkeras train captions.csv --images photos")
    check_source(recipe.data)
    if recipe.initial_weights:
        finished_run(recipe.initial_weights)


def check_data_names(source: str, preset: str | None, recipe: str | None) -> tuple[Preset, str]:
    """Look for data of the user's own, and for what says how a model reads them.

    Args:
        source: path of the data.
        preset: name of a preset or path of a JSON file; by default one for captions as people write them.
        recipe: in its place the name of a recipe, or the path of a TOML file.

    Returns:
        the `Preset`, and the split that is trained on.

    Raises:
        MmkerasError: one of them is not there, or the data are no pictures with captions.
    """
    from mmkeras.data.layouts import find_layout
    from mmkeras.models.preset import Preset
    from mmkeras.training.recipe import Recipe

    if source == "glyphs" or source.endswith(".npz"):
        raise MmkerasError(
            f"Expected pictures with captions, which can be looked at one by one. Received: {source}; the glyphs and "
            "feature sets are checked when they are loaded"
        )
    find_layout(Path(source))
    if recipe:
        chosen = Recipe.load(recipe)
        return chosen.load_preset(), chosen.train_split
    return Preset.load(preset or DEFAULT_PRESET), "train"


def check_pair(pretrained: str, run: str | os.PathLike[str] | None, data: str) -> None:
    """Look for a published pair that is measured or exported as it is, and for the data.

    Args:
        pretrained: the pair, a folder or a name.
        run: a run that was given beside it.
        data: path of the data.

    Raises:
        MmkerasError: a run beside it, no data, or one of them is not there.
    """
    from mmkeras.data.sources import check_source
    from mmkeras.models.preset import Preset

    if run:
        raise MmkerasError(f"Expected a run or --from PAIR. Received: {run} and --from {pretrained}")
    if not data:
        raise MmkerasError(f"Expected the data with --data SOURCE. Received: --from {pretrained} alone")
    Preset.load(PAIR_RECIPE).with_pair(pretrained)
    check_source(data)


def only_model(folder: str | os.PathLike[str]) -> str:
    """Return the name of the one served model in a folder such as `savedmodels`.

    Raises:
        MmkerasError: there is none, or more than one.
    """
    folders = Path(folder).glob("*")
    models = sorted(path.name for path in folders if path.is_dir() and not path.name.startswith("."))
    if len(models) != 1:
        found = ", ".join(models) or "none"
        raise MmkerasError(f"Which model? Name it with --model; there are in {folder}/: {found}")
    return models[0]
