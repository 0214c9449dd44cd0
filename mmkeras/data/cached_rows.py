"""`CachedRows`: rows of numbers by the digest of what they were computed of, in a cache that grows shard by shard."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.data.cache import cache_place, sound_arrays, write_cache

SHARD_BYTES = 32 * 2**20  # of the rows of one file: little beside what it is read into, much beside the work of a file
MOST_SMALL = 32  # shards of less than half of that, before they are merged
FORGOTTEN_AFTER = 86_400  # seconds, after which a file that a killed process has not finished is removed


class CachedRows:
    """Rows of float32 in the folder `<name>-<hash of key>` of the cache, under the digest of what each was computed of.

    What is added is a file of its own, a shard, written beside and renamed and checked when it is read, see
    `cached_arrays`. So an interruption takes nothing that was added before, and processes that add at once do not know
    of each other. A shard that does not match its digest is removed. Of many small shards few large ones are made. A
    folder that cannot be written costs time, never the result: a line on stderr tells.

    Args:
        name: the start of the folder's name.
        key: JSON-serialisable description of everything that the rows depend on.
        row_shape: shape of a row.
        folder: the cache folder; by default the user's.

    Example:
        >>> cached = CachedRows("features", key, (1280,))
        >>> found, known = cached.fill(digests, features)
        >>> cached.add(digests[~found], compute(~found))
    """

    def __init__(
        self, name: str, key: Any, row_shape: tuple[int, ...], folder: str | os.PathLike[str] | None = None
    ) -> None:
        self.folder: Path = cache_place(name, key, folder)
        self.row_shape = tuple(row_shape)
        self.rows_of_shard = max(1, SHARD_BYTES // (4 * math.prod(self.row_shape)))

    def fill(
        self, digests: NDArray[np.bytes_], rows: NDArray[np.float32]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bytes_]]:
        """Copy what the cache has into an array; beside it one shard at a time is in memory.

        Args:
            digests: array (N,) of `S64`; what is `b""` is left as it is.
            rows: float32 array (N, *row_shape), written to.

        Returns:
            bool array (N,), which rows were written; and all digests that the cache has, sorted, `S64`.
        """
        wanted, first, which = np.unique(digests, return_index=True, return_inverse=True)
        found = np.zeros(len(wanted), bool)
        known = [np.zeros(0, "S64")]
        for shard_digests, shard_rows in self._shards():
            known.append(shard_digests)
            if len(wanted):
                place = np.minimum(np.searchsorted(wanted, shard_digests), len(wanted) - 1)
                taken = np.flatnonzero((wanted[place] == shard_digests) & ~found[place])
                rows[first[place[taken]]] = shard_rows[taken]
                found[place[taken]] = True
        copies = np.flatnonzero(found[which] & (first[which] != np.arange(len(digests))))
        for copy in copies:
            rows[copy] = rows[first[which[copy]]]
        return found[which], np.unique(np.concatenate(known))

    def add(self, digests: NDArray[np.bytes_], rows: NDArray[np.float32]) -> bool:
        """Add rows (K, *row_shape) under their digests, `S64` (K,), as a shard; return whether it was written."""
        file = self.folder / f"{secrets.token_hex(16)}.cache"
        return write_cache(file, {"digests": digests, "rows": rows}, self.folder.parent)

    def merge(self) -> None:
        """Make large shards of the small ones, where these are many, and remove what killed processes left half done.

        Another process may read or merge meanwhile: the small ones go when the large one is there.
        """
        self._remove_unfinished()
        small = []
        for file in self._files():
            with contextlib.suppress(OSError):  # gone meanwhile
                if file.stat().st_size < SHARD_BYTES // 2:
                    small.append(file)
        if len(small) <= MOST_SMALL:
            return
        files, digests, rows = [], [], []
        for file in small:
            read = self._read(file)
            if read is not None:
                files.append(file)
                digests.append(read[0])
                rows.append(read[1])
            if sum(map(len, rows)) >= self.rows_of_shard // 2 or file == small[-1]:
                if len(files) > 1:
                    self._replace(files, np.concatenate(digests), np.concatenate(rows))
                files, digests, rows = [], [], []

    def _replace(self, files, digests, rows):
        _, first = np.unique(digests, return_index=True)
        if self.add(digests[first], rows[first]):
            for file in files:
                _remove(file)

    def _shards(self) -> Iterator[tuple[NDArray[np.bytes_], NDArray[np.float32]]]:
        """Yield digests and rows of each sound shard, of those too that others merge meanwhile."""
        seen: set[Path] = set()
        while unseen := [file for file in self._files() if file not in seen]:
            for file in unseen:
                seen.add(file)
                read = self._read(file)
                if read is not None:
                    yield read

    def _read(self, file):
        """Digests and rows of a shard; `None` where it is gone, or damaged: then it is removed."""
        try:
            arrays = sound_arrays(file)
        except OSError:
            return None
        if arrays is None:
            _remove(file)
            return None
        return arrays["digests"], arrays["rows"]

    def _files(self) -> list[Path]:
        try:
            files = sorted(self.folder.glob("*.cache"))
        except OSError:
            return []
        return [file for file in files if not file.name.startswith(".")]

    def _remove_unfinished(self):
        for file in self.folder.glob(".tmp-*"):
            with contextlib.suppress(OSError):
                if file.stat().st_mtime < time.time() - FORGOTTEN_AFTER:
                    file.unlink()


def _remove(file):
    with contextlib.suppress(OSError):
        file.unlink()
