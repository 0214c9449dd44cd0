"""`StageRunner`: runs the stages of a recipe, one `fit` after the other, from wherever a run stands."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from mmkeras.data.pipeline import (
    mismatched_batches,
    mismatched_steps_per_epoch,
    steps_per_epoch,
    training_batches,
    unpaired_batches,
    unpaired_steps_per_epoch,
)
from mmkeras.data.stored_pictures import StoredPictures
from mmkeras.errors import MmkerasError
from mmkeras.models.adapters import adapters_are_trained
from mmkeras.models.image_text_model import ImageTextModel
from mmkeras.models.role_model import BACKBONES
from mmkeras.printable import mmkeras_command
from mmkeras.progress import tell
from mmkeras.training.augmentation import augmentation
from mmkeras.training.before_training import before_training_line, measure_before_training
from mmkeras.training.callbacks import (
    BestWeights,
    Checkpoint,
    EpochLog,
    FiniteLoss,
    RetrievalValidation,
    TrainingTime,
    ValidationLoss,
)
from mmkeras.training.checkpoint import load_checkpoint, load_weights, metric_states, saved_step
from mmkeras.training.collapse_detector import CollapseDetector
from mmkeras.training.early_stop import EarlyStop, is_exhausted
from mmkeras.training.hparams import write_figures, write_settings
from mmkeras.training.optimizer_settings import OptimizerSettings
from mmkeras.training.retrieved_pictures import RetrievedPictures
from mmkeras.training.reversal_schedule import ReversalSchedule
from mmkeras.training.run import Run
from mmkeras.training.run_data import RunData
from mmkeras.training.training_progress import TrainingProgress
from mmkeras.unreadable_pictures import UnreadablePictures


class _Supervision(NamedTuple):
    """What a system trains on: its batches, how many make an epoch, and what says which epoch was the best."""

    batches: Callable  # of `mmkeras.data.pipeline`, and so the next
    steps_per_epoch: Callable
    monitor: str  # a column of the log, higher is better


SUPERVISION = {
    "pairs": _Supervision(training_batches, steps_per_epoch, "val_rsum"),
    "categories": _Supervision(unpaired_batches, unpaired_steps_per_epoch, "val_map"),
    "pairs_and_categories": _Supervision(mismatched_batches, mismatched_steps_per_epoch, "val_map"),
}

VALIDATION_STEPS = 8  # batches of held-out data whose loss is measured after an epoch


class StageRunner:
    """Trains a model through all stages of a run's recipe, and picks up where a checkpoint says that it was left.

    Before each stage, outside `fit`, the model is told what to train, and compiled anew with optimizers of its own; the
    weights, the random states and the order of the data go on.

    Args:
        run: `Run`.
        model: the untrained model of its preset.
        data: `RunData`.

    Attributes:
        notes: list of what is done otherwise than the settings say, a sentence each.

    Raises:
        MmkerasError: a stage that the model cannot train, or settings that reach nothing in it.
    """

    def __init__(self, run: Run, model: ImageTextModel, data: RunData) -> None:
        self.run = run
        self.model = model
        self.data = data
        self.recipe = run.recipe
        self.supervision = SUPERVISION[model.supervision]
        self.steps = self.supervision.steps_per_epoch(data.train, self.recipe.batch_size)
        self.notes: list[str] = []
        self._check_stages()

    def train(self) -> None:
        """Train what is not trained yet, and leave the weights that the recipe selects in the model."""
        checkpoint = self.run.file("checkpoint.npz")
        done = saved_step(checkpoint)
        log = EpochLog(self.run.file("log.csv"), first_epoch=done // self.steps)
        epochs = sum(stage.epochs for stage in self.recipe.training_stages)
        shown = TrainingProgress(epochs, self.steps, done, self.supervision.monitor)
        write_settings(self.run.file("tensorboard"), self.run.info["recipe"], self.run.info["settings"])
        start = 0
        for position, stage in enumerate(self.recipe.training_stages, 1):
            end = start + stage.epochs * self.steps
            self.model.set_stage(stage.trains, **stage.arguments)  # of one that is over too: its arguments hold on
            if not stage.epochs:
                continue
            # A stage that ended with the checkpoint is entered too: its optimizers are what the checkpoint holds.
            if done <= end:
                self._compile(stage)
                if start < done:
                    load_checkpoint(checkpoint, self.model)
            if done < end and not is_exhausted(log.rows, self.supervision.monitor, self.recipe.patience):
                if not max(start, done):
                    self._measure_start(stage)
                if self.recipe.stages:
                    shown.stage = stage.name
                    tell((f"Stage {position} of {len(self.recipe.stages)}: {stage.name}", 0))
                self._fit(stage, [log, shown], max(start, done), end)
            start = end
        best = self.recipe.select == "best"
        if best:
            load_weights(self.run.file("best.npz"), self.model)
        write_figures(self.run.file("tensorboard"), log.rows, self.supervision.monitor if best else "")

    def _check_stages(self):
        """Go through all stages before the first, so that a mistake in the last does not cost a training.

        Raises:
            MmkerasError: parts or arguments that the model does not have, roles that it does not have, or settings that
                reach no optimizer.
        """
        before = self.model.stage_settings()
        reached, active, tuned = set(), set(), False
        for stage in self.recipe.training_stages:
            self.model.set_stage(stage.trains, **stage.arguments)
            if stage.epochs:
                reached |= self._reached(stage)
                active |= set(_active(self.model, stage))
                tuned |= bool(self.recipe.lora_rank) and adapters_are_trained(self.model)
                self._note_warmup(stage)
        self.model.restore_stage(before)
        written = self.recipe.given.get("", set())
        names = {field.name for field in dataclasses.fields(OptimizerSettings)}
        if lost := sorted((written & names) - reached):
            raise MmkerasError(
                f"{lost[0]} reaches no optimizer: every stage that trains has its own, or a table of optimizers that "
                f"gives it. Leave {lost[0]} out, or change it there"
            )
        tables = {role for stage in self.recipe.training_stages if stage.epochs for role in stage.optimizers}
        if self.recipe.lora_rank and not tuned:
            raise MmkerasError(
                "lora_rank reaches nothing: no stage trains a pretrained network. Put image_backbone or text_backbone "
                "into the trains of a stage, or leave lora_rank out"
            )
        if BACKBONES in tables - active:
            raise MmkerasError(
                f"optimizers.{BACKBONES} reaches nothing: no stage trains a pretrained network. Put image_backbone or "
                f"text_backbone into the trains of a stage, or leave optimizers.{BACKBONES} out"
            )
        if self.model.adversary is None and (lost := sorted(written & {"reversal_strength", "reversal_ramp"})):
            raise MmkerasError(
                f"{lost[0]} reaches nothing: {type(self.model).__name__} has no modality classifier. Leave it out"
            )

    def _note_warmup(self, stage):
        total = stage.epochs * self.steps
        for role in _active(self.model, stage):
            settings = stage.of_role(role)
            if settings.decay == "cosine" and not settings.warmup_share and settings.warmup_steps >= total:
                of_stage = f" of {stage.name}" if self.recipe.stages else ""
                note = (
                    f"Warm-up: {settings.warmup_steps} steps are no fewer than the {total} of the training{of_stage}; "
                    f"it takes {settings.warmup_of(total)}, a tenth. To choose it, write warmup_steps"
                )
                self.notes += [] if note in self.notes else [note]

    def _reached(self, stage):
        """The recipe's own settings that an optimizer of the stage goes by, names."""
        model = self.model
        roles = model.optimizer_roles(stage.optimizers)
        if unknown := sorted(set(stage.optimizers) - set(roles)):
            raise MmkerasError(
                f"Expected optimizers of roles of {type(model).__name__}: {', '.join(roles)}. "
                f"Received: optimizers.{unknown[0]}"
            )
        active = _active(model, stage)
        own = self.recipe.given.get(stage.name, set())
        names = {field.name for field in dataclasses.fields(OptimizerSettings)}
        beside = {name for name in names if any(name not in stage.optimizers.get(role, {}) for role in active)}
        if lost := sorted((own & names) - beside):
            raise MmkerasError(
                f"stages.{stage.name}.{lost[0]} reaches no optimizer: the stage trains by {', '.join(active)} alone, "
                f"whose {lost[0]} stands in optimizers.{active[0]}. Change it there, or in "
                f"stages.{stage.name}.optimizers.{active[0]}"
            )
        return beside - own

    def _compile(self, stage):
        """Give the model the stage's optimizers, built and ready for a checkpoint."""
        roles = self.model.optimizer_roles(stage.optimizers)
        optimizers = {role: stage.of_role(role).build(stage.epochs, self.steps) for role in roles}
        self.model.compile(optimizers=optimizers)

    def _measure_start(self, stage):
        """Measure what the model retrieves before its first step, tell it, and keep it in `run.json`."""
        _, dev = self._splits(stage)
        measured = measure_before_training(self.model, dev)
        self.run.update(before_training=measured)
        tell((before_training_line(measured), 0))

    def _fit(self, stage, lasting, first_step, end):
        train, dev = self._splits(stage)
        callbacks = self._callbacks(stage, *lasting, first_step, dev)
        try:
            self._fit_to(stage, callbacks, train, first_step, end)
        except (tf.errors.OpError, UnreadablePictures) as error:
            if not (reason := _unreadable(error, train, dev)):
                raise
            raise MmkerasError(
                f"A picture changed while the run was training on it: {reason}. Restore it, then go on with: "
                f"{mmkeras_command('train', '--resume', self.run.folder)}"
            ) from error

    def _splits(self, stage):
        """Training and dev split as a stage takes them: no features of a network stand for what it is trained on."""
        pixels, strings = (self._has_trained(f"{modality}_backbone", stage) for modality in ("image", "text"))
        return self.data.splits(pixels, strings)

    def _has_trained(self, part, stage):
        """Whether a stage or one before it trains a part: what that made of the data before does not hold any more."""
        stages = list(self.recipe.training_stages)
        return any(part in each.trains for each in stages[: stages.index(stage) + 1] if each.epochs)

    def _fit_to(self, stage, callbacks, train, first_step, end):
        steps, recipe = self.steps, self.recipe
        # An epoch that was cut off is finished by a fit of its own, whose epoch is as long as what is left of it.
        next_epoch = -(-first_step // steps)
        for fit_start, fit_end in ((first_step, next_epoch * steps), (next_epoch * steps, end)):
            if fit_start < fit_end:
                self.model.fit(
                    self.supervision.batches(
                        train,
                        recipe.batch_size,
                        recipe.seed,
                        text_preprocessor=self.model.text_preprocessor,
                        augment=augmentation(recipe, stage),
                        first_step=fit_start,
                    ),
                    initial_epoch=fit_start // steps,
                    epochs=fit_end // steps,
                    steps_per_epoch=min(steps, fit_end - fit_start),
                    callbacks=callbacks,
                    verbose=0,  # `TrainingProgress` tells, in lines that a terminal has room for
                    shuffle=False,
                )

    def _validation_loss(self, data):
        """A `ValidationLoss` on a few batches of held-out data, no larger than the training's; none of too few data."""
        for batch_size in (self.recipe.batch_size, len(data.pairs) or len(data.texts)):
            try:
                steps = self.supervision.steps_per_epoch(data, batch_size)
                preprocessor = self.model.text_preprocessor
                batches = self.supervision.batches(data, batch_size, self.recipe.seed, text_preprocessor=preprocessor)
                return [ValidationLoss(batches, min(steps, VALIDATION_STEPS))]
            except MmkerasError:  # fewer than one batch
                continue
        return []

    def _callbacks(self, stage, log, shown, first_step, validation):
        run, model, recipe = self.run, self.model, self.recipe
        log.stage = stage.name if recipe.stages else None
        callbacks = [FiniteLoss()]
        if "embedding_spread" in model.trackers:
            callbacks.append(CollapseDetector())
        retrieval = RetrievalValidation(validation)
        callbacks += [retrieval, *self._validation_loss(validation)]
        if model.adversary is not None:
            ramp_steps = max(1, round(stage.reversal_ramp * stage.epochs * self.steps))
            callbacks.append(ReversalSchedule(ramp_steps, stage.reversal_strength))
        callbacks += [
            log,
            keras.callbacks.TensorBoard(str(run.file("tensorboard")), write_graph=False, update_freq="epoch"),
            RetrievedPictures(
                run.file("tensorboard") / "validation", retrieval, by_category=self.supervision.monitor == "val_map"
            ),
        ]
        if recipe.select == "best":
            best = max((row[self.supervision.monitor] for row in log.rows), default=float("-inf"))
            callbacks.append(BestWeights(run.file("best.npz"), self.supervision.monitor, best))
        states = metric_states(model) if first_step % self.steps else None
        callbacks.append(
            Checkpoint(run.file("checkpoint.npz"), self.steps, recipe.checkpoint_steps, first_step, states)
        )
        if recipe.patience:
            callbacks.append(EarlyStop(log, self.supervision.monitor, recipe.patience))
        callbacks += [shown, TrainingTime(run)]
        return callbacks


def _active(model, stage):
    """The names of the optimizers that move something in a stage, for which the model is set."""
    return [role for role, moved in model.optimizer_roles(stage.optimizers).items() if moved]


def _unreadable(error, *splits):
    """Why pictures of some data could not be read, where an error in the middle of a training came of that; or `""`."""
    if isinstance(error, UnreadablePictures):
        return str(error)
    stored = [data.images for data in splits if isinstance(data.images, StoredPictures)]
    return next(filter(None, (pictures.why_unreadable() for pictures in stored)), "")
