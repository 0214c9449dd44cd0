"""Evaluating a run: from its model to `metrics.json` and `report.html` in its folder."""

from mmkeras.data.sources import load_source
from mmkeras.evaluation.evaluate import evaluate, save_metrics
from mmkeras.evaluation.report import write_report
from mmkeras.training.callbacks import read_log


def evaluate_run(run, split="dev", model=None):
    """Measure a finished run on one split of its data and write `metrics.json` and `report.html` into its folder.

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
    data = load_source(recipe.data, split, model.image_preprocessor, recipe.image_folder or None, recipe.limit)
    evaluation = evaluate(model, data.one_image_an_item())
    save_metrics({"data": data.name, **evaluation.metrics}, run.file("metrics.json"))
    write_report(
        run.file("report.html"),
        title=f"{run.folder.resolve().name}: {run.info['recipe']}",
        settings=run.info["settings"],
        versions=run.info["versions"],
        history=read_log(run.file("log.csv")),
        evaluation=evaluation,
        seed=recipe.seed,
    )
    return evaluation
