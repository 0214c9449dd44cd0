"""What all kinds of batches are made with: orders of rows, columns, and the pictures that belong to them."""

import tensorflow as tf

from mmkeras.data.row_reader import RowReader
from mmkeras.errors import MmkerasError

READ_AHEAD = 2  # batches of encoded pictures; else a thread that has decoded one waits until the next is read


def shuffled(rows, seed):
    """Rows in an order that follows from a seed (2,)."""
    return tf.random.experimental.stateless_shuffle(rows, seed=seed)


def full_batches(rows, batch_size, what):
    """The full batches of so many rows; `what` names them, `{}` their number, where there are fewer than one batch."""
    counted = what.replace("{}", str(rows), 1)  # a name behind it may hold braces of its own
    if rows < 2:
        raise MmkerasError(f"Expected 2 or more to make a batch of. Received: {counted}")
    if not 2 <= batch_size <= rows:
        raise MmkerasError(f"Expected batch_size from 2 to the {counted}. Received: batch_size={batch_size}")
    return rows // batch_size


def text_column(data, text_preprocessor):
    """The column of texts of a batch of a `PairedData`, as strings, features or ids: a dict."""
    if data.text_inputs is not None:
        return {"text": tf.constant(data.text_inputs)}
    if text_preprocessor is None:
        return {"text": tf.constant(data.texts)}
    if data.text_features:
        raise MmkerasError("Expected no text_preprocessor for features of texts. Received: one that takes strings")
    return {"token_ids": text_preprocessor(tf.constant(data.texts))}


def gather(columns, rows):
    """Rows of columns: a dict."""
    return {name: tf.gather(values, rows) for name, values in columns.items()}


def augmented(batch, augment, seed, step):
    """A batch with its pictures changed, as follows from (seed, step)."""
    if augment is None:
        return batch
    # The +1 keeps the seeds of augmentation apart from those of the epochs' orders.
    views = augment(batch["image"], tf.stack([tf.cast(seed + 1, tf.int64), step]))
    return batch | (views if isinstance(views, dict) else {"image": views})


def stream(order_of, steps, batch_size, first_step):
    """Endless batches of rows: epoch after epoch `steps` full batches of `order_of(epoch)`, from `first_step` on."""

    def epoch_of_batches(epoch):
        rows = order_of(epoch)[: steps * batch_size]
        return tf.data.Dataset.from_tensor_slices(tf.reshape(rows, (steps, batch_size, *rows.shape[1:])))

    first_epoch, skipped = divmod(first_step, steps)
    return tf.data.Dataset.counter(first_epoch).flat_map(epoch_of_batches).skip(skipped)


def read_batches(rows, images, batch):
    """Read the pictures of each batch and finish it.

    tf.data's tuning thread is kept away: it wakes up at doubling intervals and holds up the end of an iterator until it
    does. A fit of 15 s took 20.5 s, a longer one 41 s.

    Args:
        rows: `tf.data.Dataset` of tuples: the step, the rows of pictures (B,), and what else `batch` takes.
        images: the pictures, see `RowReader`.
        batch: function from the step, the pictures, their rows and what else, to a batch.
    """
    reader = RowReader(images)
    options = tf.data.Options()
    options.autotune.enabled = False
    fetched = rows.map(lambda step, image_rows, *others: (step, reader.fetch(image_rows), image_rows, *others))
    if reader.stored:
        fetched = fetched.prefetch(READ_AHEAD)
    return (
        fetched.map(
            lambda step, image, *others: batch(step, reader.decode(image), *others),
            num_parallel_calls=reader.threads,
            deterministic=True,
        )
        .prefetch(2)
        .with_options(options)
    )
