import math

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.losses import ModalityCrossentropy, modality_crossentropy


def test_by_hand():
    """log(1 + e^-l) for pictures, log(1 + e^l) for texts; log 2 where the classifier cannot tell."""
    loss = modality_crossentropy([1, 0, 1, 0], [2.0, 2.0, 0.0, 0.0])
    expected = [math.log(1 + math.e**-2), math.log(1 + math.e**2), math.log(2), math.log(2)]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_a_column_of_logits_is_a_vector():
    one, other = (modality_crossentropy([1, 0, 0], logits) for logits in ([1.0, 2.0, -3.0], [[1.0], [2.0], [-3.0]]))
    np.testing.assert_array_equal(one, other)
    assert one.shape == (3,)


def test_large_logits_stay_finite_with_their_gradient():
    logits = tf.constant([500.0, 500.0, -500.0])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = modality_crossentropy([1.0, 0.0, 1.0], logits)
    np.testing.assert_allclose(loss, [0, 500, 500])
    np.testing.assert_allclose(tape.gradient(loss, logits), [0, 1, -1], atol=1e-6)


def test_the_class_is_the_mean_of_the_function():
    logits = np.array([0.3, -1.2, 4.0, 0.0], "float16")
    value = ModalityCrossentropy()([1, 1, 0, 0], logits)
    assert float(value) == pytest.approx(np.mean(modality_crossentropy([1, 1, 0, 0], logits)), rel=1e-5)
