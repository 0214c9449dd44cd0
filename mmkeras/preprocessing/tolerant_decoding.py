"""Decoding a batch in which some pictures may be broken, inside a TensorFlow graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from mmkeras.tensors import Tensor, TensorLike

if TYPE_CHECKING:
    from mmkeras.preprocessing.image import ImagePreprocessor

_PARALLEL = 10  # pictures at once, as many as `tf.map_fn` decodes for a call of the preprocessor
_FEW = 2  # pictures that are decoded one after the other: to start the threads takes two milliseconds


def decode_tolerantly(preprocessor: ImagePreprocessor, image_bytes: TensorLike) -> tuple[Tensor, Tensor]:
    """Decode pictures and tell which ones could be; those that could not are black.

    A graph has no way to catch an error but a tf.data pipeline that leaves failed elements out. One pipeline decodes
    the whole batch: started anew for each picture it would take several times as long. Made of core operations only,
    so an exported graph runs on a stock server.

    Args:
        preprocessor: `ImagePreprocessor`.
        image_bytes: string tensor (N,), encoded pictures and anything else.

    Returns:
        (uint8 tensor (N, height, width, channels), bool tensor (N,)): the pixels of each row, and whether it is a
        picture.

    Example:
        >>> images, valid = decode_tolerantly(preprocessor, tf.constant([png, b"", b"no picture"]))
        >>> valid.numpy().tolist()
        [True, False, False]
    """
    image_bytes = tf.ensure_shape(image_bytes, [None])
    rows = tf.size(image_bytes, tf.int64)
    size = (preprocessor.height, preprocessor.width, preprocessor.channels)

    def decoded(parallel):
        batch = tf.data.Dataset.range(rows).map(
            lambda row: (row, preprocessor.decode(image_bytes[row])), num_parallel_calls=parallel
        )
        # One element that is always there: of an empty dataset no batch could be taken.
        last = tf.data.Dataset.from_tensors((rows, tf.zeros(size, tf.uint8)))
        batch = batch.ignore_errors().concatenate(last).batch(rows + 1)
        return batch.with_options(_without_rewriting()).get_single_element()

    positions, images = tf.cond(rows <= _FEW, lambda: decoded(None), lambda: decoded(_PARALLEL))
    positions = positions[:, tf.newaxis]
    images = tf.scatter_nd(positions, images, tf.stack([rows + 1, *size]))
    valid = tf.scatter_nd(positions, tf.ones_like(positions[:, 0]), [rows + 1]) > 0
    return tf.ensure_shape(images[:rows], (None, *size)), valid[:rows]


def _without_rewriting():
    """Options of a pipeline that lives for one request: to optimise its graph would take longer than to run it."""
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    options.deterministic = False  # rows carry their number
    return options
