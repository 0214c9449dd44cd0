"""Evaluating a run: from its model to `metrics.json` and `report.html` in its folder."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from mmkeras.data.paired import PairedData
from mmkeras.data.records import Targets
from mmkeras.data.sources import load_source
from mmkeras.encoders.frozen_features import picture_loader
from mmkeras.errors import MmkerasError
from mmkeras.evaluation.measuring.evaluate import Evaluation, checked_k_test, evaluate, save_metrics
from mmkeras.evaluation.report.report import write_report
from mmkeras.evaluation.report.tables import size_table
from mmkeras.evaluation.report.word_views import draw_words
from mmkeras.metrics.measures import DEVIATION, UNTRAINED, untrained_measures
from mmkeras.models.image_text_model import ImageTextModel
from mmkeras.progress import Progress
from mmkeras.training.initial_weights import begin_with, initial_model
from mmkeras.training.log import read_log
from mmkeras.training.recipe import Recipe
from mmkeras.training.run import Run


def evaluate_run(
    run: Run,
    split: str = "dev",
    model: ImageTextModel | None = None,
    source: str | os.PathLike[str] = "",
    image_folder: str | os.PathLike[str] = "",
    targets: Targets | None = None,
    k_test: int | None = None,
    templates: Sequence[str] = (),
) -> Evaluation:
    """Measure a finished run on one split of its data and write `metrics.json` and `report.html` into its folder.

    With `source` it is measured on other data, and the files are those that `evaluation_files` names.

    The model as it was before training is measured too: its modality gap, rsum and mean average precision are among the
    metrics under `untrained_...`. Where it cannot be rebuilt, they are missing and the report says why.

    Args:
        run: a finished `Run`.
        split: `dev`, `test` or `train`; one picture an item is a query and in the gallery.
        model: the run's model, where it is in memory already.
        source: other data than the run's, as `load_source` takes it.
        image_folder: where its images lie, a folder or a zip.
        targets: categories to load of it: `""`, `category` or `tags`; the run's where left out.
        k_test: how many candidates of a query are re-ranked, see `evaluate`.
        templates: sentences by which pictures are classified by the names of their categories, see `evaluate`.

    Returns:
        `Evaluation`.

    Raises:
        MmkerasError: the run has not finished, its data has no such split, a `k_test` that the model does not take.
    """
    recipe = run.recipe
    with Progress("Loading the model"):
        model = model or run.load_model()
    k_test = checked_k_test(model, k_test)
    loader = picture_loader(model.image_encoder, model.image_preprocessor)
    with Progress("Reading the data"):
        if source:
            targets = recipe.targets if targets is None else targets
            data = load_source(source, split, loader, image_folder or None, targets=targets or "")
        else:
            data = run.load_data(split, loader)
    evaluation = evaluate(model, data.one_image_an_item(), k_test, templates)
    missing = ""
    try:
        with Progress("The model before training"):
            before = evaluate(untrained_model(recipe, model), evaluation.data, k_test=0).metrics
    except (MmkerasError, OSError, TypeError, ValueError) as error:  # a file that is gone or that is not what it was
        missing = str(error).partition("\n")[0].removesuffix(".")
    else:
        kept = [f"{measure.name}{end}" for measure in untrained_measures() for end in ("", DEVIATION)]
        before = {f"{UNTRAINED}{key}": before[key] for key in kept if key in before}
        evaluation = dataclasses.replace(evaluation, metrics=evaluation.metrics | before)
    metrics_file, report_file = evaluation_files(run, source, data)
    save_metrics({"data": data.name, **evaluation.metrics}, metrics_file)
    with Progress("Drawing the report"):
        write_report(
            report_file,
            title=f"{run.folder.resolve().name}: {run.info['recipe']}" + (f" on {data.name}" if source else ""),
            settings=run.info["settings"],
            versions=run.info["versions"],
            history=read_log(run.file("log.csv")),
            evaluation=evaluation,
            untrained_missing=missing,
            word_views=draw_words(model, evaluation, recipe.seed),
            size=size_table(run.info),
            seed=recipe.seed,
        )
    return evaluation


def evaluation_files(
    run: Run, source: str | os.PathLike[str] = "", data: PairedData | None = None
) -> tuple[Path, Path]:
    """Return the paths of the metrics and the report: the run's own, or for other data ones with its name in theirs.

    Args:
        run: `Run`.
        source: the other data, `pets/captions.jsonl` gives `metrics-pets-captions-dev.json`.
        data: `PairedData` of it.
    """
    if not source:
        return run.file("metrics.json"), run.file("report.html")
    path = Path(source).resolve() if Path(source).suffix else Path(source)
    name = "-".join([*filter(None, [path.parent.name, path.stem]), data.name.rpartition("/")[2]])
    return run.file(f"metrics-{name}.json"), run.file(f"report-{name}.html")


def untrained_model(recipe: Recipe, model: ImageTextModel) -> ImageTextModel:
    """Build a run's model anew: of its preset and seed, with the trained model's tokenizer and categories, and with the
    weights of another run where it began with these.

    It sets the seeds of the process, as a training does.

    Args:
        recipe: `Recipe` of the run.
        model: the trained model.

    Returns:
        A model of the class of `model`.

    Raises:
        MmkerasError: the preset is gone, or builds another model by now; the run that it began with is gone.
    """
    policy = keras.config.dtype_policy()
    keras.utils.set_random_seed(recipe.seed)
    keras.config.set_dtype_policy(recipe.precision)
    try:
        categories: dict[str, Any] = (
            {"label_names": model.label_names, "multi_label": model.multi_label} if model.label_names else {}
        )
        preset = recipe.load_preset()
        untrained = type(model).from_preset(preset, text_preprocessor=model.text_preprocessor, **categories)
    finally:
        keras.config.set_dtype_policy(policy)
    shapes = [
        [weight.shape for encoder in (each.image_encoder, each.text_encoder) for weight in encoder.weights]
        for each in (model, untrained)
    ]
    if shapes[0] != shapes[1]:
        raise MmkerasError(f"The preset {recipe.preset} has changed since the run and builds another model by now")
    if recipe.initial_weights:
        begin_with(untrained, initial_model(recipe), recipe.initial_weights)  # type: ignore[arg-type]
    return untrained
