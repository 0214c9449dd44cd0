"""Training: from a run folder with a recipe in it to a trained model in that folder."""

import sys

import keras
import tensorflow as tf

import mmkeras.models
from mmkeras.atomic import replacing_file
from mmkeras.data.pipeline import steps_per_epoch, training_batches, unpaired_batches, unpaired_steps_per_epoch
from mmkeras.errors import MmkerasError
from mmkeras.models.preset import load_preset, preset_image_preprocessor
from mmkeras.preprocessing.augment import RandomShift
from mmkeras.training.callbacks import BestWeights, Checkpoint, EpochLog, FiniteLoss, RetrievalValidation
from mmkeras.training.checkpoint import load_checkpoint, metric_states
from mmkeras.training.reversal_schedule import ReversalSchedule

# What a system trains on: its batches, how many make an epoch, and what says which epoch was the best.
SUPERVISION = {
    "pairs": (training_batches, steps_per_epoch, "val_rsum"),
    "categories": (unpaired_batches, unpaired_steps_per_epoch, "val_map"),
}


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
            model, a loss that is no number, a full disk.
    """
    recipe = run.recipe
    verbose = (1 if sys.stdout.isatty() else 2) if verbose == "auto" else verbose
    _prepare_process(recipe)
    data, validation = (run.load_data(split, preset_image_preprocessor(recipe.preset)) for split in ("train", "dev"))
    run.check_data(data)
    system = getattr(mmkeras.models, load_preset(recipe.preset)["model"])
    batches, steps_of, monitor = SUPERVISION[system.supervision]
    steps = steps_of(data, recipe.batch_size)
    model = _build(recipe, system, data, total_steps=steps * recipe.epochs)

    first_step, states = 0, None
    if run.file("checkpoint.npz").exists():
        first_step = load_checkpoint(run.file("checkpoint.npz"), model)
        states = metric_states(model)
    first_epoch, done = divmod(first_step, steps)
    log = EpochLog(run.file("log.csv"), first_epoch)
    callbacks = [
        FiniteLoss(),
        RetrievalValidation(validation),
        *_schedules(recipe, model, steps * recipe.epochs),
        log,
        keras.callbacks.TensorBoard(str(run.file("tensorboard")), write_graph=False, update_freq="epoch"),
    ]
    if recipe.select == "best":
        best = max((row[monitor] for row in log.rows), default=float("-inf"))
        callbacks.append(BestWeights(run.file("best.npz"), monitor, best))
    callbacks.append(
        Checkpoint(run.file("checkpoint.npz"), steps, recipe.checkpoint_steps, first_step, states if done else None)
    )
    # An epoch that was cut off is finished by a fit of its own, whose epoch is as long as what is left of it.
    next_epoch = first_epoch + 1 if done else first_epoch
    for start, end in ((first_step, next_epoch * steps), (next_epoch * steps, recipe.epochs * steps)):
        if start < end:
            model.fit(
                batches(
                    data,
                    recipe.batch_size,
                    recipe.seed,
                    text_preprocessor=model.text_preprocessor,
                    augment=RandomShift(recipe.augment_shift) if recipe.augment_shift else None,
                    first_step=start,
                ),
                initial_epoch=start // steps,
                epochs=end // steps,
                steps_per_epoch=min(steps, end - start),
                callbacks=callbacks,
                verbose=verbose,
                shuffle=False,
            )
    if recipe.select == "best":
        load_checkpoint(run.file("best.npz"), model)
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


def _build(recipe, system, data, total_steps):
    """Build and compile the preset's model, with every optimizer built, ready for a checkpoint."""
    categories = {}
    if system.supervision == "categories":
        if data.label is None:
            raise MmkerasError(
                f"{system.__name__} trains on categories. Expected targets to be category or tags. "
                f"Received: targets={recipe.targets!r}"
            )
        categories = {"label_names": data.label_names, "multi_label": data.label.ndim == 2}
    model = system.from_preset(recipe.preset, texts=data.texts, **categories)
    warmup = min(recipe.warmup_steps, total_steps - 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, total_steps - warmup, warmup_target=recipe.learning_rate, warmup_steps=warmup
    )
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay, global_clipnorm=recipe.gradient_clip or None)
    )
    model.build_optimizers()
    return model


def _schedules(recipe, model, total_steps):
    """The schedules that a system's own parts ask for."""
    if not hasattr(model, "gradient_reversal"):
        return []
    ramp_steps = max(1, round(recipe.reversal_ramp * total_steps))
    return [ReversalSchedule(ramp_steps, recipe.reversal_strength)]
