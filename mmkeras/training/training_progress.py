"""`TrainingProgress`: how far a training is, while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras

from mmkeras.metrics.measures import find_measure
from mmkeras.progress import Progress, duration, tell

LONGEST_NAME = 21  # of a stage, with which the figures still have room in 80 columns


class TrainingProgress(keras.callbacks.Callback):
    """Report the steps of each epoch as a `Progress`, and tell the main figures in a line at its end.

    Both are seen within `showing_progress` alone. Within an epoch it reads nothing but the loss, which Keras has at
    hand. All other figures are in the log. Must stand behind what adds to the logs.

    Args:
        epochs: those of the whole training, in all of its stages.
        steps_per_epoch: steps of a whole epoch.
        first_step: the step that training starts at.
        monitor: key of the logs that is told beside the losses.
        clock: function that returns seconds.

    Attributes:
        stage: name of the stage that is trained, `""` where there is one alone.
    """

    def __init__(
        self,
        epochs: int,
        steps_per_epoch: int,
        first_step: int = 0,
        monitor: str = "val_rsum",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.first_step = first_step
        self.monitor = monitor
        self.clock = clock
        self.stage = ""
        self._seconds_each: float | None = None  # of an epoch with its validation
        self._bar: Progress | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._bar = Progress(
            self._title(epoch),
            self.steps_per_epoch,
            "step",
            done=max(0, self.first_step - epoch * self.steps_per_epoch),
            more=self.epochs - epoch - 1,
            seconds_each=self._seconds_each,
            clock=self.clock,
        )
        self._bar.__enter__()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._bar.advance()  # type: ignore[union-attr]  # an epoch has begun
        self._bar.note = f"loss {logs['loss']:.4g}"  # type: ignore[union-attr]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        bar: Any = self._bar
        bar.__exit__()
        if bar.rate is not None:  # without the first steps, which compile the training, and those before a resumption
            self._seconds_each = self.steps_per_epoch / bar.rate + bar.idle
        left = None if self._seconds_each is None else bar.more * self._seconds_each
        losses = [(f"{key} {logs[key]:.4g}", 1) for key in ("loss", "val_loss") if key in logs]
        monitored = []
        if self.monitor in logs:
            measure: Any = find_measure(self.monitor)
            monitored.append((f"{self.monitor} {logs[self.monitor]:{measure.form}}", 1))
        took = (f"{duration(bar.elapsed)}", 2)
        tell(
            (self._title(epoch), 0),
            *losses,
            *monitored,
            took,
            (f"{duration(left)} left" if bar.more and left else "", 3),
        )

    def _title(self, epoch):
        name = self.stage if len(self.stage) <= LONGEST_NAME else f"{self.stage[: LONGEST_NAME - 2]}.."
        return f"Epoch {epoch + 1}/{self.epochs}" + (f" ({name})" if name else "")
