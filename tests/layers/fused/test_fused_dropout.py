import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.layers.fused import FusedDropout

from ...model_checks import check_layer

ONES = np.ones((40, 25, 9), "float32")


def test_is_a_sound_layer(tmp_path):
    check_layer(FusedDropout, {"rate": 0.3, "seed": 4}, [ONES], ONES.shape, tmp_path)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.75])
def test_a_share_is_dropped_and_the_rest_grows_by_it(rate):
    dropped = np.asarray(FusedDropout(rate, seed=0)(ONES, training=True))
    assert set(np.unique(dropped)) == {0, np.float32(1 / (1 - rate))}
    assert (dropped == 0).mean() == pytest.approx(rate, abs=0.02)
    for axis in (0, 2):  # no row and no place of a pair is dropped more often than others
        others = tuple({0, 1, 2} - {axis})
        assert np.abs((dropped == 0).mean(others) - rate).max() < 0.16


def test_the_gradient_is_dropped_where_the_numbers_are():
    inputs = tf.constant(np.random.default_rng(0).normal(size=(3, 5)), "float32")  # an odd number of numbers
    layer = FusedDropout(0.4, seed=1)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
    np.testing.assert_allclose(tape.gradient(outputs, inputs), outputs / inputs, rtol=1e-6)


def test_each_call_draws_anew_and_a_seed_draws_alike():
    one, other = FusedDropout(0.5, seed=3), FusedDropout(0.5, seed=3)
    first = one(ONES, training=True)
    np.testing.assert_array_equal(first, other(ONES, training=True))
    assert (first != one(ONES, training=True)).numpy().mean() > 0.3


def test_outside_of_training_and_at_a_rate_of_0_or_1_it_is_that_of_keras():
    np.testing.assert_array_equal(FusedDropout(0.5)(ONES), ONES)
    np.testing.assert_array_equal(FusedDropout(0.0)(ONES, training=True), ONES)
    np.testing.assert_array_equal(FusedDropout(1.0)(ONES, training=True), 0 * ONES)
    arguments = {"rate": 0.5, "noise_shape": (None, 1, 9), "seed": 2}
    found = [kind(**arguments)(ONES, training=True) for kind in (FusedDropout, keras.layers.Dropout)]
    np.testing.assert_array_equal(*found)


def test_a_batch_of_unknown_size_in_a_graph_and_under_xla():
    layer = FusedDropout(0.5, seed=5)
    call = tf.function(lambda x: layer(x, training=True), input_signature=[tf.TensorSpec((None, 9))])
    assert call(ONES[0]).shape == (25, 9)
    compiled = tf.function(lambda x: layer(x, training=True), jit_compile=True)
    assert set(np.unique(compiled(ONES[0]))) == {0, 2}
