"""Batches follow from (seed, step) alone: a stream that starts at step k is the rest of an uninterrupted one."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.data import PairedData, training_batches
from mmkeras.data.pipeline import steps_per_epoch
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import PictureViews, RandomCrop
from mmkeras.preprocessing.augment import RandomShift

PICTURES = 23
BATCH = 4
STEPS = PICTURES // BATCH  # 5; three pairs of each epoch are left over


def toy(**changes):
    """Picture i is grey i, its text "text i", its id 100 + i; the pairs stand in reverse."""
    rows = np.arange(PICTURES)
    settings = {
        "name": "toy",
        "images": rows.astype(np.uint8)[:, None, None, None] * np.ones((1, 3, 3, 3), np.uint8),
        "texts": [f"text {row}" for row in rows],
        "image_id": 100 + rows,
        "text_image_id": 100 + rows,
        "pairs": np.column_stack([rows, rows])[::-1].astype(np.int32),
    }
    return PairedData(**(settings | changes))


def take(count, first_step=0, seed=3, data=None, **settings):
    """The first `count` batches as dicts of arrays."""
    batches = training_batches(data or toy(), BATCH, seed, first_step=first_step, **settings)
    return list(itertools.islice(batches.as_numpy_iterator(), count))


def equal(some, others):
    if len(some) != len(others):
        return False
    return all(
        a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in a)
        for a, b in zip(some, others, strict=True)
    )


def noise(images, seed):
    """An augmentation whose every pixel depends on the seed."""
    return tf.cast(images, tf.float32) + tf.random.stateless_uniform(tf.shape(images), seed)


def test_batch():
    (batch,) = take(1)
    assert set(batch) == {"image", "text", "image_id", "text_id"}
    assert batch["image"].shape == (BATCH, 3, 3, 3) and batch["image"].dtype == np.uint8
    assert batch["image_id"].dtype == np.int64
    rows = batch["image"][:, 0, 0, 0]
    assert batch["image_id"].tolist() == (100 + rows.astype(int)).tolist()
    assert batch["text"].tolist() == [b"text %d" % row for row in rows]


def test_an_epoch_covers_each_pair_at_most_once():
    for epoch in range(3):
        ids = np.concatenate([batch["image_id"] for batch in take(STEPS, first_step=epoch * STEPS)])
        assert len(set(ids.tolist())) == STEPS * BATCH


def test_epochs_differ_in_order_and_in_what_they_leave_out():
    epochs = [
        np.concatenate([batch["image_id"] for batch in take(STEPS, first_step=epoch * STEPS)]) for epoch in range(6)
    ]
    assert len({tuple(epoch) for epoch in epochs}) == 6
    assert len({tuple(sorted(epoch)) for epoch in epochs}) > 1
    assert set(np.concatenate(epochs).tolist()) == set(range(100, 100 + PICTURES))


@pytest.mark.parametrize(
    "augment",
    [None, RandomShift(1), noise, PictureViews(RandomCrop(), noise)],
    ids=["plain", "shift", "noise", "views"],
)
def test_starting_at_a_step_gives_the_rest_of_an_uninterrupted_stream(augment):
    whole = take(3 * STEPS, augment=augment)
    for first_step in (1, STEPS - 1, STEPS, STEPS + 2, 2 * STEPS):
        assert equal(take(3 * STEPS - first_step, first_step, augment=augment), whole[first_step:])


def test_seeds():
    assert equal(take(STEPS), take(STEPS))
    assert not equal(take(STEPS), take(STEPS, seed=4))


def test_several_views_stand_side_by_side():
    def views(images, seed):
        return {"image": images + 1, "weak_image": images}

    for batch in take(STEPS, augment=views):
        assert set(batch) == {"image", "weak_image", "text", "image_id", "text_id"}
        assert np.array_equal(batch["weak_image"][:, 0, 0, 0], batch["image_id"] - 100)
        assert np.array_equal(batch["image"], batch["weak_image"] + 1)


def test_augmentation_changes_from_step_to_step_and_leaves_the_order():
    data = toy(images=np.zeros((PICTURES, 3, 3, 1), np.uint8))
    noisy = take(2 * STEPS, data=data, augment=noise)
    assert len({batch["image"].tobytes() for batch in noisy}) == 2 * STEPS
    plain = take(2 * STEPS, data=data)
    assert [batch["image_id"].tolist() for batch in noisy] == [batch["image_id"].tolist() for batch in plain]


@pytest.mark.parametrize("width", [None, 2])
def test_labels_travel_with_their_pictures(width):
    rows = np.arange(PICTURES)
    label = (rows % 2).astype(np.int32) if width is None else np.eye(2, dtype=np.uint8)[rows % 2]
    for batch in take(STEPS, data=toy(label=label, label_names=("even", "odd"))):
        expected = label[batch["image_id"] - 100]
        assert np.array_equal(batch["label"], expected)
        assert batch["label"].dtype == label.dtype


def test_captions_share_their_pictures_id():
    """Two captions of one picture: the id says that they are no negatives of each other."""
    texts = [f"{side} {row}" for row in range(PICTURES) for side in ("left", "right")]
    pairs = np.array([[row // 2, row] for row in range(2 * PICTURES)], np.int32)
    data = toy(texts=texts, text_image_id=100 + pairs[:, 0].astype(np.int64), pairs=pairs)
    batches = take(2 * PICTURES // BATCH, data=data)
    for batch in batches:
        assert [int(text.split()[1]) for text in batch["text"]] == (batch["image_id"] - 100).tolist()
    assert len({text for batch in batches for text in batch["text"].tolist()}) == 2 * PICTURES // BATCH * BATCH


def test_token_ids_take_the_texts_place():
    def lengths(texts):
        return tf.stack([tf.strings.length(texts), tf.zeros_like(tf.strings.length(texts))], axis=1)

    for batch in take(STEPS, text_preprocessor=lengths):
        assert set(batch) == {"image", "token_ids", "image_id", "text_id"}
        assert batch["token_ids"].tolist() == [[len(f"text {i - 100}"), 0] for i in batch["image_id"]]


def test_feature_vectors():
    (batch,) = take(1, data=toy(images=np.arange(PICTURES * 2, dtype=np.float32).reshape(PICTURES, 2)))
    assert np.array_equal(batch["image"][:, 0], 2 * (batch["image_id"] - 100))


def test_shapes_are_static():
    spec = training_batches(toy(), BATCH, seed=0, augment=RandomShift(1)).element_spec
    assert spec["image"].shape == (BATCH, 3, 3, 3)
    assert spec["text"].shape == spec["image_id"].shape == (BATCH,)


def test_steps_per_epoch():
    assert steps_per_epoch(toy(), BATCH) == STEPS
    assert steps_per_epoch(toy(), PICTURES) == 1


@pytest.mark.parametrize("batch_size", [0, 1, -4, PICTURES + 1])
def test_a_batch_that_cannot_be(batch_size):
    with pytest.raises(MmkerasError, match=f"from 2 to the 23 pairs of toy. Received: batch_size={batch_size}"):
        training_batches(toy(), batch_size, seed=0)


@pytest.mark.parametrize(
    ("rows", "told"), [(1, "2 or more to make a batch of. Received: 1 pairs"), (6, "from 2 to the 6 p")]
)
def test_too_few_pairs_are_told_whatever_the_data_are_called(rows, told):
    data = toy(name="{00..04}.tar/train").chosen(np.arange(rows), np.arange(rows))
    with pytest.raises(MmkerasError, match=f"{told}.*{{00..04}}.tar/train"):
        steps_per_epoch(data, 100)
