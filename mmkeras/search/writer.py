"""Writing an index folder."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mmkeras.atomic import new_folder
from mmkeras.errors import MmkerasError
from mmkeras.search.approximate import import_faiss
from mmkeras.search.approximate_building import ChosenKind, build_approximate, chosen_kind
from mmkeras.search.item_batch import ItemBatch
from mmkeras.search.manifest import KINDS, Manifest
from mmkeras.search.precision import PRECISIONS, Precision
from mmkeras.search.segment import Segment
from mmkeras.search.segment_writer import SegmentWriter

FIRST_SEGMENT = "segment-1"


class IndexWriter:
    """Writes items with their embeddings as one index folder, which `IndexEditor` changes then.

    Args:
        space_id: the space of the embeddings, from the model's `describe` signature.
        precision: `float32`; `float16` in half the bytes; `int8`, each row with a scale of its own, in a quarter.
        kind: how it is searched: `exact`; `ivf` or `hnsw`, approximately by faiss; `auto` is `exact` up to 200,000
            items and where faiss is not installed, else `ivf`.

    Raises:
        MmkerasError: another precision or kind.
        MissingPartError: `ivf` or `hnsw` where faiss is not installed.

    Example:
        >>> IndexWriter(space_id).write("index", items, image_embeddings=image_embeddings, pictures={"a.png": png})
    """

    def __init__(self, space_id: str, precision: Precision = "float32", kind: ChosenKind = "auto") -> None:
        if precision not in PRECISIONS:
            raise MmkerasError(f"Expected one of {', '.join(PRECISIONS)}. Received: precision={precision!r}")
        check_kind(kind)
        self.space_id = space_id
        self.precision = precision
        self.kind = kind

    def write(
        self,
        folder: str | os.PathLike[str],
        items: Sequence[Mapping[str, Any]],
        image_embeddings: ArrayLike | None = None,
        text_embeddings: ArrayLike | None = None,
        pictures: Mapping[str, bytes] | None = None,
    ) -> None:
        """Write the index beside `folder` and rename it.

        Args:
            folder: must not exist.
            items: list of dicts, each with `id`, which no other has, and `text`; `picture` names an entry of
                `pictures`.
            image_embeddings: float (N, D), unit norm; optional.
            text_embeddings: float (N, D), unit norm; optional.
            pictures: dict from name to encoded bytes; optional.

        Raises:
            MmkerasError: no items or no embeddings, shapes that do not fit, a row of embeddings that is not finite or
                not of unit norm, an item without `id` or `text` or whose picture is missing, each named by its row; two
                items of one id; a folder that exists or cannot be written.
        """
        given = {"image": image_embeddings, "text": text_embeddings}
        embeddings: Any = {modality: np.asarray(e, np.float32) for modality, e in given.items() if e is not None}
        if not embeddings or not items:
            raise MmkerasError("An index needs items, and image_embeddings or text_embeddings of them")
        self.write_batches(folder, [ItemBatch(items, embeddings, pictures or {})])

    def write_batches(self, folder: str | os.PathLike[str], batches: Iterable[ItemBatch]) -> None:
        """Write items that come in batches, more than fit into memory, beside `folder` and rename it.

        Args:
            folder: must not exist.
            batches: `ItemBatch` of one dimension and the same modalities.

        Raises:
            MmkerasError: no items at all; see `write`.
        """
        with new_folder(folder) as beside:
            batches = iter(batches)
            first = next(batches, None)
            if first is None:
                raise MmkerasError("An index needs items. Received: none that have an embedding")
            first.check()
            modalities = list(first.embeddings)
            with SegmentWriter(beside / FIRST_SEGMENT, first.dim, modalities, self.precision) as writer:
                for batch in itertools.chain([first], batches):
                    writer.append(batch)
            segments = [{"name": FIRST_SEGMENT, "count": writer.count}]
            manifest = Manifest(self.space_id, first.dim, modalities, segments, self.precision)
            with_search(beside, manifest, self.kind).write(beside)


def check_kind(kind: ChosenKind) -> None:
    """Check that an index can be searched so.

    Raises:
        MmkerasError: no such kind.
        MissingPartError: one that faiss searches, which is not installed.
    """
    if kind not in ("auto", *KINDS):
        raise MmkerasError(f"Expected one of auto, {', '.join(KINDS)}. Received: kind={kind!r}")
    if kind in ("ivf", "hnsw"):
        import_faiss()


def with_search(folder: str | os.PathLike[str], manifest: Manifest, kind: ChosenKind) -> Manifest:
    """Build what an approximate search needs, and return the manifest that says so.

    Args:
        folder: the index, in which the files are made.
        manifest: `Manifest`, of whose rows none was removed.
        kind: see `IndexWriter`.

    Raises:
        MissingPartError: faiss is not installed.
        OSError: a full disk.
    """
    found = chosen_kind(kind, manifest.count)
    if found == "exact":
        return dataclasses.replace(manifest, kind=found, approximate={})
    segments = [
        Segment(Path(folder) / one["name"], one["count"], manifest.dim, manifest.modalities, manifest.precision)
        for one in manifest.segments
    ]
    approximate = {
        modality: build_approximate(found, segments, modality, Path(folder) / f"{modality}-{manifest.generation}.faiss")
        for modality in manifest.modalities
    }
    for segment in segments:
        segment.close()
    return dataclasses.replace(manifest, kind=found, approximate=approximate)
