"""Two streams that know nothing of each other, and of which every batch follows from (seed, step) alone."""

import itertools

import numpy as np
import pytest

from mmkeras.data import PairedData, unpaired_batches
from mmkeras.data.pipeline import unpaired_steps_per_epoch
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.augment import RandomShift

ITEMS, TEXTS, BATCH = 11, 17, 4
STYLES = np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 30])  # pictures of each item
IMAGE_ITEM = np.repeat(np.arange(ITEMS), STYLES)
STEPS = ITEMS // BATCH  # 2


def toy(**changes):
    """Picture r is of grey r, of item IMAGE_ITEM[r] and of the item's category; no text belongs to any of them."""
    rows = np.arange(len(IMAGE_ITEM))
    settings = {
        "name": "toy",
        "images": rows.astype(np.uint8)[:, None, None, None] * np.ones((1, 3, 3, 3), np.uint8),
        "texts": [f"text {row}" for row in range(TEXTS)],
        "image_id": IMAGE_ITEM,
        "text_image_id": 1000 + np.arange(TEXTS),
        "pairs": np.zeros((0, 2), np.int32),
        "label": (IMAGE_ITEM % 3).astype(np.int32),
        "text_label": (np.arange(TEXTS) % 3).astype(np.int32),
        "label_names": ("a", "b", "c"),
    }
    return PairedData(**(settings | changes))


def take(count, first_step=0, seed=3, data=None, **settings):
    batches = unpaired_batches(data or toy(), BATCH, seed, first_step=first_step, **settings)
    return list(itertools.islice(batches.as_numpy_iterator(), count))


def rows(batch):
    return batch["image"][:, 0, 0, 0].astype(int), [int(text.split()[1]) for text in batch["text"]]


def test_a_batch_holds_nothing_that_tells_who_belongs_to_whom():
    (batch,) = take(1)
    assert set(batch) == {"image", "image_label", "text", "text_label"}
    for image_row, label in zip(rows(batch)[0], batch["image_label"], strict=True):
        assert label == IMAGE_ITEM[image_row] % 3
    for text_row, label in zip(rows(batch)[1], batch["text_label"], strict=True):
        assert label == text_row % 3


def test_an_epoch_shows_an_item_once_whatever_the_number_of_its_pictures():
    seen, styles = [], set()
    for epoch in range(30):
        pictures = [row for batch in take(STEPS, epoch * STEPS) for row in rows(batch)[0]]
        items = [IMAGE_ITEM[row] for row in pictures]
        assert len(set(items)) == STEPS * BATCH
        seen += items
        styles |= {row for row in pictures if IMAGE_ITEM[row] == 10}
    share = np.bincount(seen, minlength=ITEMS) / len(seen)
    assert share.max() < 2 / ITEMS  # not the 3 of 4 that its 30 styles would have
    assert len(styles) > 10  # and they all get their turn


def test_texts_go_round_at_their_own_pace():
    """Four batches of texts to an epoch of theirs, two to one of the pictures'."""
    texts = [text for batch in take(TEXTS // BATCH) for text in rows(batch)[1]]
    assert len(set(texts)) == len(texts) == 16


@pytest.mark.parametrize("augment", [None, RandomShift(1)], ids=["plain", "shift"])
def test_starting_at_a_step_gives_the_rest_of_an_uninterrupted_stream(augment):
    whole = take(9, augment=augment)
    for first_step in (1, 2, 3, 4, 7):
        rest = take(9 - first_step, first_step, augment=augment)
        for one, other in zip(rest, whole[first_step:], strict=True):
            assert all(np.array_equal(one[key], other[key]) for key in other)


def test_the_order_of_one_stream_does_not_follow_from_that_of_the_other():
    """With as many texts as items: the two permutations of an epoch differ, and do so anew in every epoch."""
    data = toy(
        texts=[f"text {row}" for row in range(ITEMS)],
        text_image_id=np.arange(ITEMS),
        text_label=np.zeros(ITEMS, np.int32),
    )
    agree = [np.mean(IMAGE_ITEM[images] == texts) for images, texts in (rows(batch) for batch in take(100, data=data))]
    assert np.mean(agree) == pytest.approx(1 / ITEMS, abs=0.05)


def test_seeds():
    one, same, other = take(3), take(3), take(3, seed=4)
    assert all(np.array_equal(a["image"], b["image"]) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a["image"], b["image"]) for a, b in zip(one, other, strict=True))


def test_multi_hot_labels_travel_with_their_rows():
    hot = np.eye(3, dtype=np.uint8)
    data = toy(label=hot[IMAGE_ITEM % 3], text_label=hot[np.arange(TEXTS) % 3])
    for batch in take(3, data=data):
        images, texts = rows(batch)
        np.testing.assert_array_equal(batch["image_label"].argmax(1), IMAGE_ITEM[images] % 3)
        np.testing.assert_array_equal(batch["text_label"].argmax(1), np.array(texts) % 3)


def test_what_does_not_fit_is_told():
    with pytest.raises(MmkerasError, match="toy: expected categories"):
        unpaired_batches(toy(text_label=None), BATCH, 0)
    with pytest.raises(MmkerasError, match="the 11 items with pictures of toy. Received: batch_size=12"):
        unpaired_steps_per_epoch(toy(), 12)
    with pytest.raises(MmkerasError, match="the 17 texts of toy. Received: batch_size=18"):
        unpaired_steps_per_epoch(toy(), 18)
