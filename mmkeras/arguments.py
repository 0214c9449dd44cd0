"""What commands are given: found and checked without TensorFlow, so that a mistake is told at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mmkeras.command_options import DEFAULT_PRESET
from mmkeras.errors import MmkerasError

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


def check_names(recipe: Recipe) -> None:
    """Look for what a `Recipe` names: its preset, its data and the run that it begins with.

    Raises:
        MmkerasError: one of them is not there.
    """
    from mmkeras.data.sources import check_source

    recipe.load_preset()
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
