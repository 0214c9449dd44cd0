"""`EmbeddingSummary`: what a job has done, read from the files that are there."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

from mmkeras.embeddings.corpus import Corpus
from mmkeras.embeddings.part import count_rows, first_error
from mmkeras.embeddings.plan import Plan


@dataclasses.dataclass(frozen=True)
class EmbeddingSummary:
    """What a job has done.

    Args:
        rows: in the files of this worker, those that were there before among them.
        failed: how many of them could not be embedded.
        first_error: why, of the first of them; empty where there is none.
        files: of this worker.
        of_files: of all workers.
        written: how many of the files were written now.
        embedded: how many rows were looked at now.
        left_out: records of the source that are no rows.
        problems: what is wrong with the first few of these.
        seconds: that the embedding took, the model loaded and the source read.
    """

    rows: int
    failed: int
    first_error: str
    files: int
    of_files: int
    written: int
    embedded: int
    left_out: int
    problems: list[str]
    seconds: float


def summary_of(
    folder: str | os.PathLike[str], plan: Plan, corpus: Corpus, written: int, embedded: int, started: float
) -> EmbeddingSummary:
    """Return what a job has done.

    Args:
        folder: of the files.
        plan: what was to be done.
        corpus: what it was made of.
        written: files that were written now.
        embedded: rows in them.
        started: on `time.monotonic`'s clock.
    """
    rows = failed = 0
    told = ""
    for shard in plan.shards:
        file = Path(folder) / shard.name
        held, lost = count_rows(file)
        rows, failed = rows + held, failed + lost
        told = told or (first_error(file) if lost else "")
    seconds = time.monotonic() - started
    return EmbeddingSummary(
        *(rows, failed, told, len(plan.shards), plan.count, written, embedded),
        *(corpus.left_out, corpus.problems, seconds),
    )
