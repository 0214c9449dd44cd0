import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.losses import MaskedLanguageCrossentropy, masked_language_crossentropy

# Two words of three: probabilities (1/2, 1/4, 1/4) at the first place, (1/8, 1/8, 3/4) at the second.
LOGITS = np.log([[[2.0, 1, 1], [1, 1, 6]]])


def test_only_hidden_words_count_by_hand():
    losses = masked_language_crossentropy(np.array([[-1, 2]]), LOGITS)
    np.testing.assert_allclose(losses, [[0, math.log(4 / 3)]], rtol=1e-6)
    losses = masked_language_crossentropy(np.array([[1, 0]]), LOGITS)
    np.testing.assert_allclose(losses, [[math.log(4), math.log(8)]], rtol=1e-6)


def test_a_teacher_takes_its_share_by_hand():
    """The teacher says (1/2, 1/2, 0) everywhere; alpha 0.4."""
    teacher = np.array([[[0.0, 0.0, -1e9]] * 2])
    losses = masked_language_crossentropy(np.array([[1, -1]]), LOGITS, teacher, 0.4)
    expected = 0.6 * math.log(4) + 0.4 * (math.log(2) + math.log(4)) / 2
    np.testing.assert_allclose(losses, [[expected, 0]], rtol=1e-6)


def test_alpha_0_is_no_teacher_and_1_no_word():
    generator = np.random.default_rng(0)
    logits, teacher = generator.normal(size=(2, 2, 3, 5))
    targets = np.array([[0, 4, -1], [-1, 2, 3]])
    plain = masked_language_crossentropy(targets, logits)
    np.testing.assert_allclose(masked_language_crossentropy(targets, logits, teacher, 0.0), plain, rtol=1e-6)
    soft = masked_language_crossentropy(targets, logits, teacher, 1.0)
    other = masked_language_crossentropy(np.where(targets < 0, -1, 0), logits, teacher, 1.0)
    np.testing.assert_allclose(soft, other, rtol=1e-6)


def test_no_gradient_reaches_the_teacher_nor_a_place_without_a_target():
    logits, teacher = tf.constant(LOGITS, "float32"), tf.zeros((1, 2, 3))
    with tf.GradientTape() as tape:
        tape.watch([logits, teacher])
        loss = masked_language_crossentropy(tf.constant([[-1, 0]]), logits, teacher, 0.4)
    to_logits, to_teacher = tape.gradient(loss, [logits, teacher])
    assert to_teacher is None
    assert not to_logits[0, 0].numpy().any()
    # d/dlogits = p - target, of (0.6 + 0.4/3, 0.4/3, 0.4/3)
    expected = np.array([1, 1, 6]) / 8 - (np.array([0.6, 0, 0]) + 0.4 / 3)
    np.testing.assert_allclose(to_logits[0, 1], expected, rtol=1e-5)


def test_the_loss_class_is_the_mean_over_hidden_words():
    """Three hidden words in two texts of two places: their mean, not that of the texts' means."""
    targets = np.array([[0, 1], [-1, 2]])
    logits = np.concatenate([LOGITS, LOGITS])
    loss = MaskedLanguageCrossentropy()
    expected = (math.log(2) + math.log(8) + math.log(4 / 3)) / 3
    assert float(loss(targets, logits)) == pytest.approx(expected, rel=1e-6)
    assert float(loss(targets, (logits, logits, 0.0))) == pytest.approx(expected, rel=1e-6)
    one_text = (math.log(2) + math.log(8)) / 2
    assert float(loss(targets, logits, sample_weight=np.array([[1.0], [0.0]]))) == pytest.approx(one_text, rel=1e-6)


def test_a_batch_without_a_hidden_word_has_nothing_to_learn():
    logits = tf.constant(LOGITS, "float32")
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = MaskedLanguageCrossentropy()(np.full((1, 2), -1), logits)
    assert float(loss) == 0
    assert not tape.gradient(loss, logits).numpy().any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_arithmetic_is_float32(dtype):
    half = tf.constant(LOGITS, dtype)
    losses = masked_language_crossentropy(np.array([[0, 1]]), half)
    assert losses.dtype == tf.float32
    np.testing.assert_array_equal(losses, masked_language_crossentropy(np.array([[0, 1]]), tf.cast(half, "float32")))


def test_the_loss_class_survives_its_config():
    loss = MaskedLanguageCrossentropy(name="mlm")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    assert (again.name, again.reduction) == ("mlm", "mean_with_sample_weight")
