"""The tf.data pipelines: every batch follows from (seed, step) alone, so that a resumed run sees the same ones."""

import numpy as np
import tensorflow as tf

from mmkeras.errors import MmkerasError


def steps_per_epoch(data, batch_size):
    """Return the full batches in one pass over `data.pairs`; the incomplete last batch is dropped.

    Raises:
        MmkerasError: fewer pairs than one batch holds.
    """
    return _full_batches(len(data.pairs), batch_size, f"{{}} pairs of {data.name}")


def unpaired_steps_per_epoch(data, batch_size):
    """Return the full batches in one pass over the pictures of `data`, one picture an item.

    Raises:
        MmkerasError: fewer items or texts than one batch holds.
    """
    _full_batches(len(data.texts), batch_size, f"{{}} texts of {data.name}")
    return _full_batches(len(np.unique(data.image_item)), batch_size, f"{{}} items with pictures of {data.name}")


def training_batches(data, batch_size, seed, text_preprocessor=None, augment=None, first_step=0):
    """Endless batches of pairs, each epoch in an order of its own.

    The order of an epoch is drawn from (seed, epoch), augmentation from (seed, step): a run that starts at
    `first_step` sees just what an uninterrupted one would have seen from there.

    Args:
        data: `PairedData`.
        batch_size: pairs a batch, B.
        seed: int.
        text_preprocessor: string[N] -> int32 (N, L); without it the batches hold `text`, strings.
        augment: function (images (B, H, W, C), seed (2,)) -> images; from `mmkeras.preprocessing.augment`.
        first_step: the step to start at, counted from the beginning of training.

    Returns:
        `tf.data.Dataset` of dicts: `image` (B, H, W, C) or (B, F), `token_ids` int32 (B, L) or `text` string (B,),
        `image_id` int64 (B,), and `label` (B,) or (B, C) where the data has labels.
    """
    steps = steps_per_epoch(data, batch_size)
    with tf.device("CPU"):  # where tf.data runs: on a machine with a GPU the pictures would fill its memory
        pairs = tf.constant(data.pairs, tf.int32)
        columns = {"image": tf.constant(data.images), "image_id": tf.constant(data.image_id, tf.int64)}
        if data.label is not None:
            columns["label"] = tf.constant(data.label)
        text = _text_column(data.texts, text_preprocessor)

    def order_of(epoch):
        return tf.random.experimental.stateless_shuffle(pairs, seed=tf.stack([tf.cast(seed, tf.int64), epoch]))

    def batch(step, rows):
        out = _gather(columns, rows[:, 0]) | _gather(text, rows[:, 1])
        return _augmented(out, augment, seed, step)

    rows = _stream(order_of, steps, batch_size, first_step)
    return _finished(rows.enumerate(first_step).map(batch, num_parallel_calls=2, deterministic=True))


def unpaired_batches(data, batch_size, seed, text_preprocessor=None, augment=None, first_step=0):
    """Endless batches of pictures and of texts that have nothing to do with each other, for category-only training.

    Two streams, each in an order of its own: row i of the pictures is no partner of row i of the texts, and nothing in
    a batch says who belongs to whom. The pictures are drawn by item, one of an item's pictures an epoch, so that an
    item in many styles counts as often as one in a single style: with other category frequencies in one stream than in
    the other, a modality classifier would learn those, and its reversal would take the categories away.

    Args:
        data: `PairedData` with `label` and `text_label`; its pairs and ids are not used.
        batch_size: pictures a batch, and texts a batch, B.
        seed: int.
        text_preprocessor: as in `training_batches`.
        augment: as in `training_batches`.
        first_step: as in `training_batches`.

    Returns:
        `tf.data.Dataset` of dicts: `image` (B, H, W, C) or (B, F), `image_label` (B,) or (B, C), `token_ids` int32
        (B, L) or `text` string (B,), `text_label` (B,) or (B, C).

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
        image = {"image": tf.constant(data.images), "image_label": tf.constant(data.label)}
        text = _text_column(data.texts, text_preprocessor) | {"text_label": tf.constant(data.text_label)}

    def seed_of(stream, epoch):
        return tf.random.fold_in(tf.stack([tf.cast(seed, tf.int64), epoch]), stream)

    def pictures_in(epoch):
        which = first + tf.cast(tf.random.stateless_uniform(tf.shape(count), seed_of(0, epoch)) * count, tf.int32)
        return tf.random.experimental.stateless_shuffle(tf.gather(pictures, which), seed=seed_of(1, epoch))

    def texts_in(epoch):
        return tf.random.experimental.stateless_shuffle(tf.range(len(data.texts)), seed=seed_of(2, epoch))

    def batch(step, rows):
        image_rows, text_rows = rows
        return _augmented(_gather(image, image_rows) | _gather(text, text_rows), augment, seed, step)

    rows = tf.data.Dataset.zip(
        (
            _stream(pictures_in, steps, batch_size, first_step),
            _stream(texts_in, text_steps, batch_size, first_step),
        )
    )
    return _finished(rows.enumerate(first_step).map(batch, num_parallel_calls=2, deterministic=True))


def _full_batches(rows, batch_size, what):
    if not 2 <= batch_size <= rows:
        raise MmkerasError(f"Expected batch_size from 2 to the {what.format(rows)}. Received: batch_size={batch_size}")
    return rows // batch_size


def _text_column(texts, text_preprocessor):
    if text_preprocessor is None:
        return {"text": tf.constant(texts)}
    return {"token_ids": text_preprocessor(tf.constant(texts))}


def _gather(columns, rows):
    return {name: tf.gather(values, rows) for name, values in columns.items()}


def _augmented(batch, augment, seed, step):
    if augment is None:
        return batch
    # The +1 keeps the seeds of augmentation apart from those of the epochs' orders.
    return batch | {"image": augment(batch["image"], tf.stack([tf.cast(seed + 1, tf.int64), step]))}


def _stream(order_of, steps, batch_size, first_step):
    """Endless batches of rows: epoch after epoch `steps` full batches of `order_of(epoch)`, from `first_step` on."""

    def epoch_of_batches(epoch):
        rows = order_of(epoch)[: steps * batch_size]
        return tf.data.Dataset.from_tensor_slices(tf.reshape(rows, (steps, batch_size, *rows.shape[1:])))

    first_epoch, skipped = divmod(first_step, steps)
    return tf.data.Dataset.counter(first_epoch).flat_map(epoch_of_batches).skip(skipped)


def _finished(batches):
    """Prefetch, and keep tf.data's tuning thread away.

    It wakes up at doubling intervals and holds up the end of an iterator until it does: a fit of 15 s took 20.5 s, a
    longer one 41 s. A batch is made in a few milliseconds beside a step, so there is nothing to tune.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(2).with_options(options)
