"""`RowReader`: what a batch reads of the pictures, from memory or from where they lie."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmkeras.data.stored_pictures import StoredPictures
from mmkeras.tensors import Tensor

MOST_THREADS = 16  # of a batch each: 38 MB of 256 pictures of 224 px


class RowReader:
    """Takes rows of an array, or of pictures that are not in memory, within `tf.data`.

    Reading goes in two steps: `fetch`, one batch after the other, takes the rows or the encoded pictures, and `decode`,
    several batches at once, makes pixels of these. Neither makes a copy of the array.

    Args:
        rows: array (P, ...), or `StoredPictures`.
    """

    def __init__(self, rows: NDArray[np.generic] | StoredPictures) -> None:
        self.rows = rows
        self.stored = isinstance(rows, StoredPictures)
        self.threads = min(os.cpu_count() or 1, MOST_THREADS) if self.stored else 2

    def fetch(self, rows: Tensor) -> Tensor:
        """Return what stands at rows (B,): values (B, ...), or encoded pictures, string (B,)."""
        if isinstance(self.rows, StoredPictures):
            fetched = tf.numpy_function(self.rows.read_bytes, [rows], tf.string)
        else:
            fetched = tf.numpy_function(self.rows.__getitem__, [rows], self.rows.dtype)
        return tf.ensure_shape(fetched, (*rows.shape, *(() if self.stored else self.rows.shape[1:])))

    def decode(self, fetched: Tensor) -> Tensor:
        """Return what `fetch` returned as the model takes it, (B, ...)."""
        return self.rows.loader(fetched) if isinstance(self.rows, StoredPictures) else fetched
