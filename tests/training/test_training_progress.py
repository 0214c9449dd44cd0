"""What a person reads of a training: where it is, in how many epochs, and when it ends."""

import keras
import numpy as np
import pytest

from mmkeras import progress
from mmkeras.training.training_progress import TrainingProgress


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Shown:
    """A display that keeps what it is given."""

    def __init__(self):
        self.running, self.told = [], []

    def add(self, one):
        self.running.append(one)

    def remove(self, one):
        self.running.remove(one)

    def columns(self):
        return 80

    def say(self, line):
        self.told.append(line)


@pytest.fixture
def shown(monkeypatch):
    display = Shown()
    token = progress._DISPLAY.set(display)
    yield display
    progress._DISPLAY.reset(token)


def steps(callback, clock, number, seconds, loss=2.5):
    for step in range(number):
        clock.now += seconds
        callback.on_train_batch_end(step, {"loss": loss})


def test_an_epoch_tells_its_step_its_loss_and_both_times_left(shown):
    clock = Clock()
    callback = TrainingProgress(3, 10, clock=clock)
    callback.on_epoch_begin(0)
    clock.now += 58  # the first step compiles
    steps(callback, clock, 6, 2.0)
    assert shown.running[-1].line() == "Epoch 1/3  6/10 steps  60%  loss 2.5  2.0s/step  8s left  48s to the end"
    steps(callback, clock, 4, 2.0)
    clock.now += 5  # validation
    callback.on_epoch_end(0, {"loss": 2.51234, "val_loss": 3.21987, "val_rsum": 412.34, "modality_loss": 1.0})
    # 10 steps of 2 seconds and 5 of validation, twice
    assert shown.told == ["Epoch 1/3  loss 2.512  val_loss 3.22  val_rsum 412.3  1m23s  50s left"]
    assert shown.running == []
    callback.on_epoch_begin(1)
    assert shown.running[-1].line() == "Epoch 2/3  0/10 steps  0%  0s so far  50s to the end"
    steps(callback, clock, 5, 4.0)
    assert shown.running[-1].line().endswith("20s left  45s to the end")


def test_a_resumed_epoch_goes_on_at_its_step(shown):
    clock = Clock()
    callback = TrainingProgress(3, 10, first_step=17, clock=clock)
    callback.on_epoch_begin(1)
    steps(callback, clock, 2, 3.0)
    assert shown.running[-1].line() == "Epoch 2/3  9/10 steps  90%  loss 2.5  3.0s/step  3s left  33s to the end"
    steps(callback, clock, 1, 3.0)
    callback.on_epoch_end(1, {"loss": 2.5})
    assert shown.told == ["Epoch 2/3  loss 2.5  9s  30s left"]
    callback.on_epoch_begin(2)
    assert shown.running[-1].done == 0
    steps(callback, clock, 10, 3.0)
    callback.on_epoch_end(2, {"loss": 2.5})
    assert shown.told[-1] == "Epoch 3/3  loss 2.5  30s"


def test_lines_of_the_longest_names_and_figures_fit_a_terminal(shown):
    clock = Clock()
    callback = TrainingProgress(120, 1234, monitor="val_map", clock=clock)
    callback.stage = "modality_classifier_alone"
    logs = dict.fromkeys(["category_loss", "modality_loss", "modality_accuracy", "gradient_ratio"], 123.456789)
    callback.on_epoch_begin(99)
    steps(callback, clock, 1000, 44.0, loss=1234.56789)
    line = shown.running[-1].line(80)
    assert len(line) <= 80 and line.startswith("Epoch 100/120 (modality_classifier..)  1,000/1,234 steps")
    callback.on_epoch_end(99, logs | {"loss": 1234.56789, "val_loss": 2345.6789, "val_map": 0.98765})
    assert shown.told == ["Epoch 100/120 (modality_classifier..)  loss 1235  val_loss 2346  val_map 0.988"]


def test_a_training_without_a_display_is_silent(capsys):
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    callback = TrainingProgress(2, 3)
    model.fit(np.ones((6, 2)), np.ones(6), batch_size=2, epochs=2, verbose=0, callbacks=[callback])
    assert capsys.readouterr().out == ""
