"""`IndexEditor`: changes an index while others read it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.errors import MmkerasError
from mmkeras.progress import Progress
from mmkeras.search.approximate_building import ChosenKind, chosen_kind, extend_approximate
from mmkeras.search.index import EmbeddingIndex
from mmkeras.search.item_batch import ItemBatch
from mmkeras.search.manifest import OWN, Manifest
from mmkeras.search.segment import Segment
from mmkeras.search.segment_writer import SegmentWriter
from mmkeras.search.sole_writer import sole_writer
from mmkeras.search.writer import check_kind, with_search

MOST_SEGMENTS = 64  # each has five open files; an index that would have more is compacted
_COPIED = 4096  # items at a time


class IndexEditor:
    """Changes an index: each change is a new generation of it, or did not happen.

    A change writes files of names that were never there, and then replaces `index.json`. Who has the index open goes on
    with the files that were opened, and sees the change by `EmbeddingIndex.refreshed`. At its end a change deletes what
    neither its generation nor the one before consists of, and what a writer left that was killed half way. One process
    at a time may change an index.

    Args:
        folder: an index folder, as `IndexWriter` writes it.

    Raises:
        MmkerasError: no index.

    Example:
        >>> editor = IndexEditor("index")
        >>> editor.add([ItemBatch(items, {"image": embeddings})])
        >>> editor.remove(["a.jpg", "b.jpg"])
        >>> editor.compact()
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        Manifest.read(self.folder)

    def add(self, batches: Iterable[ItemBatch], replace: bool = False) -> tuple[int, int]:
        """Add items behind those that are there.

        Args:
            batches: `ItemBatch` of the dimension and modalities of the index. They are a segment of their own; the
                65th segment compacts the index.
            replace: remove items of the index whose ids come again; otherwise they are an error.

        Returns:
            The number of items that are new, and that of items that replace others.

        Raises:
            MmkerasError: an id that comes twice, or is there already; what `ItemBatch.check` refuses; a full disk;
                another writer. Nothing was changed then.
            MissingPartError: an approximate index where faiss is not installed.
        """
        with self._changing() as index:
            replaced: list[int] = []

            def without_known() -> Iterator[ItemBatch]:
                for batch in batches:
                    known = index.positions(item.get("id") for item in batch.items)
                    if known and not replace:
                        raise MmkerasError(
                            f"{batch.origin or 'Items'}: expected ids that {self.folder} does not have yet; update "
                            f"replaces items. Received: {next(iter(known))!r}"
                            + (f" and {len(known) - 1:,} others" if len(known) > 1 else "")
                        )
                    replaced.extend(known.values())
                    yield batch

            added = self._append(index, without_known(), replaced)
            crowded = len(index.segments) >= MOST_SEGMENTS
        if crowded:
            self.compact()
        return added - len(replaced), len(replaced)

    def remove(self, ids: Iterable[Any]) -> int:
        """Remove items; their rows stay in their files, where no search looks at them, until `compact`.

        Args:
            ids: of the items, or a single text of one.

        Returns:
            The number of items that were removed.

        Raises:
            MmkerasError: an id that is not there, a full disk, another writer. Nothing was changed then.
        """
        ids = list(dict.fromkeys(str(item) for item in ([ids] if isinstance(ids, str) else ids)))
        with self._changing() as index:
            found = index.positions(ids)
            if missing := [item for item in ids if item not in found]:
                more = f" and {len(missing) - 1:,} others" if len(missing) > 1 else ""
                raise MmkerasError(f"Expected ids of items in {self.folder}. Received: {missing[0]!r}{more}")
            if found:
                self._commit(self._without(index, list(found.values())), index.manifest)
        return len(found)

    def merge(self, other: EmbeddingIndex, replace: bool = False) -> tuple[int, int]:
        """Add the items of another index, with their pictures.

        Args:
            other: `EmbeddingIndex` of the same space and modalities.
            replace: see `add`.

        Returns:
            The number of items that are new, and that of items that replace others.

        Raises:
            MmkerasError: an index of another space, dimension or other modalities; as `add`.
        """
        space = Manifest.read(self.folder).space_id
        if other.space_id != space:
            raise MmkerasError(
                f"Expected an index of the space {space[:12]}, as {self.folder} is. "
                f"Received: {other.folder} of the space {other.space_id[:12]}"
            )
        if other.folder.resolve() == self.folder.resolve():
            raise MmkerasError(f"Expected another index than {self.folder}. Received: itself")
        return self.add(_batches_of(other), replace)

    def compact(self, kind: ChosenKind | None = None) -> bool:
        """Write all items as one segment without the removed ones, and build an approximate search anew.

        Args:
            kind: how it is searched from now on, see `IndexWriter`; None leaves it.

        Returns:
            False where there was nothing to do.

        Raises:
            MmkerasError: no item is left, a full disk, another writer. Nothing was changed then.
            MissingPartError: an approximate index where faiss is not installed.
        """
        if kind is not None:
            check_kind(kind)
        with self._changing() as index:
            manifest = index.manifest
            if not index.count:
                raise MmkerasError(f"Expected an index with items. Received: {self.folder}, of which all were removed")
            kind = kind or manifest.kind
            if len(index.segments) == 1 and not len(index.gone) and chosen_kind(kind, index.count) == manifest.kind:
                return False
            now = _next(manifest)
            name = f"segment-{now.generation}"
            with self._segment_writer(index, name) as writer, Progress("Compacting", index.count, "item") as bar:
                for segment, rows in index.present_rows():
                    for start in range(0, len(rows), _COPIED):
                        some = rows[start : start + _COPIED]
                        writer.copy(segment, some)
                        bar.advance(len(some))
            now = dataclasses.replace(now, segments=[{"name": name, "count": writer.count}])
            self._commit(with_search(self.folder, now, kind), manifest)
        return True

    @contextlib.contextmanager
    def _changing(self) -> Iterator[EmbeddingIndex]:
        """Give the index to change. At the end, however that is, files that are not needed are deleted."""
        with sole_writer(self.folder), contextlib.closing(EmbeddingIndex(self.folder)) as index:
            self._sweep(index.manifest)  # what a writer left that was killed
            try:
                yield index
            except OSError as error:
                reason = error.strerror or error
                raise MmkerasError(f"{self.folder} could not be changed: {reason}. It is as it was") from error
            finally:
                self._sweep(Manifest.read(self.folder))

    def _append(self, index, batches, replaced):
        """Write batches as a segment behind the others, and return how many items they had."""
        manifest, name = index.manifest, f"segment-{index.generation + 1}"
        with self._segment_writer(index, name) as writer:
            for batch in batches:
                writer.append(batch)
        if not writer.count:
            return 0
        now = self._without(index, replaced)
        approximate = {}
        if manifest.approximate:
            segment = Segment(self.folder / name, writer.count, index.dim, index.modalities, index.precision)
            with contextlib.closing(segment):
                for modality, settings in manifest.approximate.items():
                    file = f"{modality}-{now.generation}.faiss"
                    extend_approximate(self.folder / settings["file"], segment, modality, self.folder / file)
                    approximate[modality] = settings | {"file": file}
        segments = [*now.segments, {"name": name, "count": writer.count}]
        now = dataclasses.replace(now, segments=segments, approximate=approximate)
        self._commit(now, manifest)
        return writer.count

    def _segment_writer(self, index, name):
        return SegmentWriter(self.folder / name, index.dim, index.modalities, index.precision)

    def _without(self, index, positions):
        """The next manifest, in which rows are removed; their numbers are written beside, a file a segment."""
        now = _next(index.manifest)
        removed, segments, start = np.sort(np.array(positions, np.int64)), [], 0
        for number, one in enumerate(now.segments):
            end = start + one["count"]
            first, last = np.searchsorted(removed, [start, end])
            if first < last:
                before = index.gone[np.searchsorted(index.gone, start) : np.searchsorted(index.gone, end)]
                rows = np.union1d(before, removed[first:last]) - start
                file = f"removed-{now.generation}-{number}.npy"
                np.save(self.folder / file, rows)
                one = one | {"removed": file, "removed_count": len(rows)}
            segments.append(one)
            start = end
        return dataclasses.replace(now, segments=segments)

    def _commit(self, manifest, before):
        """Make a manifest the index's own, once all that it names is on the disk: a machine may stop at any time.

        It remembers what the one before it named alone, whose readers may still be opening it.
        """
        for name in sorted(manifest.names - before.names):
            path = self.folder / name
            for file in path.iterdir() if path.is_dir() else [path]:
                with open(file, "rb") as stream:
                    os.fsync(stream.fileno())
        dataclasses.replace(manifest, before=sorted(before.names - manifest.names)).write(self.folder)

    def _sweep(self, manifest):
        """Delete files of an index that neither a manifest names nor the one before it; others are not touched."""
        needed = manifest.names | set(manifest.before)
        for path in self.folder.iterdir():
            if (OWN.fullmatch(path.name) and path.name not in needed) or re.fullmatch(r"\.tmp-\w+\.json", path.name):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    with contextlib.suppress(OSError):
                        path.unlink()


def _next(manifest):
    return dataclasses.replace(manifest, generation=manifest.generation + 1, before=[])


def _batches_of(index):
    for segment, rows in index.present_rows():
        for start in range(0, len(rows), _COPIED):
            some = rows[start : start + _COPIED]
            items = [segment.item(row) for row in some.tolist()]
            pictures = {item["picture"]: segment.picture(item["picture"]) for item in items if item.get("picture")}
            embeddings = {modality: segment.floats(modality, some) for modality in index.modalities}
            yield ItemBatch(items, embeddings, pictures, str(index.folder))
