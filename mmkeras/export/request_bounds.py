"""What an exported graph refuses before it does anything else: too many rows, and texts that are too long."""

import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.limits import MAX_ROWS, MAX_TEXT_BYTES


class RequestBounds:
    """Checks in a graph, which hold on every server: TensorFlow Serving has none of its own.

    A few bytes can ask for any number of rows (a TensorProto repeats its last value), whose memory is the model's; and
    the time to tokenize a text grows with its length.

    A long text is refused and never cut, although only `sequence_length` ids of it are used. A unigram tokenizer
    chooses the best pieces for a text as a whole: where no space is between them the last character can decide about
    the first piece, at any distance (`tests/export/test_request_bounds.py` has such a vocabulary and text). Only before
    a space are the pieces on both sides independent, and only where no piece of the vocabulary holds one inside, which
    a model may bring; a text without spaces would have no place for a cut at all.

    Args:
        max_rows: the most rows of a request.
        max_text_bytes: the longest text, in bytes of UTF-8.

    Raises:
        MmkerasError: an argument is below 1.

    Example:
        >>> RequestBounds(max_rows=2).texts(tf.constant(["a", "b", "c"]))
        Traceback (most recent call last):
        InvalidArgumentError: assertion failed: [Task size 3 is larger than maximum input batch size 2]
    """

    def __init__(self, max_rows: int = MAX_ROWS, max_text_bytes: int = MAX_TEXT_BYTES) -> None:
        for name, value in (("max_rows", max_rows), ("max_text_bytes", max_text_bytes)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise MmkerasError(f"Expected {name} to be an int of at least 1. Received: {name}={value!r}")
        self.max_rows = max_rows
        self.max_text_bytes = max_text_bytes

    def rows(self, batch: tf.Tensor) -> tf.Tensor:
        """Return a tensor with a first dimension as it is, where that is not too large.

        The text of the error is that of a batching server, from which clients learn to send fewer.
        """
        rows = tf.shape(batch)[0]
        text = f"Task size {{}} is larger than maximum input batch size {self.max_rows}"
        return _refuse_if(rows > self.max_rows, batch, text, lambda: [rows])

    def texts(self, text: tf.Tensor) -> tf.Tensor:
        """Return texts (N,) as they are, where they are UTF-8, not too many and none of them too long."""
        lengths = tf.strings.length(self.rows(text))
        too_long = lengths > self.max_text_bytes

        def first():
            row = tf.argmax(tf.cast(too_long, tf.int32), output_type=tf.int32)
            return [row, lengths[row]]

        told = f"Expected texts of at most {self.max_text_bytes} bytes. Received: text of row {{}} has {{}} bytes"
        return _of_characters(_refuse_if(tf.reduce_any(too_long), text, told, first))


def _of_characters(text):
    """Return texts that are UTF-8; a picture among them, which no text is, is refused and not embedded as one."""
    # What is no UTF-8 would be replaced, so that a text that is stays as it is.
    damaged = text != tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
    told = "Expected texts in UTF-8. Received: bytes that are none in row {}; encode_image takes pictures"
    return _refuse_if(
        tf.reduce_any(damaged), text, told, lambda: [tf.argmax(tf.cast(damaged, tf.int32), output_type=tf.int32)]
    )


def _refuse_if(condition, tensor, text, values):
    """Return `tensor`; where `condition` holds, fail with INVALID_ARGUMENT and the text, filled with `values()`."""

    def refuse():
        return tf.debugging.Assert(tf.constant(False), [tf.strings.format(text, values())])

    with tf.control_dependencies([tf.cond(condition, refuse, tf.no_op)]):
        return tf.identity(tensor)
