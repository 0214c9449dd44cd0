import numpy as np
import pytest
import tensorflow as tf

from mmkeras.layers.fused.normalize_by_batch import normalize_by_batch

GAMMA, BETA = np.array([1.0, 2.0], "float32"), np.array([0.0, 1.0], "float32")


@pytest.mark.parametrize("shape", [(4, 2), (2, 1, 2, 2)], ids=["rows", "maps"])
def test_by_hand(shape):
    """Columns (1, 3, 5, 7) and (0, 2, -2, 0): means 4 and 0, variances 5 and 2."""
    x = np.array([[1, 0], [3, 2], [5, -2], [7, 0]], "float32")
    y, mean, variance = normalize_by_batch(tf.constant(x.reshape(shape)), GAMMA, BETA, 0.0)
    assert y.shape == shape
    np.testing.assert_allclose(mean, [4, 0], atol=1e-6)
    np.testing.assert_allclose(variance, [5, 2], rtol=1e-6)
    expected = np.stack([(x[:, 0] - 4) / 5**0.5, 1 + 2 * x[:, 1] / 2**0.5], axis=1)
    np.testing.assert_allclose(np.reshape(y, (4, 2)), expected, rtol=1e-5, atol=1e-6)


def test_the_gradient_is_that_of_the_composition():
    x = tf.constant(np.random.default_rng(0).normal(3, 2, (6, 2)), "float32")
    gamma, beta = tf.constant(GAMMA), tf.constant(BETA)
    slope = tf.constant(np.random.default_rng(1).normal(size=(6, 2)), "float32")

    def composed(x, gamma, beta, epsilon):
        mean, variance = tf.nn.moments(x, axes=[0])
        return gamma * (x - mean) / tf.sqrt(variance + epsilon) + beta, mean, variance

    gradients = []
    for normalise in (normalize_by_batch, composed):
        with tf.GradientTape() as tape:
            tape.watch([x, gamma, beta])
            total = tf.reduce_sum(normalise(x, gamma, beta, 1e-3)[0] * slope)
        gradients.append(tape.gradient(total, [x, gamma, beta]))
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_one_row_has_no_variance():
    y, mean, variance = normalize_by_batch(tf.constant([[3.0, 4.0]]), GAMMA, BETA, 1e-3)
    np.testing.assert_allclose([y[0], mean, variance], [BETA, [3, 4], [0, 0]], atol=1e-6)
