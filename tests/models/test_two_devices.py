"""On two devices each system measures and becomes what it does on one: what the program `two_devices` prints."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.errors import MmkerasError

from .two_devices import CASES

QUICK = ("contrast",)


def compared(names, repository):
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.two_devices", *names], cwd=repository, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [each["name"] for each in found] == list(names)
    for each in found:
        one, two = each["one"], each["two"]
        assert set(one["logs"]) == set(two["logs"]) >= {"loss", "evaluated"}
        for name, values in one["logs"].items():
            np.testing.assert_allclose(two["logs"][name], values, rtol=2e-5, err_msg=f"{each['name']}: {name}")
        for (path, values), (_, others) in zip(one["weights"], two["weights"], strict=True):
            np.testing.assert_allclose(others, values, rtol=1e-4, atol=1e-5, err_msg=f"{each['name']}: {path}")
        assert one["logs"]["loss"][0] != one["logs"]["loss"][-1]


def test_two_devices_contrast_the_whole_batch(repository):
    compared(QUICK, repository)


@pytest.mark.slow
def test_two_devices_train_every_system_as_one_does(repository):
    compared([name for name in CASES if name not in QUICK], repository)


def test_what_several_devices_do_not_do_is_refused(repository):
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.two_devices", "refusals"], cwd=repository, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    jit, accumulation, hub, rows, single, machines = done.stdout.splitlines()
    assert "Expected jit_compile=False where several devices train" in jit
    assert "Expected no gradient_accumulation_steps where several devices train" in accumulation
    assert "Expected another network than a hub module where several devices train" in hub
    assert "Expected batches of as many rows on each of 2 devices, of a size that is known beforehand" in rows
    assert "Expected fit where several devices train: train_on_batch would give each the whole batch" in single
    assert "Expected a tf.distribute.MirroredStrategy. Received: CollectiveAllReduce" in machines
    assert "keras#20329" in machines


def test_a_model_from_outside_the_scope_is_refused(model):
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        with pytest.raises(MmkerasError, match="Expected a model that was made in the scope of the strategy"):
            model.compile()
    model.compile()


def test_a_distribution_of_keras_is_refused(model):
    mesh = keras.distribution.DeviceMesh((1,), ["batch"], ["cpu:0"])
    keras.distribution.set_distribution(keras.distribution.DataParallel(device_mesh=mesh))
    try:
        with pytest.raises(
            MmkerasError, match="Expected no keras.distribution, which on TensorFlow distributes nothing"
        ):
            model.compile()
    finally:
        keras.distribution.set_distribution(None)
