"""`ComparedRun`: what a comparison reads of one run folder."""

import dataclasses
import json
import math
import os
from pathlib import Path

from mmkeras.errors import MmkerasError
from mmkeras.evaluation.rendering import flattened
from mmkeras.printable import mmkeras_command
from mmkeras.training.log import read_log
from mmkeras.training.run import Run


class ComparedRun:
    """One run as a comparison sees it, read from its small files alone: no model is loaded.

    Args:
        folder: a run folder, finished and evaluated or not.

    Attributes:
        folder: `Path`, as given.
        name: the folder's name; a `Comparison` makes names distinct.
        finished: whether training has ended.
        seed: the setting `seed`.
        settings: flat dict of all settings, those that the recipe leaves out too.
        surroundings: flat dict of what else may differ: recipe, versions, the training data's digest.
        measured: what `metrics.json` was measured on, in words; empty where there is none.
        split: the split of that; empty where there is none.
        values: dict of numbers: the metrics, and from training `epochs`, `stages`, `training_seconds`, `parameters`,
            `image_encoder_parameters`, ..., `teacher_megabytes`, ..., `model_megabytes`, as far as the run has them.
        log: rows of `log.csv`.

    Raises:
        MmkerasError: no run folder, or a file of it that is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        run = Run(folder)
        self.folder = run.folder
        self.name = run.folder.resolve().name
        self.finished = run.finished
        recipe = run.recipe
        self.seed = recipe.seed
        settings = dataclasses.asdict(recipe)
        self.settings = flattened(settings | {"stages": {stage.pop("name"): stage for stage in settings["stages"]}})
        self.surroundings = {
            "recipe": run.info.get("recipe"),
            "mmkeras": run.info.get("mmkeras"),
            **(run.info.get("versions") or {}),
            "training data": (run.info.get("data_digest") or "")[:12],
        }
        self.log = read_log(run.file("log.csv"))
        metrics = _read_metrics(run.file("metrics.json"))
        self.measured: str = _measured(metrics, recipe)
        self.split = str(metrics.get("data", "")).rpartition("/")[2]
        self.values: dict[str, float] = _numbers(metrics) | _numbers(_training(run, recipe, len(self.log)))
        if {"text_to_image_map", "image_to_text_map"} <= set(self.values):
            self.values["map"] = (self.values["text_to_image_map"] + self.values["image_to_text_map"]) / 2

    @property
    def experiment(self) -> tuple[object, ...]:
        """What is equal in all seeds of one experiment; hashable."""
        settings = {key: str(value) for key, value in self.settings.items() if key != "seed"}
        digest = self.surroundings["training data"]
        return (self.finished, self.measured, digest, *sorted(settings.items()))

    def advice(self, split: str = "dev") -> str:
        """What is missing and the command that makes it, on `split`, as a sentence; empty where nothing is."""
        if not self.finished:
            done = f"{len(self.log)} of {self.settings['epochs']} epochs"
            return (
                f"{self.name} has not finished, {done}. Go on with: {mmkeras_command('train', '--resume', self.folder)}"
            )
        if not self.measured:
            option = "" if split == "dev" else f" --split {split}"
            return f"{self.name} is not evaluated. Measure it with: {mmkeras_command('evaluate', self.folder)}{option}"
        return ""


def _read_metrics(file):
    """Return the metrics of a file; an empty dict where there is none."""
    try:
        metrics = json.loads(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:  # no JSON, no UTF-8
        raise MmkerasError(
            f"{file} is damaged: {error}. Write it anew with: {mmkeras_command('evaluate', file.parent)}"
        ) from error
    if not isinstance(metrics, dict):
        raise MmkerasError(f"{file} is damaged: expected an object. Received: {metrics!r}")
    return metrics


def _measured(metrics, recipe):
    """Name the data of metrics, so that equal names mean that the metrics compare."""
    if not metrics:
        return ""
    data = str(metrics.get("data", "unknown data"))
    # The glyphs' texts lose their class word when the target is the category: another task under the same name.
    targets = f", targets={recipe.targets}" if recipe.targets and data.startswith("glyphs/") else ""
    counts = (metrics.get(name) for name in ("pictures", "texts"))
    images, texts = (f"{count:,}" if isinstance(count, (int, float)) else "?" for count in counts)
    return f"{data} ({images} images, {texts} texts{targets})"


def _training(run, recipe, epochs):
    """What training took and made; runs of older versions did not remember all of it."""
    found = {
        "epochs": epochs,
        "stages": len(recipe.stages) or None,
        "training_seconds": run.info.get("training_seconds"),
    }
    parameters = run.info.get("parameters")
    if isinstance(parameters, dict) and parameters:
        found |= {f"{part}_parameters": count for part, count in parameters.items()}
        found["parameters"] = sum(_numbers(parameters).values())
    sizes = run.info.get("parameter_bytes")
    if isinstance(sizes, dict):
        found |= {f"{part}_megabytes": size / 1e6 for part, size in _numbers(sizes).items()}
    file = run.file("model.keras")
    if file.is_file():
        found["model_megabytes"] = file.stat().st_size / 1e6
    return found


def _numbers(values):
    """Those of a dict's values that are finite numbers."""
    return {
        key: value
        for key, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    }
