"""Training: from a run folder with a recipe in it to a trained model in that folder."""

import functools
import sys

import keras
import tensorflow as tf

import mmkeras.models
from mmkeras.atomic import replacing_file
from mmkeras.encoders.frozen_features import picture_loader
from mmkeras.errors import MmkerasError
from mmkeras.models.preset import load_preset, preset_image_encoder, preset_image_preprocessor
from mmkeras.training.augmentation import SETTINGS, augmenting
from mmkeras.training.initial_weights import begin_with, initial_model
from mmkeras.training.model_size import model_size
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
        MmkerasError: data, a preset or initial weights that do not fit, data that changed since the run began, a
            checkpoint of another model, a loss that is no number, embeddings that collapse, a full disk.
    """
    recipe = run.recipe
    verbose = (1 if sys.stdout.isatty() else 2) if verbose == "auto" else verbose
    start = initial_model(recipe)  # before the seeds are set: it draws some too
    _prepare_process(recipe)
    image_encoder, load = _data_loader(run, verbose)
    data, _ = load()
    run.check_data(data)
    model = _build(recipe, data, image_encoder, start)
    StageRunner(run, model, load, verbose).train()
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


def _data_loader(run, verbose):
    """Return the preset's image encoder, and a function that loads the training and the dev split as it takes them.

    Where its backbone is frozen these are features, computed once; with `load(pixels=True)` the pictures, for a stage
    that trains the backbone too.
    """
    preset = run.recipe.model_preset
    encoder, preprocessor = preset_image_encoder(preset), preset_image_preprocessor(preset)
    loader = picture_loader(encoder, preprocessor, verbose)
    if loader is not preprocessor:
        for name, value in augmenting(run.recipe).items():
            raise MmkerasError(
                f"Expected {name}={SETTINGS[name]!r}: the backbone is frozen, and training reads the features that it "
                f"made of each picture once. Received: {name}={value!r}"
            )

    @functools.cache
    def splits(of_pixels):
        return tuple(run.load_data(split, preprocessor if of_pixels else loader) for split in ("train", "dev"))

    return encoder, lambda pixels=False: splits(pixels or loader is preprocessor)


def _build(recipe, data, image_encoder, start=None):
    """Build the preset's model around its image encoder, with the tokenizer and the weights of `start`, if any."""
    system = getattr(mmkeras.models, load_preset(recipe.preset)["model"])
    categories = {}
    if "categories" in system.supervision:
        if data.label is None:
            raise MmkerasError(
                f"{system.__name__} trains on categories. Expected targets to be category or tags. "
                f"Received: targets={recipe.targets!r}"
            )
        categories = {"label_names": data.label_names, "multi_label": data.label.ndim == 2}
    tokenizer = {"texts": data.texts} if start is None else {"text_preprocessor": start.text_preprocessor}
    model = system.from_preset(recipe.model_preset, image_encoder=image_encoder, **tokenizer, **categories)
    if start is not None:
        begin_with(model, start, recipe.initial_weights)
    return model
