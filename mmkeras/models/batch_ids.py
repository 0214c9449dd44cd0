"""Which pictures and texts of a batch are right answers to each other."""

import numpy as np
import tensorflow as tf
from keras import ops

from mmkeras.errors import MmkerasError
from mmkeras.layers.replicas import replica_count
from mmkeras.tensors import Arrays, Tensor, TensorLike

FEWEST_ROWS = "Expected batches of 2 or more pairs: each row is compared with the others. Received: a batch of one"
_SPREAD = np.random.default_rng(0).integers(-(2**63), 2**63, size=65_536, dtype=np.int64) | 1  # odd: no bit is lost

_GOLDEN = -7046029254386353131  # the golden ratio times 2^64, as Knuth multiplies


def batch_ids(batch: Arrays, text: TensorLike) -> tuple[Tensor, Tensor]:
    """Return the ids of a batch's pictures and of its texts: a text answers the pictures that have an id of it.

    Batches of `mmkeras.data` hold `image_id` and `text_id`, which say all. A batch of the user's own may leave them
    out: equal texts answer each other's pictures then, rows of one `image_id` each other, and without `image_id` every
    row is a picture of its own.

    Args:
        batch: dict, as it came from the pipeline.
        text: its texts as the text encoder takes them: token ids (B, L), strings (B,) or features (B, F). Equal are
            those that the model cannot tell apart.

    Returns:
        Pair of int64 tensors, (B,) or (B, S), see `share_id`.

    Raises:
        MmkerasError: a batch of one. (In a graph that learns its rows only when it runs, an `InvalidArgumentError`.)
    """
    alone = replica_count() == 1  # a row of each device is a batch too
    if alone and text.shape[0] == 1:
        raise MmkerasError(FEWEST_ROWS)
    if alone and text.shape[0] is None:  # where the function is called in a graph, this is run with it
        tf.debugging.assert_greater(tf.shape(text)[0], 1, f"{FEWEST_ROWS}. A dataset's batch(..., drop_remainder=True)")
    if "text_id" in batch:
        return ops.cast(batch["image_id"], "int64"), ops.cast(batch["text_id"], "int64")
    content = text_codes(text)
    if "image_id" not in batch:
        return content, content
    image_id = tf.ensure_shape(ops.cast(batch["image_id"], "int64"), [None])
    ids = ops.stack([image_id, content], axis=1)
    return ids, ids


def text_codes(text: TensorLike) -> Tensor:
    """Return a number for each text, which equal texts share: int64 (B,), of 63 bits, so that no others do.

    Args:
        text: int (B, L), strings (B,) or float (B, F).
    """
    text = tf.convert_to_tensor(text)
    if text.dtype == tf.string:
        return tf.strings.to_hash_bucket_fast(text, 2**63 - 1)
    if text.dtype.is_floating:
        text = tf.bitcast(tf.cast(text, tf.float32) + 0.0, tf.int32)  # + 0: minus zero is zero
    spread = tf.constant(np.resize(_SPREAD, text.shape[1]))
    words = (tf.cast(text, tf.int64) + 1) * _GOLDEN  # modulo 2^64, and so the sum
    words = tf.bitwise.bitwise_xor(words, tf.bitwise.right_shift(words, tf.constant(31, tf.int64)))
    code = tf.reduce_sum(words * spread, axis=1)
    return tf.bitwise.bitwise_and(code, tf.int64.max)  # no id of a picture that is filled up
