"""`Corpus`: the pictures or the texts of a source, one after the other, none of them read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

from mmkeras.data.layouts import Row, find_layout
from mmkeras.data.missing_pictures import where_it_lies
from mmkeras.data.records import picture_name
from mmkeras.embeddings.column_types import plain_value
from mmkeras.embeddings.corpus_row import CorpusRow
from mmkeras.embeddings.part import OWN
from mmkeras.embeddings.part_info import Modality
from mmkeras.errors import MmkerasError
from mmkeras.unreadable_pictures import MOST_TOLD

_OF_RECORD = ("split", "label", "labels")  # what layouts find by its meaning, and a corpus keeps under these names


class Corpus:
    """What is to be embedded of a source, in any layout of `mmkeras.data.layouts`.

    Of pictures every name is one row, however many records name it; its text and metadata are those of the first.
    Copies of a picture under other names are rows of their own. Of texts every caption is a row. Nothing is held but a
    digest of each id.

    Args:
        source: path of a file or a folder, or a name of TensorFlow Datasets.
        images: where the pictures lie, by default where the layout says.
        modality: `image` or `text`.
        outside: whether names may lead out of the place of the pictures, see `FolderStore`.

    Attributes:
        problems: what is wrong with records that are no rows, the first few messages.
        left_out: how many there are.
        missing: how many pictures are not where they should be; they are rows with an error.

    Raises:
        MmkerasError: no such source, or pictures that are looked for where there is nothing.

    Example:
        >>> [row.id for row in Corpus("captions.csv", "photos")]
        ['1.jpg', '2.jpg']
    """

    def __init__(
        self,
        source: str | os.PathLike[str],
        images: str | os.PathLike[str] | None = None,
        modality: Modality = "image",
        outside: bool = False,
    ) -> None:
        if str(source) == "glyphs" or str(source).endswith(".npz"):
            raise MmkerasError(f"Expected pictures or texts of a file or a folder. Received: {source}")
        self.layout = find_layout(Path(source), corpus=True)
        self.modality = modality
        self.images, self.outside = images, outside
        self._begin()

    def _begin(self):
        self.problems: list[str] = []
        self.left_out = self.missing = self._texts = 0
        self._seen: set[bytes] = set()

    @property
    def untyped(self) -> bool:
        """Whether numbers stand in the source as texts do; known once the rows were read."""
        return self.layout.untyped

    def __iter__(self) -> Iterator[CorpusRow]:
        """Yield the rows.

        Raises:
            MmkerasError: the source as a whole cannot be read, or nothing of it is a row.
        """
        self._begin()
        pictures = self.modality == "image"
        store = self.layout.store(Path(self.images) if self.images else None, self.outside) if pictures else None
        found = 0
        first_missing = ""
        for record in self.layout.rows():
            try:
                rows = self._picture(record, store) if pictures else self._captions(record)
            except MmkerasError as error:
                self._leave_out(str(error))
                continue
            for row in rows:
                found += 1
                first_missing = first_missing or row.error or ""
                yield row
        if not found or (pictures and self.missing == found):
            raise MmkerasError(self._nothing(found, first_missing))

    def _picture(self, record, store):
        fields = self._fields(record)
        name = fields.get("image")
        if not isinstance(name, str) or not name:
            raise MmkerasError(f"{self._where(record)}: expected a picture. Received: {record.received[:80]!r}")
        name = picture_name(self._where(record), name)
        if not self._is_new(name):
            return []
        texts = _texts(fields)
        shown = plain_value(name)
        row = CorpusRow(shown, shown, text=texts[0] if texts else None, metadata=_metadata(record, fields))
        try:
            picture = store.find(name)
            row.place, row.size = picture.place(), picture.own_size()
        except MmkerasError as error:
            hint = where_it_lies(name, store.places) if self.missing < MOST_TOLD else ""
            row.error = plain_value(f"{error}. {hint}" if hint else str(error))
            self.missing += 1
        return [row]

    def _captions(self, record):
        fields = self._fields(record)
        texts = _texts(fields)
        if not texts:
            raise MmkerasError(f"{self._where(record)}: expected a text. Received: {record.received[:80]!r}")
        own = fields.get("id", record.metadata.get("id"))
        metadata = _metadata(record, fields)
        metadata.pop("source_id", None)
        rows = []
        for text in texts:
            number, self._texts = self._texts, self._texts + 1
            name = f"text-{number}" if own is None or not str(own).strip() else plain_value(str(own))
            while not self._is_new(name):
                name = f"{name}#{number}"
            rows.append(CorpusRow(name, text=text, metadata=metadata))
        return rows

    def _fields(self, record: Row) -> dict[str, Any]:
        if record.fields is None:
            expected = self.layout.expected
            raise MmkerasError(f"{self._where(record)}: expected {expected}. Received: {record.received[:80]!r}")
        return dict(record.fields)

    def _where(self, record):
        return f"{self.layout.source}, {record.where}"

    def _is_new(self, name):
        digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if digest in self._seen:
            return False
        self._seen.add(digest)
        return True

    def _leave_out(self, problem):
        self.left_out += 1
        if len(self.problems) < MOST_TOLD:
            self.problems.append(problem)

    def _nothing(self, found, first_missing):
        if found:
            return f"None of the {found:,} pictures is there: {first_missing}"
        told = f". The first: {self.problems[0]}" if self.problems else ""
        what = "picture" if self.modality == "image" else "text"
        return f"{self.layout.source}: expected at least one {what}. Received: {self.left_out:,} other records{told}"


def _texts(fields):
    """The captions of a record that are texts and not blank."""
    captions = fields.get("captions", [])
    captions = captions if isinstance(captions, list) else [captions]
    return [plain_value(text) for text in captions if isinstance(text, str) and text.strip()]


def _metadata(record, fields):
    """What a row keeps beside its text: a column that is called as one of ours is called `source_NAME`."""
    said = {key: fields[key] for key in _OF_RECORD if fields.get(key) is not None}
    for name, value in record.metadata.items():
        name = plain_value(name)
        if name.strip():
            said[f"source_{name}" if name in OWN or name in said else name] = value
    return {name: plain_value(value) for name, value in said.items()}
