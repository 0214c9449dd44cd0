"""`FeatureComputation`: the features of one list of pictures, from the cache and, where it lacks them, computed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.data.cached_rows import CachedRows
from mmkeras.data.picture_facts import PictureFacts
from mmkeras.data.picture_stamps import digest_of, stamps_of
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.image import ImagePreprocessor, read_picture
from mmkeras.progress import Progress

SHARD_SECONDS = 30  # what an interruption may cost of the work
READERS = 8  # threads that read files: they wait for disks and networks

Batch = tuple[NDArray[np.integer], NDArray[np.uint8], int]


class FeatureComputation:
    """Features of a list of pictures: those that the cache has, the others computed and added to it as they come.

    Args:
        pictures: list of N pictures, see `ImagePreprocessor.load`.
        image_preprocessor: `ImagePreprocessor` of them.
        compute: function from pixels (K, H, W, C), K at most `batch`, to float32 (K, *row_shape).
        batch: int, pictures that are computed at a time.
        cached: `CachedRows` of the features.
        facts: `PictureFacts`.

    Attributes:
        features: float32 array (N, *row_shape), complete after `run` but for the rows of `reasons`.
        reasons: dict from the row of each picture that cannot be read to the message about it.
    """

    def __init__(
        self,
        pictures: Sequence[Any],
        image_preprocessor: ImagePreprocessor,
        compute: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
        batch: int,
        cached: CachedRows,
        facts: PictureFacts,
    ) -> None:
        self.pictures = pictures
        self.image_preprocessor = image_preprocessor
        self.compute = compute
        self.batch = batch
        self.cached = cached
        self.facts = facts
        self.stamps = stamps_of(pictures)  # before anything is read
        self.digests = facts.digests(self.stamps)
        self.features = np.empty((len(pictures), *cached.row_shape), np.float32)
        self.reasons: dict[int, str] = {}
        self.done = np.zeros(len(pictures), bool)
        self._known: set[bytes] = set()  # digests that the cache has
        self._row_of: dict[bytes, int] = {}  # from a digest to the row that is computed for all that have it
        self._undecodable: set[bytes] = set()
        self._learnt: deque[int] = deque()  # rows the digests of which are to be remembered
        self._unsaved: list[int] = []  # rows that were computed and are not yet in the cache

    def run(self) -> None:
        """Fill `features` and `reasons`."""
        self.done, known = self.cached.fill(self.digests, self.features)
        self._known = set() if self.done.all() else set(known.tolist())
        added = False
        while len(rows := self._open()):
            self._compute(rows)
            added |= bool(self._row_of)
            for row in self._open():
                same = self._row_of.get(self.digests[row], row)
                if self.done[same]:
                    self.features[row] = self.features[same]
                    self.done[row] = True
            if len(rows := self._open()):
                wanted = np.zeros_like(self.digests)
                wanted[rows] = self.digests[rows]
                self.done |= self.cached.fill(wanted, self.features)[0]
            # What is open still the cache has lost meanwhile, or is the copy of a picture that cannot be decoded, which
            # is named too: nothing counts as known the next time.
            self._known.clear()
        if added:
            self.cached.merge()

    def _open(self) -> NDArray[np.integer]:
        """The rows of which is known neither their features nor why there are none."""
        is_open = ~self.done
        is_open[list(self.reasons)] = False
        return np.flatnonzero(is_open)

    def _compute(self, rows):
        """Read rows, and compute those the features of which the cache lacks."""
        saved_at = time.monotonic()
        bar = Progress("Features of the frozen backbone, once", len(rows), "picture")
        with bar, ThreadPoolExecutor(READERS) as readers, ThreadPoolExecutor(1) as ahead:
            batches = self._batches(rows, readers)
            try:
                following = ahead.submit(next, batches, None)
                while (batch := following.result()) is not None:
                    following = ahead.submit(next, batches, None)  # decoded while this one is computed
                    own, pixels, passed = batch
                    self.features[own] = self.compute(pixels)
                    self.done[own] = True
                    self._unsaved += own.tolist()
                    late = time.monotonic() - saved_at > SHARD_SECONDS
                    if late or len(self._unsaved) >= self.cached.rows_of_shard:
                        self._save()
                        saved_at = time.monotonic()
                    bar.advance(passed - bar.done)
                bar.advance(len(rows) - bar.done)
            finally:
                self._save()

    def _save(self):
        rows, self._unsaved = self._unsaved, []
        if rows:
            self.cached.add(self.digests[rows], self.features[rows])
        learnt = [self._learnt.popleft() for _ in range(len(self._learnt))]
        self.facts.remember_digests([self.stamps[row] for row in learnt], self.digests[learnt].tolist())

    def _batches(self, rows, readers) -> Iterator[Batch]:
        """Yield rows that have to be computed, their pixels, and how many of all rows are dealt with then."""
        waiting: list[_Read] = []
        for start in range(0, len(rows), self.batch):
            part = rows[start : start + self.batch].tolist()
            for row, read in zip(part, readers.map(self._read, part), strict=True):
                if read is not None and self._is_new(row, read.digest):
                    waiting.append(read)
            while len(waiting) >= self.batch:
                yield from self._decoded(waiting[: self.batch], start + len(part) - len(waiting) + self.batch)
                del waiting[: self.batch]
        if waiting:
            yield from self._decoded(waiting, len(rows))

    def _read(self, row):
        try:
            return _Read(self.pictures[row], row)
        except MmkerasError as error:
            self.reasons[row] = str(error)
            return None

    def _is_new(self, row, digest):
        self.digests[row] = digest
        self._learnt.append(row)
        if digest in self._undecodable:
            return True  # for a message of its own
        return digest not in self._known and self._row_of.setdefault(digest, row) == row

    def _decoded(self, reads, passed) -> Iterator[Batch]:
        contents = [read if isinstance(read.content, bytes) else read.content for read in reads]
        pixels, reasons = self.image_preprocessor.load_readable(contents, [read.row for read in reads])
        self.reasons |= reasons
        self._undecodable |= {read.digest for read in reads if read.row in reasons}
        rows = [read.row for read in reads if read.row not in reasons]
        if rows:
            yield np.array(rows), pixels, passed


class _Read:
    """A picture whose bytes were read once: what was digested is what is decoded."""

    def __init__(self, picture, row):
        _, self.content = read_picture(picture, row)
        self.row = row
        self.name = f"{row} of the list" if isinstance(picture, bytes) else str(picture)
        self.digest = digest_of(self.content)

    def __str__(self):
        return self.name

    def read_bytes(self):
        return self.content
