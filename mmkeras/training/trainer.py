"""Training: from a run folder with a recipe in it to a trained model in that folder."""

import sys
from typing import Literal

import keras
import tensorflow as tf

import mmkeras.models
from mmkeras.atomic import replacing_file
from mmkeras.errors import MmkerasError
from mmkeras.models.image_text_model import ImageTextModel
from mmkeras.training.initial_weights import begin_with, initial_model
from mmkeras.training.model_size import model_size
from mmkeras.training.run import Run
from mmkeras.training.run_data import RunData
from mmkeras.training.stage_runner import StageRunner


def train(run: Run, verbose: int | Literal["auto"] = "auto") -> ImageTextModel:
    """Train a run to its end, from its last checkpoint where it has one.

    A resumed run ends with the weights of an uninterrupted one: the order of the pairs and augmentation follow from
    (seed, step), random states are part of the checkpoint, and kernels are deterministic (`deterministic = true`).

    Args:
        run: `Run`.
        verbose: as in `keras.Model.fit`; `"auto"` is a progress bar on a terminal and a line an epoch elsewhere.

    Returns:
        The trained model, which lies in the run folder as `model.keras`.

    Raises:
        MmkerasError: data, a preset or initial weights that do not fit, data that changed since the run began, a
            checkpoint of another model, a loss that is no number, embeddings that collapse, a full disk.
    """
    recipe = run.recipe
    verbose = (1 if sys.stdout.isatty() else 2) if verbose == "auto" else verbose
    start = initial_model(recipe)  # before the seeds are set: it draws some too
    _prepare_process(recipe)
    preset = recipe.load_preset()
    image_encoder = preset.build_image_encoder()  # first: it tells whether data are pixels or features
    data = RunData(run, image_encoder, preset.build_image_preprocessor(), verbose)
    run.check_data(data.train)
    model = _build(recipe, preset, data.train, image_encoder, start)
    StageRunner(run, model, data, verbose).train()
    with replacing_file(run.file("model.keras")) as beside:
        model.save(beside)
    run.update(finished=True, **model_size(model))
    return model


def _prepare_process(recipe):
    """Set the seeds and modes that TensorFlow and Keras keep for the whole process."""
    keras.utils.set_random_seed(recipe.seed)
    keras.config.set_dtype_policy(recipe.precision)
    if recipe.deterministic:
        tf.config.experimental.enable_op_determinism()
        # The graph's optimizer joins additions in an order that differs from one tracing to the next, and so do the
        # last digits of a sum.
        tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


def _build(recipe, preset, data, image_encoder, start=None):
    """Build the preset's model around its image encoder, with the tokenizer and the weights of `start`, if any."""
    system = getattr(mmkeras.models, preset.model)
    categories = {}
    if "categories" in system.supervision:
        if data.label is None:
            raise MmkerasError(
                f"{system.__name__} trains on categories. Expected targets to be category or tags. "
                f"Received: targets={recipe.targets!r}"
            )
        categories = {"label_names": data.label_names, "multi_label": data.label.ndim == 2}
    tokenizer = {"texts": data.texts} if start is None else {"text_preprocessor": start.text_preprocessor}
    model = system.from_preset(preset, image_encoder=image_encoder, **tokenizer, **categories)
    if start is not None:
        begin_with(model, start, recipe.initial_weights)
    return model
