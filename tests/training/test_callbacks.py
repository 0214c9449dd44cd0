"""Callbacks of a run, each on its own."""

import csv
import types

import keras
import numpy as np
import pytest

from mmkeras.data import PairedData
from mmkeras.errors import MmkerasError
from mmkeras.training import callbacks
from mmkeras.training.callbacks import (
    BestWeights,
    Checkpoint,
    EpochLog,
    FiniteLoss,
    RetrievalValidation,
    TrainingTime,
)
from mmkeras.training.log import read_log


def with_model(callback, **attributes):
    callback.set_model(types.SimpleNamespace(**attributes))
    return callback


@pytest.fixture
def saved(monkeypatch):
    """The (file name, step) of every checkpoint that a callback asks for; none is written."""
    calls = []
    monkeypatch.setattr(callbacks, "save_checkpoint", lambda file, model, step: calls.append((file, step)))
    return calls


def test_retrieval_validation_takes_one_picture_an_item():
    data = PairedData(
        name="toy",
        images=np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32),
        texts=["first", "second"],
        image_id=np.array([5, 5, 6]),
        text_image_id=np.array([5, 6]),
        pairs=np.array([[0, 0], [1, 0], [2, 1]], np.int32),
    )
    callback = with_model(
        RetrievalValidation(data),
        encode_image=lambda images: images,
        # The first text finds the second picture of item 5 only, which does not take part; it ranks 6 first.
        encode_text=lambda texts: np.array([[0.6, 0.8], [0, 1]], np.float32)[: len(texts)],
    )
    logs = {"loss": 1.0}
    callback.on_epoch_end(0, logs)
    assert logs["val_image_to_text_recall@1"] == 1.0
    assert logs["val_text_to_image_recall@1"] == 0.5
    assert logs["val_rsum"] == pytest.approx(100 * (1 + 1 + 1 + 0.5 + 1 + 1))


def epoch_log(file, **arguments):
    optimizers = {"main": keras.optimizers.SGD(0.25)}
    moved = {"optimizer_roles": lambda given: {role: [role] for role in given}}  # one variable each
    return with_model(EpochLog(file, **arguments), optimizers=optimizers, **moved)


def test_the_log_tells_the_rates_of_the_optimizers_that_move_something(tmp_path):
    log = epoch_log(tmp_path / "log.csv")
    log.model.optimizers |= {role: keras.optimizers.SGD(rate) for role, rate in (("same", 0.25), ("other", 0.5))}
    log.on_epoch_end(0, {"loss": 1.0})
    log.model.optimizer_roles = lambda given: {role: [role] if role == "other" else [] for role in given}
    log.on_epoch_end(1, {"loss": 1.0})
    assert read_log(tmp_path / "log.csv") == [
        {"epoch": 0, "loss": 1.0, "learning_rate": 0.25, "other_learning_rate": 0.5},
        {"epoch": 1, "loss": 1.0, "learning_rate": 0.5},
    ]


def test_the_log_has_a_row_an_epoch_and_is_whole_after_each(tmp_path):
    file = tmp_path / "log.csv"
    log = epoch_log(file)
    for epoch in range(3):
        log.on_epoch_end(epoch, {"loss": 0.1 * epoch, "val_rsum": np.float32(60)})
        with open(file, newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert [int(row["epoch"]) for row in rows] == list(range(epoch + 1))
    assert rows[2]["learning_rate"] == "0.25"
    assert list(tmp_path.iterdir()) == [file]
    assert read_log(file)[2] == {"epoch": 2, "loss": 0.1 * 2, "val_rsum": 60.0, "learning_rate": 0.25}


def test_a_resumed_log_drops_what_is_trained_again_and_equals_an_uninterrupted_one(tmp_path):
    file, whole = tmp_path / "log.csv", tmp_path / "whole.csv"
    log = epoch_log(whole)
    for epoch in range(4):
        log.on_epoch_end(epoch, {"loss": 1 / (epoch + 3)})
    log = epoch_log(file)
    for epoch in range(3):
        log.on_epoch_end(epoch, {"loss": 1 / (epoch + 3)})
    log = epoch_log(file, first_epoch=1)
    for epoch in range(1, 4):
        log.on_epoch_end(epoch, {"loss": 1 / (epoch + 3)})
    assert file.read_bytes() == whole.read_bytes()


def test_checkpoints_fall_on_every_nth_step_and_on_the_ends_of_epochs(saved):
    callback = with_model(Checkpoint("c", steps_per_epoch=6, every=3))
    for epoch in range(2):
        callback.on_epoch_begin(epoch)
        for batch in range(6):
            callback.on_train_batch_end(batch)
        callback.on_epoch_end(epoch)
    # Step 6 is written once, by the end of the epoch, after the callbacks before it wrote the log.
    assert saved == [("c", 3), ("c", 6), ("c", 9), ("c", 12)]


def test_a_resumed_epoch_gets_its_metrics_back_once(saved, monkeypatch):
    restored = []
    monkeypatch.setattr(callbacks, "restore_metric_states", lambda model, states: restored.append(states))
    callback = with_model(Checkpoint("c", 6, every=2, first_step=3, states=["sums"]))
    callback.on_epoch_begin(0)
    for batch in range(3):
        callback.on_train_batch_end(batch)
    callback.on_epoch_end(0)
    callback.on_epoch_begin(1)
    assert restored == [["sums"]]
    assert saved == [("c", 4), ("c", 6)]


def test_best_weights_are_kept_of_the_first_of_equal_epochs(saved):
    callback = with_model(BestWeights("best"))
    for epoch, value in enumerate([3.0, 5.0, 5.0, 4.0, float("nan"), 6.0]):
        callback.on_epoch_end(epoch, {"val_rsum": value})
    assert saved == [("best", 0), ("best", 1), ("best", 5)]
    resumed = with_model(BestWeights("best", best=6.0))
    resumed.on_epoch_end(6, {"val_rsum": 5.5})
    assert len(saved) == 3


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_training(loss):
    FiniteLoss().on_epoch_end(0, {"loss": 1.0})
    with pytest.raises(MmkerasError, match="diverged: the loss of epoch 3 is .* a lower learning_rate"):
        FiniteLoss().on_epoch_end(3, {"loss": loss})


class WrittenDown:
    """A run whose `run.json` is a list of what was written into it."""

    def __init__(self, **info):
        self.info, self.written = info, []

    def update(self, **entries):
        self.info.update(entries)
        self.written.append(entries)


def test_the_time_of_epochs_adds_up_and_a_cut_off_one_is_lost(monkeypatch):
    clock = iter([10.0, 12.5, 20.0, 23.0, 100.0, 200.0, 200.25])
    monkeypatch.setattr(callbacks.time, "perf_counter", lambda: next(clock))
    run = WrittenDown(training_seconds=0.0)
    callback = TrainingTime(run)
    for epoch in range(2):
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch)
    callback.on_epoch_begin(2)  # at 100: killed in it
    resumed = TrainingTime(run)
    resumed.on_epoch_begin(2)
    resumed.on_epoch_end(2)
    assert run.written == [{"training_seconds": 2.5}, {"training_seconds": 5.5}, {"training_seconds": 5.75}]


def test_a_run_of_an_older_version_keeps_no_part_of_its_time():
    run = WrittenDown()
    callback = TrainingTime(run)
    callback.on_epoch_begin(3)
    callback.on_epoch_end(3)
    assert run.written == []
