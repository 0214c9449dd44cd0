"""Callbacks of a run: validation by retrieval, the log, checkpoints that resume exactly, the best weights, the time."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmkeras.atomic import replacing_file
from mmkeras.data.paired import PairedData
from mmkeras.errors import MmkerasError
from mmkeras.metrics.measures import VALIDATION, find_measure
from mmkeras.metrics.retrieval import mean_average_precision, retrieval_metrics
from mmkeras.training.checkpoint import restore_metric_states, save_checkpoint
from mmkeras.training.log import read_log
from mmkeras.training.run import Run


class FiniteLoss(keras.callbacks.Callback):
    """Stop with an error after an epoch whose loss is no number: neither its row nor its weights are kept.

    Must stand before the callbacks that keep them.

    Raises:
        MmkerasError: the loss is NaN or infinite.
    """

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not math.isfinite(logs["loss"]):
            raise MmkerasError(
                f"Training diverged: the loss of epoch {epoch} is {logs['loss']}. Start a new run with a lower "
                "learning_rate, more warmup_steps or a smaller gradient_clip"
            )


class RetrievalValidation(keras.callbacks.Callback):
    """Measure retrieval on held-out data after each epoch and add it to the logs.

    Must stand before the callbacks that read it. Where the data are paired the logs get `val_image_to_text_recall@1`,
    `val_text_to_image_recall@1` (fractions) and `val_rsum` (0 to 600); where they have categories
    `val_image_to_text_map`, `val_text_to_image_map` and their mean `val_map` (fractions).

    Args:
        data: `PairedData`; its pictures, one an item, and its texts are queries and gallery.

    Attributes:
        image_embedding: float32 (P, D), of the last epoch; `None` before.
        text_embedding: float32 (T, D), the same.
    """

    def __init__(self, data: PairedData) -> None:
        super().__init__()
        self.data = data.one_image_an_item()
        self.image_embedding: Any = None
        self.text_embedding: Any = None

    def measure(self) -> dict[str, float]:
        """Return what the model retrieves now: what `retrieval_metrics` measures, and mAP by category."""
        data = self.data
        self.image_embedding = image = self.model.encode_image(data.images)
        self.text_embedding = text = self.model.encode_text(data.encodable_texts)
        measured = {}
        if data.paired:
            measured |= retrieval_metrics(image, text, data.image_id, data.text_image_id)
        if data.label is not None and data.text_label is not None:
            there = mean_average_precision(image, text, data.label, data.text_label)
            back = mean_average_precision(text, image, data.text_label, data.label)
            measured |= {"image_to_text_map": there, "text_to_image_map": back, "map": (there + back) / 2}
        return measured

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        by_category = ("image_to_text_map", "text_to_image_map", "map")
        logs |= {
            f"{VALIDATION}{key}": value
            for key, value in self.measure().items()
            if key in by_category or find_measure(key).main
        }


class ValidationLoss(keras.callbacks.Callback):
    """Measure the model's own loss on batches of held-out data after each epoch, and add it to the logs as `val_loss`.

    Beside the training loss it shows what is learnt by heart. Batches are the same ones after each epoch. Whatever the
    loss draws (negatives, masks), the random states are put back, so that training goes on as if it had not been asked.

    Args:
        batches: `tf.data.Dataset`, endless, as those of the training.
        steps: batches to measure on.
    """

    def __init__(self, batches: tf.data.Dataset, steps: int) -> None:
        super().__init__()
        self.batches = batches.take(steps)

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)

        @tf.function
        def loss_of(batch):
            return model.compute_losses(batch, model(batch, training=False), training=False)["loss"]

        self._loss_of = loss_of

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        states = [(variable, variable.numpy()) for variable in self.model.non_trainable_variables if _is_seed(variable)]
        logs["val_loss"] = float(np.mean([self._loss_of(batch).numpy() for batch in self.batches]))
        for variable, value in states:
            variable.assign(value)


def _is_seed(variable):
    return "seed_generator" in variable.path


class EpochLog(keras.callbacks.Callback):
    """Keep `log.csv`, a row an epoch, whole at any time.

    Unlike `keras.callbacks.CSVLogger` it drops, on resuming, rows of epochs that are trained again.

    Args:
        file: the CSV file.
        first_epoch: rows of this epoch and later ones are dropped.

    Attributes:
        stage: name that stands in the rows to come, or `None` for a log without stages.
    """

    def __init__(self, file: str | os.PathLike[str], first_epoch: int = 0) -> None:
        super().__init__()
        self.file = file
        self.rows = [row for row in read_log(file) if row["epoch"] < first_epoch]
        self.stage: str | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        stage = {"stage": self.stage} if self.stage else {}
        self.rows.append({"epoch": epoch, **stage, **logs, **_learning_rates(self.model)})
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        with replacing_file(self.file) as beside, open(beside, "w", newline="") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(self.rows)


def _learning_rates(model):
    """The rates of the optimizers that move something: `learning_rate`, the first one's, and those that differ."""
    rates = {
        role: float(keras.ops.convert_to_numpy(model.optimizers[role].learning_rate))
        for role, moved in model.optimizer_roles(model.optimizers).items()
        if moved
    }
    first = next(iter(rates.values()))
    others = {f"{role}_learning_rate": rate for role, rate in rates.items() if rate != first}
    return {"learning_rate": first, **others}


class Checkpoint(keras.callbacks.Callback):
    """Write a checkpoint every so many steps and at the end of each epoch.

    When training resumes within an epoch it also puts the metrics' states back, after `fit` has reset them, so that
    the epoch's row in the log covers all of its steps.

    Args:
        file: the checkpoint, `.npz`.
        steps_per_epoch: steps of a whole epoch.
        every: steps between two checkpoints.
        first_step: the step that training starts at.
        states: `metric_states` to restore in the first epoch, or `None`.
    """

    def __init__(
        self,
        file: str | os.PathLike[str],
        steps_per_epoch: int,
        every: int,
        first_step: int = 0,
        states: Sequence[NDArray[Any]] | None = None,
    ) -> None:
        super().__init__()
        self.file = file
        self.steps_per_epoch = steps_per_epoch
        self.every = every
        self.step = first_step
        self.states = states

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self.states is not None:
            restore_metric_states(self.model, self.states)
            self.states = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.step += 1
        # The last batch of an epoch is left to on_epoch_end: its checkpoint must follow the epoch's row in the log.
        if self.step % self.every == 0 and self.step % self.steps_per_epoch:
            save_checkpoint(self.file, self.model, self.step)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        save_checkpoint(self.file, self.model, self.step)


class BestWeights(keras.callbacks.Callback):
    """Keep a checkpoint of the epoch with the highest value of one log entry.

    Args:
        file: the checkpoint, `.npz`.
        monitor: key of the logs, higher is better.
        best: the highest value so far, when training resumes.
    """

    def __init__(self, file: str | os.PathLike[str], monitor: str = "val_rsum", best: float = float("-inf")) -> None:
        super().__init__()
        self.file = file
        self.monitor = monitor
        self.best = best

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs[self.monitor] > self.best:
            self.best = logs[self.monitor]
            save_checkpoint(self.file, self.model, epoch)


class TrainingTime(keras.callbacks.Callback):
    """Add up the wall time of the epochs in `run.json`, as `training_seconds`; a resumed run goes on with its sum.

    Must stand behind all others: an epoch's time is that of its steps, with what they compile, of its validation and of
    its checkpoint. What an epoch took until it was cut off is lost; its rest counts, once it is resumed.

    Args:
        run: `Run`.
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.start = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        before = self.run.info.get("training_seconds")
        if before is not None:  # a run that an older version began does not know its sum
            self.run.update(training_seconds=round(before + time.perf_counter() - self.start, 3))
