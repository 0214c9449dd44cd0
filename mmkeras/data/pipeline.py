"""The tf.data pipelines: every batch follows from (seed, step) alone, so that a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from mmkeras.data.batch_streams import (
    augmented,
    full_batches,
    gather,
    read_batches,
    shuffled,
    stream,
    text_column,
)
from mmkeras.data.paired import PairedData
from mmkeras.errors import MmkerasError


def steps_per_epoch(data, batch_size):
    """Return the full batches in one pass over `data.pairs`; the incomplete last batch is dropped.

    Raises:
        MmkerasError: fewer pairs than one batch holds.
    """
    return full_batches(len(data.pairs), batch_size, f"{{}} pairs of {data.name}")


def unpaired_steps_per_epoch(data, batch_size):
    """Return the full batches in one pass over the pictures of `data`, one picture an item.

    Raises:
        MmkerasError: fewer items or texts than one batch holds.
    """
    full_batches(len(data.texts), batch_size, f"{{}} texts of {data.name}")
    return full_batches(len(np.unique(data.image_item)), batch_size, f"{{}} items with pictures of {data.name}")


def mismatched_steps_per_epoch(data, batch_size):
    """Return the batches in which as many samples are drawn as `data` has items with pairs, or a few more.

    Raises:
        MmkerasError: a batch of one, or data from which `mismatched_batches` cannot draw.
    """
    _, item_of_pair = _pairs_by_category(data)
    if batch_size < 2:
        raise MmkerasError(f"Expected batch_size of 2 or more. Received: batch_size={batch_size}")
    return -(-len(np.unique(item_of_pair)) // batch_size)


def training_batches(
    data: PairedData,
    batch_size: int,
    seed: int,
    text_preprocessor: Callable[[tf.Tensor], Any] | None = None,
    augment: Callable[[tf.Tensor, tf.Tensor], Any] | None = None,
    first_step: int = 0,
) -> tf.data.Dataset:
    """Endless batches of pairs, each epoch in an order of its own.

    The order of an epoch is drawn from (seed, epoch), augmentation from (seed, step): a run that starts at
    `first_step` sees just what an uninterrupted one would have seen from there.

    Args:
        data: `PairedData`.
        batch_size: pairs a batch, B.
        seed: int, which decides the order of the batches.
        text_preprocessor: string[N] -> int32 (N, L); without it the batches hold `text`, strings or features.
        augment: function (images (B, H, W, C), seed (2,)) -> images, such as `mmkeras.preprocessing.RandomShift`; or to
            a dict of several views by their key of the batch, `image` among them, such as `PictureViews`.
        first_step: the step to start at, counted from the beginning of training.

    Returns:
        `tf.data.Dataset` of dicts: `image` (B, H, W, C) or (B, F), `token_ids` int32 (B, L) or `text`, string (B,) or
        float32 (B, F), `image_id` int64 (B,) or (B, S), `text_id` int64 (B,), see `PairedData`, and `label` (B,) or
        (B, C) where the data has labels; further views of `augment`.
    """
    steps = steps_per_epoch(data, batch_size)
    order_of, batch = _of_pairs(data, seed, text_preprocessor, augment)
    rows = stream(order_of, steps, batch_size, first_step).enumerate(first_step)
    return read_batches(rows.map(lambda step, rows: (step, rows[:, 0], rows[:, 1])), data.images, batch)


def epoch_batches(
    data: PairedData,
    batch_size: int,
    seed: int = 0,
    text_preprocessor: Callable[[tf.Tensor], Any] | None = None,
    augment: Callable[[tf.Tensor, tf.Tensor], Any] | None = None,
) -> tf.data.Dataset:
    """One pass over the pairs, in another order each time it is iterated: for a `fit` of one's own.

    Args:
        data: `PairedData`.
        batch_size: pairs a batch, B.
        seed: int, which decides the orders.
        text_preprocessor: what turns texts into ids, see `training_batches`.
        augment: what changes pictures, see `training_batches`.

    Returns:
        `tf.data.Dataset` of as many dicts as there are full batches, see `training_batches`; its length is known.
    """
    steps = steps_per_epoch(data, batch_size)
    order_of, batch = _of_pairs(data, seed, text_preprocessor, augment)

    def rows_of(epoch):
        rows = tf.reshape(order_of(epoch)[: steps * batch_size], (steps, batch_size, 2))
        return tf.data.Dataset.from_tensor_slices(rows)

    # A draw for each pass stands for its number: no other is drawn twice in practice.
    epochs = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).take(1)
    rows = epochs.flat_map(lambda epoch: rows_of(epoch).enumerate(epoch))
    rows = rows.map(lambda step, rows: (step, rows[:, 0], rows[:, 1]))
    return read_batches(rows, data.images, batch).apply(tf.data.experimental.assert_cardinality(steps))


def _of_pairs(data, seed, text_preprocessor, augment):
    """Functions from an epoch to its pairs (K, 2), and from a step and rows with their pictures to a batch."""
    with tf.device("CPU"):  # where tf.data runs: on a machine with a GPU the columns would fill its memory
        pairs = tf.constant(data.pairs, tf.int32)
        columns = {"image_id": tf.constant(data.image_id, tf.int64)}
        if data.label is not None:
            columns["label"] = tf.constant(data.label)
        text = text_column(data, text_preprocessor) | {"text_id": tf.constant(data.text_image_id, tf.int64)}

    def order_of(epoch):
        return shuffled(pairs, tf.stack([tf.cast(seed, tf.int64), epoch]))

    def batch(step, image, image_rows, text_rows):
        out = {"image": image} | gather(columns, image_rows) | gather(text, text_rows)
        return augmented(out, augment, seed, step)

    return order_of, batch


def unpaired_batches(
    data: PairedData,
    batch_size: int,
    seed: int,
    text_preprocessor: Callable[[tf.Tensor], Any] | None = None,
    augment: Callable[[tf.Tensor, tf.Tensor], Any] | None = None,
    first_step: int = 0,
) -> tf.data.Dataset:
    """Endless batches of pictures and of texts that have nothing to do with each other, for category-only training.

    Two streams, each in an order of its own: row i of the pictures is no partner of row i of the texts, and nothing in
    a batch says who belongs to whom. The pictures are drawn by item, one of an item's pictures an epoch, so that an
    item in many styles counts as often as one in a single style: with other category frequencies in one stream than in
    the other, a modality classifier would learn those, and its reversal would take the categories away.

    Args:
        data: `PairedData` with `label` and `text_label`; its pairs and ids are not used.
        batch_size: pictures a batch, and texts a batch, B.
        seed: int, which decides the order of the batches.
        text_preprocessor: what turns texts into ids, see `training_batches`.
        augment: what changes pictures, see `training_batches`.
        first_step: where the order of the batches begins, see `training_batches`.

    Returns:
        `tf.data.Dataset` of dicts: `image` (B, H, W, C) or (B, F), `image_label` (B,) or (B, C), `token_ids` int32
        (B, L) or `text`, string (B,) or float32 (B, F), `text_label` (B,) or (B, C).

    Raises:
        MmkerasError: data without categories, or fewer items or texts than one batch holds.
    """
    if data.label is None or data.text_label is None:
        raise MmkerasError(f"{data.name}: expected categories of pictures and texts to train on. Received: none")
    steps = unpaired_steps_per_epoch(data, batch_size)
    text_steps = len(data.texts) // batch_size
    _, item, pictures_of_item = np.unique(data.image_item, return_inverse=True, return_counts=True)
    with tf.device("CPU"):
        pictures = tf.constant(np.argsort(item, kind="stable"), tf.int32)  # those of one item stand together
        first = tf.constant(np.cumsum(pictures_of_item) - pictures_of_item, tf.int32)
        count = tf.constant(pictures_of_item, tf.float32)
        label = tf.constant(data.label)
        text = text_column(data, text_preprocessor) | {"text_label": tf.constant(data.text_label)}

    def seed_of(stream, epoch):
        return tf.random.fold_in(tf.stack([tf.cast(seed, tf.int64), epoch]), stream)

    def pictures_in(epoch):
        which = first + tf.cast(tf.random.stateless_uniform(tf.shape(count), seed_of(0, epoch)) * count, tf.int32)
        return shuffled(tf.gather(pictures, which), seed_of(1, epoch))

    def texts_in(epoch):
        return shuffled(tf.range(len(data.texts)), seed_of(2, epoch))

    def batch(step, image, image_rows, text_rows):
        out = {"image": image, "image_label": tf.gather(label, image_rows)} | gather(text, text_rows)
        return augmented(out, augment, seed, step)

    rows = tf.data.Dataset.zip(
        (
            stream(pictures_in, steps, batch_size, first_step),
            stream(texts_in, text_steps, batch_size, first_step),
        )
    )
    rows = rows.enumerate(first_step).map(lambda step, both: (step, *both))
    return read_batches(rows, data.images, batch)


def mismatched_batches(
    data: PairedData,
    batch_size: int,
    seed: int,
    text_preprocessor: Callable[[tf.Tensor], Any] | None = None,
    augment: Callable[[tf.Tensor, tf.Tensor], Any] | None = None,
    first_step: int = 0,
) -> tf.data.Dataset:
    """Endless batches of pairs with their category, each beside a pair of another category, for adversarial matching.

    For each place in a batch two different categories are drawn, and an item of each, one of whose pairs it is. All
    categories come as often, however many items they have, and all items of one category do, however many pictures or
    texts. Draws are independent: an epoch is no more than a count of steps. Every batch follows from (seed, step).

    Args:
        data: `PairedData` with pairs, and with `label` and `text_label`, one category an item.
        batch_size: pairs a batch, and pairs of other categories, B.
        seed: int, which decides the order of the batches.
        text_preprocessor: what turns texts into ids, see `training_batches`.
        augment: what changes pictures, see `training_batches`.
        first_step: where the order of the batches begins, see `training_batches`.

    Returns:
        `tf.data.Dataset` of dicts: `image` (B, H, W, C) or (B, F), `token_ids` int32 (B, L) or `text`, string (B,) or
        float32 (B, F), `image_id` int64 (B,) or (B, S), `text_id` int64 (B,), `label` int32 (B,), and the same of the
        other pair: `other_image`, ..., `other_label`, which is `label` in no row.

    Raises:
        MmkerasError: data without pairs or categories, with several an item, with pairs of two categories, or with
            pairs of one category only; a batch of one.

    Reference:
        Peng, Qi & Yuan 2019 (ACM TOMM 15(1), 22), the sampling of the released training code.
    """
    mismatched_steps_per_epoch(data, batch_size)  # raises
    label, item = _pairs_by_category(data)
    # Pairs by category and in it by item: an item is a stretch of pairs, and a category a stretch of items.
    order = np.lexsort([item, label])
    _, first_pair, pair_counts = np.unique(
        np.column_stack([label, item])[order], axis=0, return_index=True, return_counts=True
    )
    _, first_item, item_counts = np.unique(label[order][first_pair], return_index=True, return_counts=True)
    categories = len(first_item)
    with tf.device("CPU"):
        pairs = tf.constant(data.pairs[order], tf.int32)
        items = tf.constant(first_pair, tf.int32), tf.constant(pair_counts, tf.float32)
        stretches = tf.constant(first_item, tf.int32), tf.constant(item_counts, tf.float32)
        columns = {
            "image_id": tf.constant(data.image_id, tf.int64),
            "label": tf.constant(data.label, tf.int32),
        }
        text = text_column(data, text_preprocessor) | {"text_id": tf.constant(data.text_image_id, tf.int64)}

    def pairs_of(category, share_of_items, share_of_pairs):
        item = _within(*stretches, category, share_of_items)
        return tf.gather(pairs, _within(*items, item, share_of_pairs))

    def rows_of(step):
        share = tf.random.stateless_uniform((6, batch_size), tf.stack([tf.cast(seed, tf.int64), step]))
        category = tf.cast(share[0] * categories, tf.int32)
        other = (category + 1 + tf.cast(share[1] * (categories - 1), tf.int32)) % categories
        both = [pairs_of(category, share[2], share[3]), pairs_of(other, share[4], share[5])]
        rows = tf.concat(both, axis=0)
        return step, rows[:, 0], rows[:, 1]

    def batch(step, image, image_rows, text_rows):
        out = {"image": image} | gather(columns, image_rows) | gather(text, text_rows)
        matched = augmented({name: values[:batch_size] for name, values in out.items()}, augment, seed, step)
        # Shifted by draws of their own.
        mismatched = augmented({name: values[batch_size:] for name, values in out.items()}, augment, seed + 1, step)
        return matched | {f"other_{name}": values for name, values in mismatched.items()}

    return read_batches(tf.data.Dataset.counter(first_step).map(rows_of), data.images, batch)


def _pairs_by_category(data):
    """The category and the item of each pair of a `PairedData`, int (K,) both."""
    if data.label is None or data.text_label is None or not len(data.pairs):
        raise MmkerasError(f"{data.name}: expected pairs with their categories to train on. Received: none")
    if data.label.ndim != 1:
        raise MmkerasError(
            f"{data.name}: expected one category an item, targets=category. "
            f"Received: any number of {data.label.shape[1]}"
        )
    label, of_text = data.label[data.pairs[:, 0]], data.text_label[data.pairs[:, 1]]
    if (label != of_text).any():
        pair = int(np.argmax(label != of_text))
        names = data.label_names[label[pair]], data.label_names[of_text[pair]]
        raise MmkerasError(
            f"{data.name}: expected one category of a picture and its text. "
            f"Received: pair {pair} of {names[0]} and {names[1]}"
        )
    if len(present := np.unique(label)) < 2:
        raise MmkerasError(
            f"{data.name}: expected pairs of two categories at least. Received: {data.label_names[present[0]]} only"
        )
    return label, data.image_item[data.pairs[:, 0]]


def _within(first, count, stretch, share):
    """The row at a share, in [0, 1), of a stretch of `count` rows from `first` on."""
    return tf.gather(first, stretch) + tf.cast(share * tf.gather(count, stretch), tf.int32)
