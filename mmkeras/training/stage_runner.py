"""`StageRunner`: runs the stages of a recipe, one `fit` after the other, from wherever a run stands."""

import keras

from mmkeras.data.pipeline import (
    mismatched_batches,
    mismatched_steps_per_epoch,
    steps_per_epoch,
    training_batches,
    unpaired_batches,
    unpaired_steps_per_epoch,
)
from mmkeras.models.fused_adam import FusedAdam
from mmkeras.training.augmentation import augmentation
from mmkeras.training.callbacks import BestWeights, Checkpoint, EpochLog, FiniteLoss, RetrievalValidation, TrainingTime
from mmkeras.training.checkpoint import load_checkpoint, load_weights, metric_states, saved_step
from mmkeras.training.collapse_detector import CollapseDetector
from mmkeras.training.reversal_schedule import ReversalSchedule

# What a system trains on: its batches, how many make an epoch, and what says which epoch was the best.
SUPERVISION = {
    "pairs": (training_batches, steps_per_epoch, "val_rsum"),
    "categories": (unpaired_batches, unpaired_steps_per_epoch, "val_map"),
    "pairs_and_categories": (mismatched_batches, mismatched_steps_per_epoch, "val_map"),
}


class StageRunner:
    """Trains a model through all stages of a run's recipe, and picks up where a checkpoint says that it was left.

    Before each stage, outside `fit`, the model is told what to train, and compiled anew with optimizers of its own; the
    weights, the random states and the order of the data go on.

    Args:
        run: `Run`.
        model: the untrained model of its preset.
        load: function that returns two `PairedData`, to train on and to measure each epoch on, as the model takes them;
            `load(pixels=True)` for a stage that trains the backbone, where others may read its features.
        verbose: 0, 1 or 2, as in `keras.Model.fit`.
    """

    def __init__(self, run, model, load, verbose=0):
        self.run = run
        self.model = model
        self.load = load
        self.verbose = verbose
        self.recipe = run.recipe
        self.batches, steps_of, self.monitor = SUPERVISION[model.supervision]
        self.steps = steps_of(load()[0], self.recipe.batch_size)

    def train(self):
        """Train what is not trained yet, and leave the weights that the recipe selects in the model."""
        checkpoint = self.run.file("checkpoint.npz")
        done = saved_step(checkpoint)
        log = EpochLog(self.run.file("log.csv"), first_epoch=done // self.steps)
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
            if done < end:
                if self.verbose and self.recipe.stages:
                    print(f"Stage {position} of {len(self.recipe.stages)}: {stage.name}", flush=True)
                self._fit(stage, log, max(start, done), end)
            start = end
        if self.recipe.select == "best":
            load_weights(self.run.file("best.npz"), self.model)

    def _compile(self, stage):
        """Give the model the stage's optimizers, built and ready for a checkpoint."""
        recipe = self.recipe
        self.model.compile(
            FusedAdam(
                self._schedule(stage),
                beta_1=stage.adam_beta_1,
                weight_decay=recipe.weight_decay or None,
                global_clipnorm=recipe.gradient_clip or None,
            )
        )
        self.model.build_optimizers()

    def _schedule(self, stage):
        """The learning rate by the stage's own steps."""
        if stage.decay == "halving":
            period = stage.halving_epochs * self.steps
            return keras.optimizers.schedules.ExponentialDecay(stage.learning_rate, period, 0.5, staircase=True)
        total = stage.epochs * self.steps
        warmup = min(stage.warmup_steps, total - 1)
        return keras.optimizers.schedules.CosineDecay(
            0.0,
            total - warmup,
            alpha=stage.final_learning_rate / stage.learning_rate,
            warmup_target=stage.learning_rate,
            warmup_steps=warmup,
        )

    def _fit(self, stage, log, first_step, end):
        steps, recipe = self.steps, self.recipe
        data, validation = self.load(pixels=True) if "image_backbone" in stage.trains else self.load()
        callbacks = self._callbacks(stage, log, first_step, validation)
        # An epoch that was cut off is finished by a fit of its own, whose epoch is as long as what is left of it.
        next_epoch = -(-first_step // steps)
        for fit_start, fit_end in ((first_step, next_epoch * steps), (next_epoch * steps, end)):
            if fit_start < fit_end:
                self.model.fit(
                    self.batches(
                        data,
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
                    verbose=self.verbose,
                    shuffle=False,
                )

    def _callbacks(self, stage, log, first_step, validation):
        run, model, recipe = self.run, self.model, self.recipe
        log.stage = stage.name if recipe.stages else None
        callbacks = [FiniteLoss()]
        if "embedding_spread" in getattr(model, "trackers", ()):
            callbacks.append(CollapseDetector())
        callbacks += [RetrievalValidation(validation)]
        if hasattr(model, "gradient_reversal"):
            ramp_steps = max(1, round(stage.reversal_ramp * stage.epochs * self.steps))
            callbacks.append(ReversalSchedule(ramp_steps, stage.reversal_strength))
        callbacks += [
            log,
            keras.callbacks.TensorBoard(str(run.file("tensorboard")), write_graph=False, update_freq="epoch"),
        ]
        if recipe.select == "best":
            best = max((row[self.monitor] for row in log.rows), default=float("-inf"))
            callbacks.append(BestWeights(run.file("best.npz"), self.monitor, best))
        states = metric_states(model) if first_step % self.steps else None
        callbacks.append(
            Checkpoint(run.file("checkpoint.npz"), self.steps, recipe.checkpoint_steps, first_step, states)
        )
        callbacks.append(TrainingTime(run))
        return callbacks
