"""`embed_shard`: the unit of work, from the rows of one shard to one Parquet file."""

from __future__ import annotations

import collections
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mmkeras.data.stores import OpenPlaces
from mmkeras.embeddings.corpus_encoder import CorpusEncoder
from mmkeras.embeddings.corpus_row import CorpusRow
from mmkeras.embeddings.part import has_thumbnails, read_info, writing_part
from mmkeras.embeddings.shard import Shard
from mmkeras.embeddings.thumbnail import thumbnail
from mmkeras.errors import MmkerasError

BATCH = 64
READERS = 8  # threads that wait for a disk or a network
AT_ONCE = 8  # pictures of one task of a reader
BATCH_BYTES = 16 * 2**20  # of the pictures of a batch, as far as their sizes are known: what goes into one request


def is_finished(shard: Shard, encoder: CorpusEncoder, folder: str | os.PathLike[str], thumbnails: bool = False) -> bool:
    """Return whether the file of a shard is there, of the same rows, space, signature and version.

    Args:
        shard: `Shard`.
        encoder: what would embed it.
        folder: of the files.
        thumbnails: whether it must have small pictures; one that has more than it must is finished too.

    Raises:
        MmkerasError: there is a file of something else, or a damaged one; it is named, and left as it is.
    """
    file = Path(folder) / shard.name
    if not file.exists():
        return False
    read_info(file).check(file, encoder.info(shard.source))
    if thumbnails and not has_thumbnails(file):
        raise MmkerasError(
            f"{file} has no thumbnails. Nothing was overwritten; embed into another folder, or remove the file"
        )
    return True


def embed_shard(
    shard: Shard,
    rows: Sequence[CorpusRow],
    columns: Mapping[str, str],
    encoder: CorpusEncoder,
    folder: str | os.PathLike[str],
    thumbnails: bool = False,
    batch: int = BATCH,
    advance: Callable[[int], object] = lambda rows: None,
) -> bool:
    """Embed the rows of a shard and write their file; nothing is done where it is finished.

    Pictures are read in threads, one batch ahead of the model, and given to it as they are. Two batches are in memory,
    and as many more as the encoder works on at a time. The file is written beside and renamed: whatever happens, it is
    there whole or not at all, and calling this again goes on.

    Args:
        shard: `Shard`.
        rows: its rows.
        columns: dict from each column of metadata to its type.
        encoder: `CorpusEncoder`.
        folder: where the file goes; made where missing.
        thumbnails: whether a small picture to be looked at is kept of each.
        batch: rows of a batch at most.
        advance: called with the number of rows that were embedded since the last time.

    Returns:
        whether it was embedded now.

    Raises:
        MmkerasError: see `is_finished`; the file cannot be written; the model gives no embeddings, or is gone.

    Example:
        >>> embed_shard(shard, read_rows(stream, shard, plan.columns), plan.columns, encoder, "embeddings")
        True
    """
    if is_finished(shard, encoder, folder, thumbnails):
        return False
    file = Path(folder) / shard.name
    with writing_part(file, encoder.info(shard.source), columns, thumbnails) as part:
        for some, embeddings, errors, shown in _embedded(rows, encoder, thumbnails, batch):
            part.add(some, embeddings, errors, shown)
            advance(len(some))
    return True


def _embedded(rows, encoder, thumbnails, batch):
    """Yield (rows, embeddings, errors, thumbnails) of each batch, in order; the next ones are read meanwhile."""
    places = OpenPlaces()
    turn = threading.Semaphore(encoder.in_flight)

    def read(row: CorpusRow) -> tuple[bytes | None, str | None, bytes | None]:
        if row.error is not None:
            return None, row.error, None
        if row.place is None:
            return (row.text or "").encode("utf-8", "replace"), None, None
        try:
            content = places.read(row.place)
        except MmkerasError as error:
            return None, str(error), None
        return content, None, thumbnail(content) if thumbnails else None

    def work(some: Sequence[CorpusRow]):
        parts = [some[start : start + AT_ONCE] for start in range(0, len(some), AT_ONCE)]
        contents = [one for part in readers.map(lambda part: list(map(read, part)), parts) for one in part]
        with turn:
            found, problems = encoder.encode([content for content, _, _ in contents if content is not None])
        embeddings = np.zeros((len(some), encoder.dim), np.float32)
        errors = [error for _, error, _ in contents]
        there = [place for place, (content, _, _) in enumerate(contents) if content is not None]
        embeddings[there] = found
        for place, problem in zip(there, problems, strict=True):
            errors[place] = problem
        return some, embeddings, errors, [shown for _, _, shown in contents] if thumbnails else None

    readers = ThreadPoolExecutor(READERS, "mmkeras-reader")
    workers = ThreadPoolExecutor(encoder.in_flight + 1, "mmkeras-embedder")
    waiting: collections.deque[Future] = collections.deque()
    try:
        for some in batches_of(rows, batch):
            waiting.append(workers.submit(work, some))
            if len(waiting) > encoder.in_flight + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        workers.shutdown(cancel_futures=True)
        readers.shutdown(cancel_futures=True)


def batches_of(rows: Sequence[CorpusRow], batch: int = BATCH) -> Iterator[Sequence[CorpusRow]]:
    """Yield rows in batches: of so many rows at most, and of no more bytes than a request should have.

    Args:
        rows: of a shard.
        batch: rows of a batch at most.
    """
    start = held = 0
    for place, row in enumerate(rows):
        size = row.size or 0
        if place > start and (place - start == batch or held + size > BATCH_BYTES):
            yield rows[start:place]
            start, held = place, 0
        held += size
    if start < len(rows):
        yield rows[start:]
