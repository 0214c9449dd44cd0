"""Training: from a run folder with a recipe in it to a trained model in that folder."""

import dataclasses
import sys
from typing import Literal

import keras
import tensorflow as tf

import mmkeras.models
from mmkeras.atomic import replacing_file
from mmkeras.data.captioned_pictures import CaptionedPictures
from mmkeras.data.checking import check_data, summary_lines
from mmkeras.data.checking.problem import amount
from mmkeras.encoders.encoder import Encoder
from mmkeras.models.adapters import add_adapters, folded
from mmkeras.models.image_text_model import ImageTextModel
from mmkeras.models.preset import Preset
from mmkeras.models.recomputation import recompute_blocks
from mmkeras.printable import printable
from mmkeras.progress import Progress, showing_progress
from mmkeras.training.adapted_layers import adapt_layers
from mmkeras.training.checkpoint_record import record_checkpoints
from mmkeras.training.data_notes import data_notes
from mmkeras.training.data_sizes import sized
from mmkeras.training.devices import training_devices
from mmkeras.training.initial_weights import begin_with, initial_model
from mmkeras.training.linear_start import begin_linearly
from mmkeras.training.memorisation import learnt_by_heart
from mmkeras.training.model_size import model_size
from mmkeras.training.one_machine import check_one_machine
from mmkeras.training.run import Run
from mmkeras.training.run_data import RunData
from mmkeras.training.stage_runner import StageRunner


def train(run: Run, verbose: int | Literal["auto"] = "auto") -> ImageTextModel:
    """Train a run to its end, from its last checkpoint where it has one.

    A resumed run ends with the weights of an uninterrupted one: the order of the pairs and augmentation follow from
    (seed, step), random states are part of the checkpoint, and kernels are deterministic (`deterministic = true`).

    Args:
        run: `Run`.
        verbose: 0 is silent; 1 shows bars, where stdout is a terminal; 2 a line every 20 seconds, and one an epoch;
            `"auto"` is 1 on a terminal and 2 elsewhere.

    Returns:
        The trained model, which lies in the run folder as `model.keras`.

    Raises:
        MmkerasError: data, a preset or initial weights that do not fit, data that changed since the run began, a
            checkpoint of another model, a loss that is no number, embeddings that collapse, a full disk; devices that
            are not there, or other ones than the run began with.
    """
    check_one_machine()
    devices = training_devices(run.recipe.devices)
    run.check_devices(devices.described)
    with showing_progress(verbose), devices.scope():
        return _train(run, verbose, devices)


def _train(run, verbose, devices):
    recipe = run.recipe
    start = initial_model(recipe)  # before the seeds are set: it draws some too
    _prepare_process(recipe)
    preset = recipe.load_preset()
    record_checkpoints(run, preset)
    image_encoder = preset.build_image_encoder()  # first: it tells whether data are pixels or features
    # A system with a matching head reads the tokens too, of which features hold the mean.
    frozen_features = getattr(mmkeras.models, preset.model).matcher is None
    data = RunData(run, image_encoder, preset.build_image_preprocessor(), frozen_features)
    with Progress("Reading the data"):
        run.check_data(data.train)
    recipe = _sized(run, data.train, devices)
    with Progress("Building the model"):
        model = build_model(preset, data, image_encoder, start, recipe.initial_weights)
        if start is None and not run.file("checkpoint.npz").exists():
            adapt_layers(model, data.train)
        if recipe.start == "linear" and not run.file("checkpoint.npz").exists():
            begin_linearly(model, data.train)
        if recipe.lora_rank:
            add_adapters(model, recipe.lora_rank, recipe.seed)
        if recipe.recompute:
            recompute_blocks(model)
    with Progress("Looking the data over"):
        lines = _summary(run, model)
        notes = data_notes(*data.splits(), model.text_preprocessor)
    runner = StageRunner(run, model, data)
    if lines and verbose:
        steps = f"{amount(recipe.epochs, 'epoch')} of {amount(runner.steps, 'step')} of {recipe.batch_size:,} pairs"
        several = f" on {len(devices.names)} {devices.kind}s" if len(devices.names) > 1 else ""
        trained = f"Training: {run.info['recipe']}, a {type(model).__name__}{several}: {steps}"
        print("\n".join([*lines, trained]), flush=True)
    notes += [*runner.notes, *filter(None, [devices.note])]
    run.update(notes=notes)
    _tell(notes, verbose)
    runner.train()
    dev = data.splits()[1].one_image_an_item()
    if by_heart := learnt_by_heart(run, {"pictures": len(dev.images), "texts": len(dev.texts)}):
        run.update(notes=[*notes, by_heart])
        _tell([by_heart], verbose)
    model = folded(model)
    with replacing_file(run.file("model.keras")) as beside:
        model.save(beside)
    run.update(finished=True, **model_size(model))
    return model


def _summary(run, model):
    """What a new run has found in the user's own pictures and captions, in a few lines; none of other data."""
    if not isinstance(run.source, CaptionedPictures) or run.file("log.csv").exists():
        return []
    return summary_lines(check_data(run.source, model.text_preprocessor, decode=False))


def _sized(run, train, devices):
    """The recipe with what it leaves to the data, which stands in the run's settings from then on."""
    recipe = run.recipe
    run.recipe = sized(recipe, len(train.pairs) or len(train.images), len(devices.names))
    devices.check_batch_size(run.recipe.batch_size)
    if run.recipe is not recipe:
        run.update(settings=dataclasses.asdict(run.recipe))
    return run.recipe


def _tell(notes, verbose):
    """Print notes, a line each, unless nothing is to be printed."""
    for note in notes if verbose else ():
        print(printable(f"Note: {note}", sys.stdout.encoding), flush=True)


def _prepare_process(recipe):
    """Set the seeds and modes that TensorFlow and Keras keep for the whole process."""
    keras.utils.set_random_seed(recipe.seed)
    keras.config.set_dtype_policy(recipe.precision)
    if recipe.deterministic:
        tf.config.experimental.enable_op_determinism()
        # The graph's optimizer joins additions in an order that differs from one tracing to the next, and so do the
        # last digits of a sum.
        tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


def build_model(
    preset: Preset, data: RunData, image_encoder: Encoder, start: ImageTextModel | None = None, start_name: str = ""
) -> ImageTextModel:
    """Build a preset's model around its image encoder, as the data want it, and relate the data's equal texts.

    Args:
        preset: `Preset`.
        data: `RunData`; from here on texts of its splits that are equal to the model are right answers to each other's
            pictures.
        image_encoder: what the preset builds.
        start: the trained model whose tokenizer and weights it begins with, if any.
        start_name: the run of `start`, for messages.

    Raises:
        MmkerasError: data or a start that do not fit.
    """
    tokenizer = None if start is None else start.text_preprocessor
    if start is None and preset.text_encoder["kind"] != "features":
        tokenizer = preset.build_text_preprocessor(data.train.texts)
    data.relate_equal_texts(tokenizer)
    system = getattr(mmkeras.models, preset.model)
    arguments = system.arguments_for(data.train)
    model = system.from_preset(preset, text_preprocessor=tokenizer, image_encoder=image_encoder, **arguments)
    if start is not None:
        begin_with(model, start, start_name)
    data.cache_texts(model.given_encoders()["text_encoder"], tokenizer)
    return model
