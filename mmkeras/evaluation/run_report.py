"""Evaluating a run: from its model to `metrics.json` and `report.html` in its folder."""

import dataclasses

import keras

from mmkeras.errors import MmkerasError
from mmkeras.evaluation.evaluate import evaluate, save_metrics
from mmkeras.evaluation.gap_table import COMPARED, UNTRAINED
from mmkeras.evaluation.report import write_report
from mmkeras.training.callbacks import read_log


def evaluate_run(run, split="dev", model=None):
    """Measure a finished run on one split of its data and write `metrics.json` and `report.html` into its folder.

    The model as it was before training is measured too: its modality gap, rsum and mean average precision are among the
    metrics under `untrained_...`. Where it cannot be rebuilt, they are missing and the report says why.

    Args:
        run: a finished `Run`.
        split: `dev`, `test` or `train`; one picture an item is a query and in the gallery.
        model: the run's model, where it is in memory already.

    Returns:
        `Evaluation`.

    Raises:
        MmkerasError: the run has not finished, or its data has no such split.
    """
    recipe = run.recipe
    model = model or run.load_model()
    data = run.load_data(split, model.image_preprocessor)
    evaluation = evaluate(model, data.one_image_an_item())
    missing = ""
    try:
        before = evaluate(untrained_model(recipe, model), evaluation.data).metrics
    except (MmkerasError, OSError, TypeError, ValueError) as error:  # a file that is gone or that is not what it was
        missing = str(error).partition("\n")[0].removesuffix(".")
    else:
        before = {f"{UNTRAINED}{key}": before[key] for key in COMPARED if key in before}
        evaluation = dataclasses.replace(evaluation, metrics=evaluation.metrics | before)
    save_metrics({"data": data.name, **evaluation.metrics}, run.file("metrics.json"))
    write_report(
        run.file("report.html"),
        title=f"{run.folder.resolve().name}: {run.info['recipe']}",
        settings=run.info["settings"],
        versions=run.info["versions"],
        history=read_log(run.file("log.csv")),
        evaluation=evaluation,
        untrained_missing=missing,
        seed=recipe.seed,
    )
    return evaluation


def untrained_model(recipe, model):
    """Build a run's model anew: of its preset and seed, with the trained model's tokenizer and categories.

    It sets the seeds of the process, as a training does.

    Args:
        recipe: `Recipe` of the run.
        model: the trained model.

    Returns:
        A model of the class of `model`.

    Raises:
        MmkerasError: the preset is gone, or builds another model by now.
    """
    policy = keras.config.dtype_policy()
    keras.utils.set_random_seed(recipe.seed)
    keras.config.set_dtype_policy(recipe.precision)
    try:
        categories = {"label_names": model.label_names, "multi_label": model.multi_label} if model.label_names else {}
        untrained = type(model).from_preset(recipe.preset, text_preprocessor=model.text_preprocessor, **categories)
    finally:
        keras.config.set_dtype_policy(policy)
    shapes = [
        [weight.shape for encoder in (each.image_encoder, each.text_encoder) for weight in encoder.weights]
        for each in (model, untrained)
    ]
    if shapes[0] != shapes[1]:
        raise MmkerasError(f"The preset {recipe.preset} has changed since the run and builds another model by now")
    return untrained
