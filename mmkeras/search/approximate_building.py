"""Building what an approximate search is made of, and measuring how much it finds of what an exact one finds."""

from __future__ import annotations

import errno
import importlib.util
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmkeras.progress import Progress
from mmkeras.search.approximate import ApproximateSearch, candidates_for, import_faiss, read_faiss
from mmkeras.search.item_batch import Modality
from mmkeras.search.manifest import Kind
from mmkeras.search.nearest import best_of, nearest
from mmkeras.search.segment import Segment

ChosenKind: TypeAlias = Literal["auto"] | Kind

# An index of more items is searched approximately unless somebody chose, and an export keeps it beside its versions.
LARGE_INDEX = 200_000
RECALL, RECALL_AT = 0.98, 10  # that the effort of a search is chosen for
QUERIES = 400
NOISE = 0.5  # norm of what is added to an item's embedding: the cosine of the two is .89
_CHUNK = 65_536  # rows at a time
_TRAINED_ON = 48  # rows a list
_LINKS, _CONSTRUCTION = 32, 80  # of hnsw


def chosen_kind(kind: ChosenKind, count: int) -> Kind:
    """Return how an index of so many items is searched.

    Args:
        kind: what somebody chose; `auto` is `exact` up to `LARGE_INDEX` items and where faiss is not installed, else
            `ivf`.
        count: number of items.
    """
    if kind != "auto":
        return kind
    return "ivf" if count > LARGE_INDEX and importlib.util.find_spec("faiss") else "exact"


def build_approximate(
    kind: Kind, segments: Sequence[Segment], modality: Modality, file: str | os.PathLike[str]
) -> dict[str, Any]:
    """Index all rows of the segments by faiss, and choose the least effort that finds enough.

    Asked are embeddings of the items' other modality, where they have one, else those of items with noise: of the ten
    that are nearest `RECALL` must be found, in the mean over the queries less twice its standard error.

    Args:
        kind: `ivf`, inverted lists with codes of 8 bits; or `hnsw`, a graph over such codes.
        segments: list of `Segment`, of which no row was removed.
        modality: whose embeddings are indexed.
        file: path of a new file.

    Returns:
        What the manifest says of it: `file`, `effort`, `recall`, `recall_at` and `queries`, what was asked.

    Raises:
        MissingPartError: faiss is not installed.
        OSError: a full disk.
    """
    faiss = import_faiss()
    count, random = sum(map(len, segments)), np.random.default_rng(0)
    with Progress(f"Indexing {modality} embeddings by {kind}", count, "row") as bar:
        index = _prepared(faiss, kind, segments, modality, count, random)
        for rows in _chunks(segments, modality):
            index.add(rows)
            bar.advance(len(rows))
    _write(faiss, index, file)
    settings: dict[str, Any] = {"file": Path(file).name, "effort": 1, "recall": 0.0, "recall_at": min(RECALL_AT, count)}
    queries, asked = _queries(segments, modality, count, random)
    with Progress(f"Measuring the search of {modality} embeddings"):
        search = ApproximateSearch(file, kind, 1, count)
        parts = [segment.embeddings[modality] for segment in segments]
        k = settings["recall_at"]
        expected = [rows for rows, _ in nearest(queries, parts, k)]
        limit = index.nlist if kind == "ivf" else max(16, min(count, 2048))

        def recall(effort):
            search.effort = effort
            found = search.candidates(queries, candidates_for(k))
            best = [best_of(query, parts, rows, k)[0] for query, rows in zip(queries, found, strict=True)]
            shares = [len(np.intersect1d(one, other)) / k for one, other in zip(best, expected, strict=True)]
            share = float(np.mean(shares))
            return share, share - 2 * float(np.std(shares)) / math.sqrt(len(shares))

        settings["effort"], settings["recall"] = least_effort(recall, limit)
    return settings | {"queries": f"{len(queries)} {asked}"}


def least_effort(recall: Callable[[int], tuple[float, float]], limit: int, wanted: float = RECALL) -> tuple[int, float]:
    """Return the least effort whose recall is surely as wanted, and that recall; `limit` where no effort is enough.

    Args:
        recall: function from an effort to the share that was found, and to one which it surely is at least: the effort
            that is chosen would otherwise be one which these queries flatter.
        limit: most effort.
        wanted: share.
    """
    low, high = 0, 1
    while (reached := recall(high))[1] < wanted and high < limit:
        low, high = high, min(2 * high, limit)
    while high - low > max(1, high // 16):
        middle = (low + high) // 2
        if (share := recall(middle))[1] >= wanted:
            high, reached = middle, share
        else:
            low = middle
    return high, reached[0]


def extend_approximate(
    old: str | os.PathLike[str],
    segment: Segment,
    modality: Modality,
    file: str | os.PathLike[str],
) -> None:
    """Write an index of faiss once more, with the rows of a segment behind its own.

    Args:
        old: path of the file.
        segment: `Segment`.
        modality: whose embeddings are indexed.
        file: path of a new file.

    Raises:
        MissingPartError: faiss is not installed.
        MmkerasError: the old file is damaged.
        OSError: a full disk.
    """
    index = read_faiss(old, open(old, "rb"))
    for rows in _chunks([segment], modality):
        index.add(rows)
    _write(import_faiss(), index, file)


def _prepared(faiss, kind, segments, modality, count, random):
    """An index of faiss that rows can be added to."""
    dim, product = segments[0].dim, faiss.METRIC_INNER_PRODUCT
    if kind == "hnsw":
        index = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_8bit, _LINKS, product)
        index.hnsw.efConstruction = _CONSTRUCTION
        index.train(_sample(segments, modality, min(count, _CHUNK), random))
        return index
    lists = number_of_lists(count)
    index = faiss.index_factory(dim, f"IVF{lists},SQ8", product)
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, _TRAINED_ON
    index.train(_sample(segments, modality, min(count, max(lists * _TRAINED_ON, 4096)), random))
    return index


def number_of_lists(count: int) -> int:
    """Return the number of inverted lists of so many rows: a power of 2 near two roots, 30 rows a list at least."""
    return max(1, min(2 ** round(math.log2(2 * math.sqrt(count))), count // 30))


def _sample(segments, modality, size, random):
    count = sum(map(len, segments))
    return _rows(segments, modality, np.sort(random.choice(count, size, replace=False)))


def _queries(segments, modality, count, random):
    others = [other for other in segments[0].modalities if other != modality]
    rows = np.sort(random.choice(count, min(count, QUERIES), replace=False))
    values = _rows(segments, others[0] if others else modality, rows)
    if others:
        return values, f"{others[0]} embeddings"
    noise = random.standard_normal(values.shape, dtype=np.float32)
    values = values + NOISE * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    return values / np.linalg.norm(values, axis=1, keepdims=True), f"{modality} embeddings with noise"


def _rows(segments, modality, rows) -> NDArray[np.float32]:
    found, start = [], 0
    for segment in segments:
        first, end = np.searchsorted(rows, [start, start + len(segment)])
        found.append(segment.floats(modality, rows[first:end] - start))
        start += len(segment)
    return np.concatenate(found)


def _chunks(segments, modality):
    for segment in segments:
        for start in range(0, len(segment), _CHUNK):
            yield np.ascontiguousarray(segment.floats(modality, slice(start, start + _CHUNK)))


def _write(faiss, index, file):
    try:
        faiss.write_index(index, os.fspath(file))
    except RuntimeError as error:  # no error of the system, though a full disk is one
        raise OSError(errno.EIO, str(error).splitlines()[0]) from error
