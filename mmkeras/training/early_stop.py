"""`EarlyStop`: a training ends when held-out data have not got better for some epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from mmkeras.training.callbacks import EpochLog


class EarlyStop(keras.callbacks.Callback):
    """Stop after an epoch when the last ones were none of them better than those before.

    Unlike `keras.callbacks.EarlyStopping` it goes by the whole log, that of epochs before a run was resumed too. Must
    stand behind the log and the checkpoint.

    Args:
        log: `EpochLog`.
        monitor: key of its rows, higher is better.
        patience: epochs.
    """

    def __init__(self, log: EpochLog, monitor: str, patience: int) -> None:
        super().__init__()
        self.log = log
        self.monitor = monitor
        self.patience = patience

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if is_exhausted(self.log.rows, self.monitor, self.patience):
            self.model.stop_training = True


def is_exhausted(rows: Sequence[Mapping[str, Any]], monitor: str, patience: int) -> bool:
    """Return whether the last `patience` epochs were none of them better than the best before; never with 0.

    Args:
        rows: of a log, one an epoch.
        monitor: key of a figure, higher is better.
        patience: epochs, 0 or more.
    """
    values = [row[monitor] for row in rows]
    return 0 < patience < len(values) and max(values[-patience:]) <= max(values[:-patience])
