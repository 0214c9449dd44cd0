"""`EmbeddingIndex`: embedded items in a folder, memory-mapped, searched exactly or approximately."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmkeras.errors import MmkerasError
from mmkeras.search.approximate import ApproximateSearch
from mmkeras.search.item_batch import Modality
from mmkeras.search.manifest import FILE, Manifest
from mmkeras.search.search_result import SearchResult
from mmkeras.search.searching import check_k, checked_queries, found_rows
from mmkeras.search.segment import Segment, removed_rows


class EmbeddingIndex:
    """Items with their image and text embeddings, as they were when the index was opened.

    The folder holds `index.json`, which `Manifest` describes, the folders of segments that it names, which `Segment`
    describes, and where it is searched approximately a file of faiss for each modality. A change of the index, see
    `IndexEditor`, writes new files beside and replaces `index.json`: who has opened it goes on with what it was, and
    `refreshed` gives what it is. Rows count the items that are there, in the order in which they came.

    Args:
        folder: an index folder, as `IndexWriter` writes it.

    Attributes:
        space_id: identity of the space of the embeddings.
        dim: length of an embedding.
        count: number of items.
        modalities: tuple of those that the items have embeddings of, of `"image"` and `"text"`.
        precision: type of the embeddings' numbers, `float32`, `float16` or `int8`; scores are of rounded embeddings.
        kind: `exact`, or `ivf` or `hnsw`, which faiss searches approximately.
        generation: counts the changes of the index.
        columns: tuple of the names that `where` may use.

    Raises:
        MmkerasError: no index, one of another format, or parts that do not fit together.

    Example:
        >>> index = EmbeddingIndex("savedmodels/glyphs/1/assets.extra/index")
        >>> index.search(client.encode_text(["greek small letter omega"]), "image", k=5)[0][0].item["text"]
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        while True:
            self._stamp = _stamp_of(self.folder)
            self.manifest = Manifest.read(self.folder)
            try:
                self._open()
                break
            except MmkerasError:
                # What it names may be gone where the index was changed twice meanwhile.
                if Manifest.read(self.folder) == self.manifest:
                    raise
        self.space_id, self.dim, self.count = self.manifest.space_id, self.manifest.dim, self.manifest.count
        self.modalities = tuple(self.manifest.modalities)
        self.precision, self.kind = self.manifest.precision, self.manifest.kind
        self.generation = self.manifest.generation
        self.columns = tuple(dict.fromkeys(name for segment in self.segments for name in segment.table.columns))

    def __len__(self) -> int:
        return self.count

    def close(self) -> None:
        """Close the files, as happens when nobody holds the index any more; embeddings handed out stay."""
        for opened in (*self.segments, *self._approximate.values()):
            opened.close()

    def refreshed(self) -> EmbeddingIndex:
        """Return the index as it is now: this one where nothing was changed, which takes microseconds to see.

        Raises:
            MmkerasError: there is none any more.
        """
        if _stamp_of(self.folder) == self._stamp:
            return self
        now = EmbeddingIndex(self.folder)
        for modality, search in now._approximate.items():
            mine = self._approximate.get(modality)
            if mine is not None and mine.rows == search.rows and mine.is_same_file(search):
                now._approximate[modality] = mine  # which has read its file
        return now

    @functools.cached_property
    def items(self) -> list[dict[str, Any]]:
        """All items, a list of dicts; of a million they take a gigabyte, of which `item` reads one."""
        return [self.item(row) for row in range(self.count)]

    @property
    def ids(self) -> list[str]:
        """The ids of all items, as text."""
        ids = [item for segment in self.segments for item in segment.table.ids()]
        return ids if self._present is None else [ids[row] for row in self._present.tolist()]

    def item(self, row: int) -> dict[str, Any]:
        """Return the item of a row.

        Args:
            row: 0 to `count` - 1.

        Raises:
            MmkerasError: there is no such row, or its line is damaged.
        """
        if not 0 <= row < self.count:
            raise MmkerasError(f"Expected a row of 0 to {self.count - 1}. Received: row={row}")
        return self._item(row if self._present is None else int(self._present[row]))

    def rows_of(self, ids: Iterable[Any]) -> dict[str, int]:
        """Return a dict from each of some ids that is there, as text, to its row."""
        found = self.positions(ids)
        if self._present is None:
            return found
        return {item: int(np.searchsorted(self._present, row)) for item, row in found.items()}

    def embeddings(self, modality: Modality, rows: ArrayLike | None = None) -> NDArray[np.float32]:
        """Return embeddings of the items; where they are one array in a file, that array mapped, not read.

        Args:
            modality: `"image"` or `"text"`.
            rows: int (R,), in any order; all where None.

        Returns:
            float32 (R, D).

        Raises:
            MmkerasError: a modality that the index does not have, or a row that is not there.
        """
        self._check_modality(modality)
        if rows is None:
            if len(self.segments) == 1 and self._present is None and self.precision == "float32":
                return self.segments[0].embeddings[modality][0]
            wanted = np.arange(self.count)
        else:
            wanted = np.asarray(rows, np.int64).reshape(-1)
            if len(wanted) and not 0 <= wanted.min() <= wanted.max() < self.count:
                raise MmkerasError(f"Expected rows of 0 to {self.count - 1}. Received: {wanted.min()}, {wanted.max()}")
        wanted = wanted if self._present is None else self._present[wanted]
        values = np.empty((len(wanted), self.dim), np.float32)
        for number, segment in enumerate(self.segments):
            of_segment = np.flatnonzero((self._starts[number] <= wanted) & (wanted < self._starts[number + 1]))
            values[of_segment] = segment.floats(modality, wanted[of_segment] - self._starts[number])
        return values

    def where(self, expression: str) -> NDArray[np.int64]:
        """Return the rows of the items for which an expression is true.

        Args:
            expression: over the names in `columns`, in SQLite's words, such as `category = 'shoe' AND price < 30` or
                `EXISTS (SELECT 1 FROM json_each(labels) WHERE value = 'dog')`.

        Returns:
            int64 (R,), sorted.

        Raises:
            MmkerasError: an expression that SQLite does not take, or one that does more than to read items.
        """
        rows = self._matching(expression)
        return rows if self._present is None else np.searchsorted(self._present, rows)

    def check_space(self, space_id: str) -> None:
        """Refuse embeddings of another space.

        Raises:
            MmkerasError: `space_id` is not the one that this index was made in.
        """
        if space_id != self.space_id:
            raise MmkerasError(
                f"The index {self.folder} was made in the space {self.space_id[:12]}, the model answers in "
                f"{space_id[:12]}: their embeddings cannot be compared. Use the index exported with that model"
            )

    def search(
        self, queries: ArrayLike, modality: Modality, k: int = 10, where: str | None = None, exact: bool = False
    ) -> list[list[SearchResult]]:
        """Find the items nearest to each query by cosine.

        An approximate index may miss some of them: `manifest.approximate` says what share it found when it was built.
        The scores are those of an exact search in any case.

        Args:
            queries: float (Q, D), unit norm.
            modality: which embeddings of the items to search, `"image"` or `"text"`.
            k: results a query, at most `len(self)`.
            where: search only the items for which this expression is true, see `where`.
            exact: search an approximate index exactly.

        Returns:
            List of Q lists of `SearchResult`, best first; equal scores in the items' order. Items of equal embeddings
            have equal scores.

        Raises:
            MmkerasError: a modality that the index does not have, queries of another shape, not finite or not of unit
                norm, a k that is no whole number of 1 or more, an expression that cannot be.
            MissingPartError: an approximate search where faiss is not installed.
        """
        self._check_modality(modality)
        queries = checked_queries(queries, self.dim)
        check_k(k)
        kept = None if where is None else self._matching(where)
        count = self.count if kept is None else len(kept)
        if not count:
            return [[] for _ in queries]
        parts = [segment.embeddings[modality] for segment in self.segments]
        approximate = None if exact else self._approximate.get(modality)
        found = []
        for rows, scores in found_rows(queries, parts, approximate, min(int(k), count), kept, self.gone):
            best = enumerate(zip(rows.tolist(), scores.tolist(), strict=True), 1)
            found.append([SearchResult(rank, score, self._item(row)) for rank, (row, score) in best])
        return found

    def picture(self, item: Mapping[str, Any]) -> bytes | None:
        """Return an item's picture as encoded bytes, or `None` where it has none.

        Raises:
            MmkerasError: `pictures.zip` is missing, damaged or lacks the picture.
        """
        if not item.get("picture"):
            return None
        row = self.positions([item.get("id")]).get(str(item.get("id")), 0)
        return self._segment_of(row)[0].picture(item["picture"])

    def positions(self, ids: Iterable[Any]) -> dict[str, int]:
        """Return a dict from each of some ids that is there, as text, to where it stands among all rows ever added.

        `rows_of` counts the rows that are there still; these are what segments and `Manifest` count.
        """
        ids = [str(item) for item in ids]
        found = {}
        for start, segment in zip(self._starts.tolist(), self.segments, strict=False):
            found |= {
                item: start + row for item, row in segment.table.rows_of(ids).items() if not self._is_gone(start + row)
            }
        return found

    def present_rows(self) -> Iterator[tuple[Segment, NDArray[np.int64]]]:
        """Yield each segment with those of its rows that are there, int64 (R,)."""
        for start, segment in zip(self._starts.tolist(), self.segments, strict=False):
            first, end = np.searchsorted(self.gone, [start, start + len(segment)])
            yield segment, np.delete(np.arange(len(segment)), self.gone[first:end] - start)

    def _open(self):
        manifest = self.manifest
        self.segments: Sequence[Segment] = []
        gone = [np.empty(0, np.int64)]
        self._starts = np.cumsum([0, *(segment["count"] for segment in manifest.segments)], dtype=np.int64)
        for start, of_segment in zip(self._starts.tolist(), manifest.segments, strict=False):
            place = self.folder / of_segment["name"]
            segment = Segment(place, of_segment["count"], manifest.dim, manifest.modalities, manifest.precision)
            self.segments.append(segment)
            if "removed" in of_segment:
                gone.append(start + removed_rows(self.folder / of_segment["removed"], of_segment))
        self.gone = np.concatenate(gone)
        self._approximate = {
            modality: ApproximateSearch(
                self.folder / settings["file"], manifest.kind, settings["effort"], manifest.rows
            )
            for modality, settings in manifest.approximate.items()
        }

    @functools.cached_property
    def _present(self) -> NDArray[np.int64] | None:
        """Where the items stand among all rows ever added; None where all are there."""
        return np.delete(np.arange(self.manifest.rows), self.gone) if len(self.gone) else None

    def _is_gone(self, position):
        place = np.searchsorted(self.gone, position)
        return place < len(self.gone) and self.gone[place] == position

    def _matching(self, expression):
        found = [
            start + s.table.where(expression, self.columns)
            for start, s in zip(self._starts, self.segments, strict=False)
        ]
        rows = np.concatenate(found)
        return np.setdiff1d(rows, self.gone, assume_unique=True) if len(self.gone) else rows

    def _segment_of(self, position):
        """The segment in which a row stands, and its row there."""
        number = int(np.searchsorted(self._starts, position, side="right")) - 1
        return self.segments[number], position - int(self._starts[number])

    def _item(self, position):
        segment, row = self._segment_of(position)
        return segment.item(row)

    def _check_modality(self, modality):
        if modality not in self.modalities:
            raise MmkerasError(
                f"Expected a modality of this index, {' or '.join(self.modalities)}. Received: modality={modality!r}"
            )


def _stamp_of(folder):
    """What tells one `index.json` from the one that replaces it; None where there is none."""
    try:
        found = os.stat(folder / FILE)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
