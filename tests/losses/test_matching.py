import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.losses import MatchingCrossentropy, matching_crossentropy, sample_hard_negatives, share_id


def drawn_shares(logits, image_id, draws=1500, seed=3):
    """How often each column is drawn for each row, from copies of the rows with ids of their own kind."""
    seeds = keras.random.SeedGenerator(seed)
    counts = np.zeros(np.shape(logits))
    sample = tf.function(lambda: sample_hard_negatives(tf.constant(logits, "float32"), share_id(image_id), seeds)[0])
    for _ in range(draws):
        np.add.at(counts, (np.arange(len(counts)), sample().numpy()), 1)
    return counts / draws


def test_negatives_are_drawn_as_the_softmax_over_other_pictures():
    """exp is (9, 1, 2, 1) in each row; rows 0 and 3 are one picture."""
    logits = np.log([[9.0, 1, 2, 1]] * 4)
    shares = drawn_shares(logits, np.array([5, 6, 7, 5]))
    expected = [[0, 1 / 3, 2 / 3, 0], [9 / 12, 0, 2 / 12, 1 / 12], [9 / 11, 1 / 11, 0, 1 / 11], [0, 1 / 3, 2 / 3, 0]]
    np.testing.assert_allclose(shares, expected, atol=4 * math.sqrt(0.25 / 1500))
    assert (shares[np.array(expected) == 0] == 0).all()


def test_without_ids_only_the_row_itself_is_left_out():
    rows = np.array([sample_hard_negatives(np.zeros((3, 3)), seed=seed)[0] for seed in range(40)])
    assert [set(column) for column in rows.T.tolist()] == [{1, 2}, {0, 2}, {0, 1}]


def test_a_negative_is_found_however_far_it_lies():
    """Cosines of -1 and 1 at the lowest temperature, 0.001."""
    logits = np.array([[1000.0, -1000.0], [-1000.0, 1000.0]])
    assert [sample_hard_negatives(logits, seed=seed)[0].numpy().tolist() for seed in range(10)] == [[1, 0]] * 10


def test_a_row_without_a_negative_is_told():
    _, found = sample_hard_negatives(np.zeros((3, 3)), share_id([4, 4, 4]))
    assert found.numpy().tolist() == [False] * 3
    column, found = sample_hard_negatives(np.zeros((3, 3)), share_id([4, 5, 4]))
    assert found.numpy().tolist() == [True] * 3
    assert column.numpy()[[0, 2]].tolist() == [1, 1]


def test_ids_of_64_bits_stay_apart():
    column, found = sample_hard_negatives(np.zeros((2, 2)), share_id(np.array([2**53, 2**53 + 1], "int64")))
    assert (column.numpy().tolist(), found.numpy().tolist()) == ([1, 0], [True, True])


def test_a_seed_generator_draws_anew_and_from_its_state_the_same():
    logits = np.zeros((32, 32))
    seeds = keras.random.SeedGenerator(1)
    state = seeds.state.numpy()
    first, second = (sample_hard_negatives(logits, seed=seeds)[0].numpy() for _ in range(2))
    seeds.state.assign(state)
    assert (first != second).any()
    assert (first == sample_hard_negatives(logits, seed=seeds)[0].numpy()).all()


def test_a_batch_of_one_is_refused():
    with pytest.raises(ValueError, match="Expected batches of 2 or more: .* Received: batch_size=1"):
        sample_hard_negatives(np.zeros((1, 1)))


def test_no_gradient_comes_through():
    logits = tf.zeros((2, 2))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        column, _ = sample_hard_negatives(logits, seed=1)
        drawn = tf.cast(column, "float32")
    assert tape.gradient(drawn, logits) is None


def test_crossentropy_by_hand():
    """exp of the logits is (1, 3): a match is believed with 3/4."""
    logits = np.log([[1.0, 3.0], [1.0, 3.0], [1.0, 1.0]])
    losses = matching_crossentropy(np.array([1, 0, 1]), logits)
    np.testing.assert_allclose(losses, [math.log(4 / 3), math.log(4), math.log(2)], rtol=1e-6)


def test_crossentropy_is_keras_and_finite_where_a_head_is_certain():
    generator = np.random.default_rng(0)
    logits, matches = generator.normal(0, 5, (50, 2)).astype("float32"), generator.integers(0, 2, 50)
    expected = keras.losses.sparse_categorical_crossentropy(matches, logits, from_logits=True)
    np.testing.assert_allclose(matching_crossentropy(matches, logits), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(matching_crossentropy([0], [[-500.0, 500.0]]), [1000])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_arithmetic_is_float32(dtype):
    losses = matching_crossentropy(tf.constant([1, 0]), tf.constant([[0.0, 1.0], [300.0, -300.0]], dtype))
    assert losses.dtype == tf.float32
    np.testing.assert_allclose(losses, [math.log(1 + math.exp(-1)), 0], rtol=1e-6)


def test_pairs_without_a_weight_do_not_count():
    logits = np.array([[0.0, 0.0], [0.0, 5.0], [0.0, 0.0]], "float32")
    loss = MatchingCrossentropy()
    assert float(loss([1, 0, 0], logits, sample_weight=[True, False, True])) == pytest.approx(math.log(2), rel=1e-6)
    assert float(loss([1, 0, 0], logits)) == pytest.approx((2 * math.log(2) + math.log(1 + math.exp(5))) / 3, rel=1e-6)
    assert float(loss([1, 0, 0], logits, sample_weight=[0, 0, 0])) == 0


def test_the_loss_class_survives_its_config():
    loss = MatchingCrossentropy(name="itm")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    assert (again.name, again.reduction) == ("itm", "mean_with_sample_weight")
