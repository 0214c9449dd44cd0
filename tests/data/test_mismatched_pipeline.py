"""Pairs beside pairs of another category, drawn evenly, and every batch a function of (seed, step) alone."""

import itertools

import numpy as np
import pytest

from mmkeras.data import PairedData, mismatched_batches
from mmkeras.data.pipeline import mismatched_steps_per_epoch, training_batches
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.augment import RandomShift

# Of 24 things, in the order of their categories, thing PLACE[r] is picture r; none has category 3.
PLACE = np.random.default_rng(0).permutation(24)
LABEL = np.repeat([0, 1, 2, 4], [1, 3, 12, 8])[PLACE]
ITEM = 7 * np.where((PLACE > 4) & (PLACE < 10), 4, PLACE) % 24  # things 4 to 9 are one item, of category 2
ALONE = int(np.flatnonzero(LABEL == 0)[0])  # the only picture of category 0
BATCH = 8


def toy(**changes):
    """Picture r is of grey r; its text says r, and the picture that is alone in its category has a second one."""
    rows = np.arange(24)
    settings = {
        "name": "toy",
        "images": rows.astype(np.uint8)[:, None, None, None] * np.ones((1, 3, 3, 3), np.uint8),
        "texts": [f"{row}" for row in [*rows, ALONE]],
        "image_id": 100 + ITEM,
        "text_image_id": 100 + ITEM[[*rows, ALONE]],
        "pairs": np.array([*zip(rows, rows, strict=True), (ALONE, 24)], np.int32),
        "label": LABEL.astype(np.int32),
        "text_label": LABEL[[*rows, ALONE]].astype(np.int32),
        "label_names": ("a", "b", "c", "d", "e"),
    }
    return PairedData(**(settings | changes))


def take(count, first_step=0, seed=3, data=None, batch_size=BATCH, **settings):
    batches = mismatched_batches(data or toy(), batch_size, seed, first_step=first_step, **settings)
    return list(itertools.islice(batches.as_numpy_iterator(), count))


def rows(batch, prefix=""):
    return batch[f"{prefix}image"][:, 0, 0, 0].astype(int)


def test_a_batch_holds_pairs_and_pairs_of_other_categories():
    batches = take(20)
    kinds = {"image", "text", "image_id", "text_id", "label"}
    for batch in batches:
        assert set(batch) == kinds | {f"other_{kind}" for kind in kinds}
        assert (batch["label"].dtype, batch["other_label"].dtype, batch["image_id"].dtype) == (
            np.int32,
            np.int32,
            np.int64,
        )
        for prefix in ("", "other_"):
            pictures = rows(batch, prefix)
            assert pictures.tolist() == [int(text) for text in batch[f"{prefix}text"]]
            np.testing.assert_array_equal(batch[f"{prefix}label"], LABEL[pictures])
            np.testing.assert_array_equal(batch[f"{prefix}image_id"], 100 + ITEM[pictures])
        assert (batch["label"] != batch["other_label"]).all()


def test_draws_are_even_over_categories_and_within_them_over_items():
    (batch,) = take(1, batch_size=24_000)
    for prefix in ("", "other_"):
        share = np.bincount(batch[f"{prefix}label"], minlength=5) / 24_000
        np.testing.assert_allclose(share, [0.25, 0.25, 0.25, 0, 0.25], atol=0.01)
    together = np.zeros((5, 5))
    np.add.at(together, (batch["label"], batch["other_label"]), 1 / 24_000)
    expected = np.full((5, 5), 1 / 12)
    expected[3] = expected[:, 3] = 0
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(together, expected, atol=0.008)
    # Category 2 has 7 items, of which one has 6 of the 12 pictures.
    things = np.bincount(PLACE[rows(batch)[batch["label"] == 2]], minlength=24)
    things = things / things.sum()
    np.testing.assert_allclose(things[4:10], 1 / 42, atol=0.01)
    np.testing.assert_allclose(things[10:16], 1 / 7, atol=0.015)
    # Which item it is of the one category says nothing of which it is of the other.
    both = (batch["label"] == 2) & (batch["other_label"] == 4)
    places = PLACE[rows(batch)[both]], PLACE[rows(batch, "other_")[both]]
    assert abs(np.corrcoef(*places)[0, 1]) < 0.08


def test_both_texts_of_a_picture_are_drawn():
    texts = [f"text {row}" for row in range(25)]
    (batch,) = take(1, batch_size=2000, data=toy(texts=texts))
    found = batch["text"][batch["label"] == 0].tolist()
    assert set(found) == {f"text {ALONE}".encode(), b"text 24"}
    assert 0.4 < found.count(b"text 24") / len(found) < 0.6


@pytest.mark.parametrize("augment", [None, RandomShift(1)], ids=["plain", "shift"])
def test_starting_at_a_step_gives_the_rest_of_an_uninterrupted_stream(augment):
    whole = take(9, augment=augment)
    for first_step in (1, 4, 7):
        rest = take(9 - first_step, first_step, augment=augment)
        for one, other in zip(rest, whole[first_step:], strict=True):
            assert all(np.array_equal(one[key], other[key]) for key in other)


def test_steps_and_seeds_differ():
    drawn = [rows(batch).tolist() for batch in take(5) + take(1, seed=4)]
    assert len({*map(tuple, drawn)}) == 6
    assert rows(take(1)[0]).tolist() == drawn[0]


def test_both_sides_are_shifted_by_draws_of_their_own():
    """A picture whose only ink is in its middle says how far it was shifted."""
    images = np.full((24, 5, 5, 3), 255, np.uint8)
    images[:, 2, 2] = 0
    (batch,) = take(1, data=toy(images=images), batch_size=200, augment=RandomShift(2))
    places = [batch[key][..., 0].reshape(200, -1).argmin(axis=1) for key in ("image", "other_image")]
    assert all(len(np.unique(place)) > 10 for place in places)
    assert 0 < np.mean(places[0] == places[1]) < 0.2


def test_texts_are_tokenised_and_features_stay_as_they_are():
    import tensorflow as tf

    (batch,) = take(1, text_preprocessor=lambda texts: tf.strings.to_number(texts, tf.int32)[:, None])
    assert batch["token_ids"][:, 0].tolist() == rows(batch).tolist()
    assert "text" not in batch and "other_token_ids" in batch
    rising = np.array([*range(24), ALONE], np.float32)[:, None] * np.ones((1, 2), np.float32)
    data = toy(texts=rising, images=-rising[:24])
    for batch in (take(1, data=data)[0], next(training_batches(data, 4, 0).as_numpy_iterator())):
        assert batch["text"].dtype == np.float32
        np.testing.assert_array_equal(batch["text"], -batch["image"])
    (batch,) = take(1, data=data)
    np.testing.assert_array_equal(batch["other_text"], -batch["other_image"])
    with pytest.raises(MmkerasError, match="Expected no text_preprocessor for features of texts"):
        mismatched_batches(data, 4, 0, text_preprocessor=tf.identity)


@pytest.mark.parametrize(("batch_size", "steps"), [(19, 1), (18, 2), (8, 3), (1000, 1)])
def test_an_epoch_is_as_many_draws_as_there_are_items(batch_size, steps):
    assert mismatched_steps_per_epoch(toy(), batch_size) == steps


def test_what_does_not_fit_is_told():
    hot = np.eye(5, dtype=np.uint8)
    for changes, told in (
        ({"text_label": None}, "toy: expected pairs with their categories to train on. Received: none"),
        ({"pairs": np.zeros((0, 2), np.int32)}, "expected pairs with their categories"),
        (
            {"label": hot[toy().label], "text_label": hot[toy().text_label]},
            "expected one category an item.*number of 5",
        ),
        (
            {"pairs": ALONE + np.array([[0, 0], [0, 1]])},
            "one category of a picture and its text. .*: pair 1 of a and",
        ),
        ({"pairs": ALONE + np.array([[0, 0]])}, "pairs of two categories at least. Received: a only"),
    ):
        with pytest.raises(MmkerasError, match=told):
            mismatched_batches(toy(**changes), BATCH, 0)
    with pytest.raises(MmkerasError, match="batch_size of 2 or more. Received: batch_size=1"):
        mismatched_batches(toy(), 1, 0)
