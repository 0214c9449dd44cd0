"""Training: from a run folder with a recipe in it to a trained model in that folder."""

import sys

import keras
import tensorflow as tf

import mmkeras.models
from mmkeras.atomic import replacing_file
from mmkeras.errors import MmkerasError
from mmkeras.models.preset import load_preset, preset_image_preprocessor
from mmkeras.training.stage_runner import StageRunner


def train(run, verbose="auto"):
    """Train a run to its end, from its last checkpoint where it has one.

    A resumed run ends with the weights of an uninterrupted one: the order of the pairs and augmentation follow from
    (seed, step), random states are part of the checkpoint, and kernels are deterministic (`deterministic = true`).

    Args:
        run: `Run`.
        verbose: as in `keras.Model.fit`; `"auto"` is a progress bar on a terminal and a line an epoch elsewhere.

    Returns:
        The trained model, which lies in the run folder as `model.keras`.

    Raises:
        MmkerasError: data or a preset that does not fit, data that changed since the run began, a checkpoint of another
            model, a loss that is no number, embeddings that collapse, a full disk.
    """
    recipe = run.recipe
    verbose = (1 if sys.stdout.isatty() else 2) if verbose == "auto" else verbose
    _prepare_process(recipe)
    data, validation = (run.load_data(split, preset_image_preprocessor(recipe.preset)) for split in ("train", "dev"))
    run.check_data(data)
    model = _build(recipe, data)
    StageRunner(run, model, data, validation, verbose).train()
    with replacing_file(run.file("model.keras")) as beside:
        model.save(beside)
    run.update(finished=True)
    return model


def _prepare_process(recipe):
    """Set the seeds and modes that TensorFlow and Keras keep for the whole process."""
    keras.utils.set_random_seed(recipe.seed)
    keras.config.set_dtype_policy(recipe.precision)
    if recipe.deterministic:
        tf.config.experimental.enable_op_determinism()


def _build(recipe, data):
    """Build the preset's model."""
    system = getattr(mmkeras.models, load_preset(recipe.preset)["model"])
    categories = {}
    if system.supervision == "categories":
        if data.label is None:
            raise MmkerasError(
                f"{system.__name__} trains on categories. Expected targets to be category or tags. "
                f"Received: targets={recipe.targets!r}"
            )
        categories = {"label_names": data.label_names, "multi_label": data.label.ndim == 2}
    return system.from_preset(recipe.preset, texts=data.texts, **categories)
