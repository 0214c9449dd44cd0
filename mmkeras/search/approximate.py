"""`ApproximateSearch`: rows that are likely among the nearest, by faiss."""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError
from mmkeras.search.manifest import Kind


def import_faiss() -> Any:
    """Return the module `faiss`.

    Raises:
        MissingPartError: it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise MissingPartError("An approximate search, of the kind ivf or hnsw, needs faiss", "ann") from error
    return faiss


def candidates_for(k: int) -> int:
    """Return how many candidates are scored exactly for the k best: codes of 8 bits put some in the wrong order."""
    return max(2 * k, k + 20)


class ApproximateSearch:
    """An index of faiss over the rows of an `EmbeddingIndex`; the numbers of its vectors are those of the rows.

    Args:
        file: path of the file. It is opened at once, and read into memory at the first search.
        kind: `ivf` or `hnsw`.
        effort: how many lists of `ivf` are looked through (`nprobe`), or how many candidates `hnsw` follows
            (`efSearch`).
        rows: number of rows that it must have.

    Raises:
        MmkerasError: the file is missing.
    """

    def __init__(self, file: str | os.PathLike[str], kind: Kind, effort: int, rows: int) -> None:
        self.file = Path(file)
        self.kind = kind
        self.effort = effort
        self.rows = rows
        self._lock = threading.Lock()
        self._index: Any = None
        try:
            self._stream = open(file, "rb")
        except OSError as error:
            raise MmkerasError(f"{file} is damaged: {error}") from error
        found = os.fstat(self._stream.fileno())
        self._stamp = found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

    def close(self) -> None:
        """Close the file, as happens when nobody holds this search any more; what was read is kept."""
        self._stream.close()

    def __del__(self) -> None:
        if hasattr(self, "_stream"):
            self._stream.close()

    def is_same_file(self, other: ApproximateSearch) -> bool:
        """Say whether another one was opened on the same file of the system, and not on one of its name."""
        return self._stamp == other._stamp

    def candidates(
        self, queries: NDArray[np.float32], count: int, searched: NDArray[np.bool_] | None = None
    ) -> list[NDArray[np.int64]]:
        """Return rows that are likely among the nearest.

        Args:
            queries: float32 (Q, D).
            count: candidates a query.
            searched: bool (N,), the rows that count; all where None. With fewer of them more is looked through, so that
                as many are met.

        Returns:
            For each query an int64 array of `count` rows at most, sorted.

        Raises:
            MissingPartError: faiss is not installed.
            MmkerasError: the file is damaged.
        """
        faiss, index = import_faiss(), self._loaded()
        more: dict[str, Any] = {}
        effort = self.effort
        if searched is not None:
            bits = np.packbits(searched, bitorder="little")
            more["sel"] = faiss.IDSelectorBitmap(bits)
            effort = math.ceil(effort * len(searched) / max(1, np.count_nonzero(searched)))
        if self.kind == "ivf":
            parameters = faiss.SearchParametersIVF(nprobe=min(effort, index.nlist), **more)
        else:
            parameters = faiss.SearchParametersHNSW(efSearch=max(effort, count), **more)
        _, found = index.search(np.ascontiguousarray(queries), min(count, self.rows), params=parameters)
        return [np.unique(rows[rows >= 0]) for rows in found]

    def _loaded(self):
        with self._lock:
            if self._index is None:
                self._index = read_faiss(self.file, self._stream)
                if self._index.ntotal != self.rows:
                    raise MmkerasError(f"{self.file}: expected {self.rows} rows. Received: {self._index.ntotal}")
        return self._index


def read_faiss(file: str | os.PathLike[str], stream: Any) -> Any:
    """Read an index of faiss from an open file.

    Args:
        file: its name, for errors.
        stream: binary file; closed afterwards.

    Raises:
        MissingPartError: faiss is not installed.
        MmkerasError: the file is damaged.
    """
    faiss = import_faiss()
    try:
        with stream:
            return faiss.read_index(faiss.PyCallbackIOReader(stream.read))
    except Exception as error:  # whatever faiss makes of bytes that it does not know
        raise MmkerasError(f"{file} is damaged: {str(error).splitlines()[0]}") from error
