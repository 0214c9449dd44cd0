"""`RowReader`: what a batch reads of the pictures, from memory or from where they lie."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmkeras.data.stored_pictures import StoredPictures
from mmkeras.tensors import Tensor

MOST_THREADS = 16  # of a batch each: 38 MB of 256 pictures of 224 px
READERS = 8  # threads that wait for a disk or a network
AT_ONCE = 8  # pictures of one task of a reader


class RowReader:
    """Takes rows of an array, or of pictures that are not in memory, within `tf.data`.

    Reading goes in two steps: `fetch`, one batch after the other, takes the rows or the encoded pictures, these in
    several threads, and `decode`, several batches at once, makes pixels of these. Neither makes a copy of the array.

    Args:
        rows: array (P, ...), or `StoredPictures`.
    """

    def __init__(self, rows: NDArray[np.generic] | StoredPictures) -> None:
        self.rows = rows
        self.stored = isinstance(rows, StoredPictures)
        self.threads = min(os.cpu_count() or 1, MOST_THREADS) if self.stored else 2
        self.ahead = 2 if self.stored else 0
        self._readers = ThreadPoolExecutor(READERS) if self.stored else None

    def fetch(self, rows: Tensor) -> Tensor:
        """Return what stands at rows (B,): values (B, ...), or encoded pictures, string (B,)."""
        if isinstance(self.rows, StoredPictures):
            fetched = tf.numpy_function(self._read, [rows], tf.string)
        else:
            fetched = tf.numpy_function(self.rows.__getitem__, [rows], self.rows.dtype)
        return tf.ensure_shape(fetched, (*rows.shape, *(() if self.stored else self.rows.shape[1:])))

    def decode(self, fetched: Tensor) -> Tensor:
        """Return what `fetch` returned as the model takes it, (B, ...)."""
        return self.rows.loader(fetched) if isinstance(self.rows, StoredPictures) else fetched

    def _read(self, rows):
        """The encoded pictures of rows, some read by each thread: an object array of bytes."""
        self.rows.recent.append(rows)
        parts = [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]
        return np.concatenate(list(self._readers.map(self.rows.read_bytes, parts)))
