"""Every fact is an equality with Keras' own Adam on the same gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.models import FusedAdam

KERNEL = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
GRADIENTS = np.random.default_rng(1).normal(size=(4, 5, 3)).astype("float32")
GRADIENTS[1] *= 1e-6  # where epsilon counts


def updated(optimizer, gradients=GRADIENTS, jit_compile=False):
    """The variable and all states of an optimizer after some steps of a graph."""
    variable = keras.Variable(KERNEL, name="kernel")
    optimizer.build([variable])

    @tf.function(jit_compile=jit_compile)
    def step(gradient):
        optimizer.apply([gradient], [variable])

    for gradient in gradients:
        step(gradient)
    return [np.asarray(each) for each in (variable, *optimizer.variables)]


def check(arguments, **given):
    ours, theirs = (updated(kind(**arguments), **given) for kind in (FusedAdam, keras.optimizers.Adam))
    assert not np.allclose(ours[0], KERNEL, atol=1e-3)
    # 1 - beta_2 is a difference of float32 here: .001 to four digits.
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_updates_are_those_of_keras(jit_compile):
    check({"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.99, "epsilon": 1e-3}, jit_compile=jit_compile)


@pytest.mark.parametrize(
    "arguments",
    [
        {"weight_decay": 0.1},
        {"global_clipnorm": 0.5},
        {"amsgrad": True},
        {"use_ema": True},
        {"learning_rate": keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5, staircase=True)},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_so_they_are_with_what_else_adam_takes(arguments):
    check({"learning_rate": 0.1} | arguments)


def test_a_gradient_of_some_rows_is_that_of_all_with_zeros():
    at, shape = tf.constant([1, 4, 1]), tf.constant([5, 3])
    rows = [tf.IndexedSlices(tf.gather(gradient, at), at, shape) for gradient in GRADIENTS]
    whole = [np.zeros_like(gradient) for gradient in GRADIENTS]
    for zeros, gradient in zip(whole, GRADIENTS, strict=True):
        zeros[1], zeros[4] = 2 * gradient[1], gradient[4]
    for one, other in zip(updated(FusedAdam(0.1), rows), updated(keras.optimizers.Adam(0.1), whole), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-5)


def test_its_loss_may_be_scaled():
    """As under mixed_float16, where it runs within a condition."""
    adams = (keras.optimizers.LossScaleOptimizer(kind(0.1), 2.0) for kind in (FusedAdam, keras.optimizers.Adam))
    ours, theirs = (updated(adam, 2 * GRADIENTS)[0] for adam in adams)
    np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=1e-5)
    assert not np.allclose(ours, KERNEL, atol=1e-3)


def test_under_a_strategy_it_updates_too():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        optimizer, variable = FusedAdam(0.1), keras.Variable(KERNEL)
        optimizer.build([variable])
    strategy.run(lambda: optimizer.apply([tf.constant(GRADIENTS[0])], [variable]))
    np.testing.assert_allclose(KERNEL - variable.numpy(), 0.1 * np.sign(GRADIENTS[0]), rtol=1e-3)


def test_it_is_saved_as_what_it_is():
    config = keras.saving.serialize_keras_object(FusedAdam(0.1, beta_1=0.5, weight_decay=0.2))
    again = keras.saving.deserialize_keras_object(config)
    assert (type(again), again.beta_1, again.weight_decay) == (FusedAdam, 0.5, 0.2)
