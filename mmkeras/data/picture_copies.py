"""`copies`: which pictures of a list are the same bytes."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.data.picture_facts import PictureFacts
from mmkeras.data.picture_stamps import digest_of, stamps_of
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.image import read_picture
from mmkeras.unreadable_pictures import UnreadablePictures

NO_FILE = -1  # the size of an array, which is no copy of any file
AT_ONCE = 64  # pictures of one task of a thread
REMEMBERED_AFTER = 10  # seconds, after which what was read so far is remembered


def copies(pictures: Sequence[Any], folder: str | os.PathLike[str] | None = None) -> NDArray[np.int64]:
    """Return for each picture the first one of the list that has the same bytes.

    A file is read only where another one has its size and its digest is not remembered, see `PictureFacts`. Links to a
    file, symbolic or hard, are copies of it; an array is one of an array only.

    Args:
        pictures: list of N pictures, see `ImagePreprocessor.load`; those that have `stamp()` are known by it, see
            `stamps_of`.
        folder: the cache folder; by default the user's.

    Returns:
        int64 array (N,) of rows; its own where no earlier picture has the same bytes.

    Raises:
        UnreadablePictures: names all files that had to be read and cannot be.

    Example:
        >>> copies(["a.jpg", "b.jpg", "copy_of_a.jpg"])
        array([0, 1, 0])
    """
    pictures = list(pictures)
    stamps = stamps_of(pictures)
    # One file is one picture, under however many names it stands in the list.
    first_of: dict[Any, int] = {}
    same_file = np.array([first_of.setdefault(stamp or row, row) for row, stamp in enumerate(stamps)], np.int64)
    own = same_file == np.arange(len(pictures))
    stamped = np.array([stamp is not None for stamp in stamps], bool)
    sizes = np.array([stamp[1] if stamp else 0 for stamp in stamps], np.int64)
    digests = np.zeros(len(pictures), "S64")
    reasons = _read(pictures, np.flatnonzero(~stamped), sizes, digests)
    _, kind, count = np.unique(sizes[own], return_inverse=True, return_counts=True)
    compared = np.flatnonzero(own)[count[kind] > 1]
    candidates = compared[stamped[compared]]
    facts = PictureFacts(folder)
    digests[candidates] = facts.digests([stamps[row] for row in candidates])

    def remember(rows):
        rows = [row for row in rows if digests[row]]
        facts.remember_digests([stamps[row] for row in rows], digests[rows].tolist())

    reasons |= _read(pictures, candidates[digests[candidates] == b""], sizes, digests, remember)
    if reasons:
        raise UnreadablePictures(reasons)
    _, first, kind = np.unique(digests[compared], return_index=True, return_inverse=True)
    same_bytes = np.arange(len(pictures))
    same_bytes[compared] = compared[first[kind]]
    return same_bytes[same_file]


def _read(pictures, rows, sizes, digests, remember=lambda rows: None):
    """Fill `digests` and `sizes` of rows in threads; return a dict of messages about what cannot be read."""
    reasons = {}

    def read(some):
        for row in some.tolist():
            try:
                content = read_picture(pictures[row], row)[1]
            except MmkerasError as error:
                reasons[row] = str(error)
            else:
                digests[row] = digest_of(content)
                sizes[row] = len(content) if isinstance(content, bytes) else NO_FILE

    parts = [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]
    remembered, last = 0, time.monotonic()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            for done, _ in enumerate(pool.map(read, parts), 1):
                if time.monotonic() - last > REMEMBERED_AFTER:
                    remember(rows[remembered * AT_ONCE : done * AT_ONCE])
                    remembered, last = done, time.monotonic()
        finally:
            pool.shutdown(cancel_futures=True)
            remember(rows[remembered * AT_ONCE :])
    return reasons
