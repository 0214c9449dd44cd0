"""Runs that are cut off, and what it means that two runs are equal."""

import keras
import numpy as np
import pytest

from mmkeras.training import Run, callbacks, train
from mmkeras.training.log import read_log

RANDOM = ["epochs=3", "augment_shift=2", "select=best", "deterministic=true"]  # the preset has both dropouts


def arrays(file):
    with np.load(file) as archive:
        return dict(archive)


def assert_equal_runs(resumed, whole):
    """Every variable of model, optimizer and metrics, the best epoch's too, and the log byte by byte."""
    for name in ("checkpoint.npz", "best.npz"):
        if not whole.file(name).exists():
            continue
        a, b = arrays(resumed.file(name)), arrays(whole.file(name))
        assert set(a) == set(b)
        assert [key for key in b if not np.array_equal(a[key], b[key])] == [], name
        groups = {key.partition("/")[0] for key in b}
        assert groups == {"model", "optimizers", "metrics", "step"}
    rows, expected = (read_log(run.file("log.csv")) for run in (resumed, whole))
    differ = [
        (row["epoch"], key, row[key], other.get(key))
        for row, other in zip(rows, expected, strict=True)
        for key in row
        if row[key] != other.get(key)
    ]
    assert resumed.file("log.csv").read_text() == whole.file("log.csv").read_text(), differ
    whole.load_model()  # Keras finds the classes that were imported: this imports them
    models = [keras.saving.load_model(run.file("model.keras")) for run in (resumed, whole)]
    # The states of random seeds are the checkpoint's: Keras does not keep them in its files.
    variables = [[*model.weights, *model.optimizer.variables] for model in models]
    assert len(variables[0]) > 40
    for a, b in zip(*variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)


def interrupt(run, monkeypatch, epoch, batch=None):
    """Train until the end of a batch of an epoch, or of the epoch itself, before anything is written of it."""
    method = "on_epoch_end" if batch is None else "on_train_batch_end"
    original = getattr(callbacks.Checkpoint, method)

    def end(self, index, logs=None):
        if self.step >= epoch * self.steps_per_epoch and index == (epoch if batch is None else batch):
            raise KeyboardInterrupt
        original(self, index, logs)

    with monkeypatch.context() as patched:
        patched.setattr(callbacks.Checkpoint, method, end)
        with pytest.raises(KeyboardInterrupt):
            train(run, verbose=0)
    return Run(run.folder)


def saved_step(folder):
    try:
        return int(arrays(folder / "checkpoint.npz")["step"])
    except FileNotFoundError:
        return 0
