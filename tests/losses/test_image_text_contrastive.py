import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.losses import (
    ImageTextContrastive,
    candidate_logits,
    image_text_contrast,
    info_nce,
    share_id,
    soft_targets,
)


def unit(array):
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


def random_case(batch=3, candidates=7, seed=0):
    """Two directions of logits and of targets, float64."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (2, batch, candidates))
    targets = generator.random((2, batch, candidates))
    return logits, targets / targets.sum(axis=-1, keepdims=True)


def numpy_loss(logits, targets, gamma):
    """The docstring's equation, element by element, in float64."""
    losses = np.zeros(logits.shape[1])
    for direction in range(2):
        for i in range(logits.shape[1]):
            total = sum(math.exp(x) for x in logits[direction, i])
            for x, y in zip(logits[direction, i], targets[direction, i], strict=True):
                p = math.exp(x) / total
                losses[i] += -0.5 * y * (1 - p) ** gamma * math.log(p)
    return losses


def test_candidates_of_a_picture_stand_in_the_batch_and_in_the_queue():
    found = share_id(np.array([7, 8], "int64"), np.array([7, 8, 8, 9, 7], "int64"))
    assert found.numpy().tolist() == [[True, False, False, False, True], [False, True, True, False, False]]


def test_neighbouring_ids_of_64_bits_are_two_pictures():
    ids = np.array([2**53, 2**53 + 1], "int64")
    assert share_id(ids, ids).numpy().tolist() == [[True, False], [False, True]]


def test_logits_by_hand_are_cosines_over_temperature():
    logits = candidate_logits(np.eye(2, dtype="float16"), np.array([[1, 0], [0, 1], [0.6, 0.8]], "float32"), 0.5)
    assert logits.dtype == tf.float32
    np.testing.assert_allclose(logits, [[2, 0, 1.2], [0, 2, 1.6]], rtol=1e-6)


def test_the_hard_targets_are_shared_by_all_candidates_of_the_picture():
    positives = np.array([[True, False, True, False], [False, True, False, False]])
    targets = soft_targets(np.zeros((2, 4)), positives, alpha=0.0)
    np.testing.assert_array_equal(targets, [[0.5, 0, 0.5, 0], [0, 1, 0, 0]])


def test_soft_targets_by_hand():
    """The teacher says (3/4, 1/4): its logits are (ln 3, 0). Of that 0.4, of the row's own 0.6."""
    targets = soft_targets(np.array([[math.log(3), 0.0]]), np.array([[False, True]]), alpha=0.4)
    np.testing.assert_allclose(targets, [[0.3, 0.7]], rtol=1e-6)
    np.testing.assert_allclose(soft_targets(np.array([[math.log(3), 0.0]]), [[False, True]], 1.0), [[0.75, 0.25]])


def test_no_gradient_reaches_the_teacher():
    teacher = tf.constant([[1.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(teacher)
        targets = soft_targets(teacher, np.array([[True, False]]), 0.4)
    assert tape.gradient(targets, teacher) is None


def test_one_row_by_hand():
    """p = (1/2, 1/2) one way, (3/4, 1/4) the other; all the mass on the first. (1 - p)^2 is 1/4 and 1/16."""
    logits = np.array([[0.0, 0.0]]), np.array([[math.log(3), 0.0]])
    targets = np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]])
    plain = [(math.log(2) + math.log(4 / 3)) / 2]
    np.testing.assert_allclose(image_text_contrast(logits, targets), plain, rtol=1e-6)
    focal = [(math.log(2) / 4 + math.log(4 / 3) / 16) / 2]
    np.testing.assert_allclose(image_text_contrast(logits, targets, 2.0), focal, rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 2.7])
def test_agrees_with_numpy(gamma):
    logits, targets = random_case()
    np.testing.assert_allclose(
        image_text_contrast(logits, targets, gamma), numpy_loss(logits, targets, gamma), rtol=1e-5
    )


def test_without_a_queue_and_a_teacher_it_is_the_contrast_of_the_batch():
    """InfoNCE with a full softmax: image_id apart, the two losses are one."""
    generator = np.random.default_rng(1)
    image, text = (unit(generator.normal(size=(5, 4))) for _ in range(2))
    logits = candidate_logits(image, text, 0.1), candidate_logits(text, image, 0.1)
    eye = soft_targets(logits[0], np.eye(5, dtype="bool"), 0.0)
    np.testing.assert_allclose(image_text_contrast(logits, (eye, eye)), info_nce(image, text, 0.1), rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_gradient_is_that_of_finite_differences(gamma):
    logits, targets = random_case(2, 4)
    pair = [tf.constant(part, "float32") for part in logits]
    with tf.GradientTape() as tape:
        tape.watch(pair)
        total = tf.reduce_sum(image_text_contrast(pair, targets, gamma))
    gradient = np.stack(tape.gradient(total, pair))
    for position in np.ndindex(*logits.shape):
        step = np.zeros_like(logits)
        step[position] = 1e-5
        ends = [numpy_loss(logits + sign * step, targets, gamma).sum() for sign in (1, -1)]
        assert gradient[position] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("gamma", [0.25, 0.5, 2.0])
@pytest.mark.parametrize("gap", [0.0, 20.0, 100.0, 2000.0])
def test_a_row_that_is_certain_has_a_finite_gradient(gamma, gap):
    """p = 1 to the last digit: the slope of (1 - p)^0.5 is infinite there."""
    logits = tf.constant([[gap, 0.0, 0.0], [0.0, gap, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = image_text_contrast((logits, logits), (np.eye(2, 3),) * 2, gamma)
    gradient = tape.gradient(loss, logits)
    assert np.isfinite(loss).all() and np.isfinite(gradient).all()
    assert np.abs(gradient).max() < 2


def test_the_loss_class_is_the_mean_of_the_function_in_a_graph_too():
    logits, targets = (part.astype("float32") for part in random_case())
    expected = numpy_loss(logits.astype("float64"), targets, 2.0).mean()
    loss = ImageTextContrastive(gamma=2.0)
    free = tf.TensorSpec([None, None])
    graph = tf.function(lambda *parts: loss(parts[:2], parts[2:]), input_signature=[free] * 4)
    assert float(loss(tuple(targets), tuple(logits))) == pytest.approx(expected, rel=1e-5)
    assert float(graph(*targets, *logits)) == pytest.approx(expected, rel=1e-5)


def test_the_loss_class_survives_its_config():
    loss = ImageTextContrastive(gamma=1.5, name="itc")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert isinstance(again, ImageTextContrastive)
    assert (again.gamma, again.name) == (1.5, "itc")


@pytest.mark.parametrize("gamma", [-1, float("nan")])
def test_what_is_refused(gamma):
    with pytest.raises(ValueError, match="Expected an exponent of 0 or more. Received: gamma="):
        ImageTextContrastive(gamma)
