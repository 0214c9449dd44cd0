"""`write_run`: run folders written by hand, as training and evaluation leave them; nothing is trained."""

import json

from mmkeras.training import Recipe, Run

METRICS = {
    "data": "glyphs/dev",
    "pictures": 500,
    "texts": 500,
    "text_to_image_recall@1": 0.5,
    "image_to_text_recall@1": 0.25,
    "rsum": 300.0,
    "modality_probe": 0.75,
    "mmd2": 0.0123,
    "image_effective_rank": 9.0,
}


def write_run(folder, *settings, metrics=METRICS, epochs=2, columns=(), model=b"x", recipe=None, **info):
    """Write a run of an older version, which remembers neither time nor parameters, but for what `info` says.

    Args:
        folder: path.
        *settings: `key=value` over those of the recipe `glyphs_tiny`.
        metrics: content of `metrics.json`; `None` writes none.
        epochs: rows of the log. The settings say as many, and at least 2.
        columns: names of the log's columns beside the loss; row n of all has the value 1 / (n + 1).
        model: content of `model.keras`; `None` writes none.
        recipe: `Recipe`, in place of `glyphs_tiny`.
        **info: entries of `run.json`.

    Returns:
        The folder.
    """
    recipe = recipe or Recipe.load("glyphs_tiny", [f"epochs={max(epochs, 2)}", *settings])
    run = Run.create(folder, "glyphs_tiny", recipe)
    del run.info["training_seconds"]
    run.update(**{"finished": True, "data_digest": "abc", **info})
    rows = [f"{epoch},{','.join([str(1 / (epoch + 1))] * (1 + len(columns)))}" for epoch in range(epochs)]
    run.file("log.csv").write_text("\n".join([",".join(["epoch", "loss", *columns]), *rows, ""]))
    if metrics is not None:
        run.file("metrics.json").write_text(json.dumps(metrics))
    if model is not None:
        run.file("model.keras").write_bytes(model)
    return run.folder
