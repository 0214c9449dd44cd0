import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.layers import TokenMasking

ARGUMENTS = {"vocabulary_size": 20, "mask_id": 3, "special_ids": (0, 1, 2)}


def texts(rows=2000, length=10, seed=0):
    """Ids of every kind, padding at the end of each row."""
    ids = np.random.default_rng(seed).integers(0, 20, (rows, length)).astype("int32")
    ids[:, 7:] = 0
    return ids


def within(count, total, share):
    """Whether a count is within four standard deviations of its expectation."""
    return abs(count - total * share) <= 4 * math.sqrt(total * share * (1 - share))


def test_shares_are_15_percent_and_of_those_80_10_10():
    ids = texts(20_000)
    masked, targets = (part.numpy() for part in TokenMasking(**ARGUMENTS, seed=1)(ids))
    words = ids > 3
    chosen = targets != -1
    assert within(chosen.sum(), words.sum(), 0.15)
    total = chosen.sum()
    assert total > 15_000
    assert within((masked[chosen] == 3).sum(), total, 0.8)
    # A word drawn at random is the word itself once in 16.
    assert within((masked[chosen] == ids[chosen]).sum(), total, 0.1 + 0.1 / 16)
    drawn = masked[chosen & (masked != 3) & (masked != ids)]
    assert all(within((drawn == word).sum(), len(drawn), 1 / 16) for word in range(4, 20))


def test_padding_special_ids_and_masks_stay_and_are_never_drawn():
    ids = texts(1000)
    masked, targets = (part.numpy() for part in TokenMasking(**ARGUMENTS, rate=1.0, mask_share=0, random_share=1)(ids))
    special = ids <= 3
    assert (masked[special] == ids[special]).all() and (targets[special] == -1).all()
    assert set(np.unique(masked[~special]).tolist()) == set(range(4, 20))


def test_targets_are_the_words_that_stood_there():
    ids = texts(200)
    masked, targets = (part.numpy() for part in TokenMasking(**ARGUMENTS, rate=0.5)(ids))
    chosen = targets != -1
    assert (targets[chosen] == ids[chosen]).all()
    assert (masked[~chosen] == ids[~chosen]).all()
    assert masked.dtype == targets.dtype == np.int32


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"rate": 0.0}, [[5, 6, 0], [-1, -1, -1]]),
        ({"rate": 1.0, "mask_share": 1.0, "random_share": 0.0}, [[3, 3, 0], [5, 6, -1]]),
        ({"rate": 1.0, "mask_share": 0.0, "random_share": 0.0}, [[5, 6, 0], [5, 6, -1]]),
    ],
)
def test_shares_of_all_or_nothing(shares, expected):
    masked, targets = TokenMasking(**ARGUMENTS, **shares)(np.array([[5, 6, 0]]))
    assert [masked.numpy()[0].tolist(), targets.numpy()[0].tolist()] == expected


def test_what_may_be_hidden():
    words = TokenMasking(**ARGUMENTS).is_word(np.array([[0, 1, 2, 3, 4, 19]]))
    assert words.numpy().tolist() == [[False] * 4 + [True] * 2]


def test_every_call_draws_anew_and_a_restored_state_goes_on():
    ids = texts(50)
    layer, other = (TokenMasking(**ARGUMENTS, seed=5) for _ in range(2))
    first, second = (layer(ids)[1].numpy() for _ in range(2))
    assert (first != second).any()
    np.testing.assert_array_equal(other(ids)[1], first)
    other.seed_generator.state.assign(layer.seed_generator.state)
    np.testing.assert_array_equal(other(ids)[1], layer(ids)[1])
    assert (TokenMasking(**ARGUMENTS, seed=6)(ids)[1].numpy() != first).any()


def test_a_graph_with_free_sizes_draws_alike():
    ids = texts(50)
    layer, other = (TokenMasking(**ARGUMENTS) for _ in range(2))
    graph = tf.function(layer, input_signature=[tf.TensorSpec([None, None], tf.int32)])
    for _ in range(2):
        for one, two in zip(graph(ids), other(ids), strict=True):
            np.testing.assert_array_equal(one, two)


def test_its_state_is_one_of_a_models_variables():
    """Which is what a checkpoint holds."""
    ids = keras.Input((10,), dtype="int32")
    layer = TokenMasking(**ARGUMENTS)
    model = keras.Model(ids, layer(ids))
    assert [variable.path for variable in model.variables] == [layer.seed_generator.state.path]
    assert not model.weights


def test_config():
    layer = TokenMasking(**ARGUMENTS, rate=0.2, mask_share=0.5, random_share=0.25, seed=3)
    config = json.loads(json.dumps(layer.get_config()))
    assert TokenMasking.from_config(config).get_config() == layer.get_config()
    assert {key: config[key] for key in ("vocabulary_size", "mask_id", "special_ids", "rate", "seed")} == {
        "vocabulary_size": 20,
        "mask_id": 3,
        "special_ids": [0, 1, 2],
        "rate": 0.2,
        "seed": 3,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 1.1}, "Received: rate=1.1"),
        ({"mask_share": 0.8, "random_share": 0.3}, "mask_share=0.8, random_share=0.3"),
        ({"random_share": -0.1}, "random_share=-0.1"),
        ({"mask_id": None}, "Expected mask_id.*Received: None"),
        ({"mask_id": 20}, "ids from 0 to 19. Received: mask_id=20"),
        ({"special_ids": (-1,)}, r"special_ids=\(-1,\)"),
        ({"vocabulary_size": 4}, "besides the special ones. Received: vocabulary_size=4"),
    ],
)
def test_what_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TokenMasking(**{**ARGUMENTS, **change})
