"""`untrained_run`: a published pair as it is, as a run that can be evaluated, exported and served."""

from __future__ import annotations

import os

import mmkeras.models
from mmkeras.atomic import replacing_file
from mmkeras.progress import Progress
from mmkeras.training.checkpoint_record import record_checkpoints
from mmkeras.training.model_size import model_size
from mmkeras.training.recipe import Recipe
from mmkeras.training.run import Run

RECIPE = "pretrained_pair"


def untrained_run(
    folder: str | os.PathLike[str],
    pretrained: str,
    data: str,
    image_folder: str = "",
    targets: str = "",
) -> Run:
    """Make a run of a published pair that was not trained on anything further.

    Args:
        folder: the run's folder, which is made.
        pretrained: the pair, by its folder or name, see `find_checkpoint`.
        data: what it is measured on and what an index of it holds, in any layout.
        image_folder: where the pictures lie.
        targets: categories of the data, `""`, `category` or `tags`.

    Returns:
        `Run`, finished, without a log.

    Raises:
        MmkerasError: no published pair, or one that cannot be read; no folder is left then.

    Example:
        >>> run = untrained_run("runs/siglip", "./siglip-base-patch16-224", "captions.csv", "photos")
        >>> evaluate_run(run).metrics["text_to_image_recall@1"]
    """
    settings = {"pretrained": pretrained, "data": data, "image_folder": image_folder, "targets": targets}
    recipe = Recipe.load(RECIPE, [f"{key}={value}" for key, value in settings.items() if value])
    preset = recipe.load_preset()
    run = Run.create(folder, RECIPE, recipe)
    try:
        with Progress("Reading the published pair"):
            record_checkpoints(run, preset)
            system = getattr(mmkeras.models, preset.model)
            model = system.from_preset(preset, text_preprocessor=preset.build_text_preprocessor(()))
        with replacing_file(run.file("model.keras")) as beside:
            model.save(beside)
    except BaseException:
        run.discard()
        raise
    run.update(finished=True, trained=False, **model_size(model))
    return run
