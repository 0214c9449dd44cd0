"""The tf.data pipelines: every batch follows from (seed, step) alone, so that a resumed run sees the same ones."""

import tensorflow as tf

from mmkeras.errors import MmkerasError


def steps_per_epoch(data, batch_size):
    """Return the full batches in one pass over `data.pairs`; the incomplete last batch is dropped.

    Raises:
        MmkerasError: fewer pairs than one batch holds.
    """
    if not 2 <= batch_size <= len(data.pairs):
        raise MmkerasError(
            f"Expected batch_size from 2 to the {len(data.pairs)} pairs of {data.name}. "
            f"Received: batch_size={batch_size}"
        )
    return len(data.pairs) // batch_size


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
        if text_preprocessor is None:
            text = {"text": tf.constant(data.texts)}
        else:
            text = {"token_ids": text_preprocessor(tf.constant(data.texts))}

    def epoch_of_batches(epoch):
        order = tf.random.experimental.stateless_shuffle(pairs, seed=tf.stack([tf.cast(seed, tf.int64), epoch]))
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order[: steps * batch_size], (steps, batch_size, 2)))

    def batch(step, rows):
        out = {name: tf.gather(values, rows[:, 0]) for name, values in columns.items()}
        out.update({name: tf.gather(values, rows[:, 1]) for name, values in text.items()})
        if augment is not None:
            # The +1 keeps the seeds of augmentation apart from those of the epochs' orders.
            out["image"] = augment(out["image"], tf.stack([tf.cast(seed + 1, tf.int64), step]))
        return out

    first_epoch, skipped = divmod(first_step, steps)
    batches = tf.data.Dataset.counter(first_epoch).flat_map(epoch_of_batches).skip(skipped).enumerate(first_step)
    return batches.map(batch, num_parallel_calls=2, deterministic=True).prefetch(2).with_options(_without_autotune())


def _without_autotune():
    """Options that keep tf.data's tuning thread away.

    It wakes up at doubling intervals and holds up the end of an iterator until it does: a fit of 15 s took 20.5 s, a
    longer one 41 s. A batch is made in a few milliseconds beside a step, so there is nothing to tune.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options
