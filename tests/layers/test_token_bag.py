import keras
import numpy as np
import pytest

from mmkeras.layers import TokenBag

from ..model_checks import check_layer

# 1 stands in every text, 2 in three of four, 3 in two, twice in one of them, 4 in one.
IDS = np.array([[1, 2, 3, 3, 0], [1, 2, 3, 0, 0], [1, 2, 4, 0, 0], [1, 0, 0, 0, 0]], "int32")
ARGUMENTS = {"vocabulary_size": 6, "rows": 3, "width": 2, "least_texts": 2, "rate": 0.0, "scale": 5.0}


def adapted(**changes):
    bag = TokenBag(**{**ARGUMENTS, **changes})
    bag(IDS)
    bag.adapt(IDS)
    return bag


def test_is_a_sound_layer(tmp_path):
    check_layer(TokenBag, {**ARGUMENTS, "rate": 0.5}, [IDS], (4, 2), tmp_path, 1, ["table"], cast=False)


def test_texts_are_weighted_sums_of_rows():
    bag = adapted()
    table = np.array([[1.0, 0.0], [0.0, 1.0], [9.0, 9.0]], "float32")
    bag.table.assign(table)
    two, three = np.log(4 / 3), np.log(4 / 2)
    length = np.sqrt(two**2 + 2 * three**2)
    expected = [[5 * two / length, 10 * three / length], np.array([two, three]) * 5 / np.hypot(two, three), [5, 0]]
    np.testing.assert_allclose(bag(IDS), [*expected, [0, 0]], rtol=1e-5, atol=1e-6)


def test_only_the_tokens_of_most_texts_have_rows():
    bag = adapted(rows=1)
    assert np.flatnonzero(bag.weights_of_ids.numpy()).tolist() == [2]
    bag = adapted(least_texts=1)
    assert bag.places.numpy()[2:5].tolist() == [0, 1, 2]
    assert np.flatnonzero(bag.weights_of_ids.numpy()).tolist() == [2, 3, 4]


def test_nothing_counts_before_it_is_adapted():
    np.testing.assert_array_equal(TokenBag(**ARGUMENTS)(IDS), np.zeros((4, 2)))


def test_order_and_padding_change_nothing():
    bag = adapted()
    longer = np.concatenate([np.zeros((4, 3), "int32"), IDS[:, ::-1]], axis=1)
    np.testing.assert_allclose(bag(longer), bag(IDS), atol=1e-6)


def test_whole_tokens_are_hidden_in_training_alone():
    keras.utils.set_random_seed(0)
    bag = adapted(rate=0.5)
    ids = np.tile(IDS[1:2], (400, 1))
    drawn = bag(ids, training=True).numpy()
    assert len(np.unique(drawn.round(5), axis=0)) == 4  # each of two tokens there or not
    np.testing.assert_allclose(drawn.mean(axis=0), bag(ids)[0], rtol=0.2, atol=0.02)
    assert len(np.unique(bag(ids).numpy(), axis=0)) == 1


@pytest.mark.parametrize("wrong", [{"rate": 1.0}, {"rows": 0}, {"scale": 0.0}])
def test_values_outside_their_range_are_refused(wrong):
    with pytest.raises(
        ValueError, match=f"Expected rows.* Received: .*{next(iter(wrong))}={next(iter(wrong.values()))}"
    ):
        TokenBag(**{**ARGUMENTS, **wrong})
