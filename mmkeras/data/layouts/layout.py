"""`Layout`: what a reader of one layout is."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from pathlib import Path

from mmkeras.data.layouts.row import Row
from mmkeras.data.stores import PictureStore, open_first, open_store

# Folders in which pictures lie beside their captions: anybody's, and those of Flickr8k and Flickr30k as they unpack.
BESIDE = (
    *("images", "Images", "pictures", "photos"),
    *("Flicker8k_Dataset", "Flickr8k_Dataset", "flickr30k-images", "flickr30k_images"),
)


class Layout(abc.ABC):
    """Reads one layout. A new one is a subclass in a file of its own, and a line in `finding.py`.

    Args:
        source: path of the file or folder.
        corpus: whether it is read to be embedded. Then a picture needs no caption and a caption no picture, and rows
            carry what stands in other columns, see `Row.metadata`.

    Attributes:
        title: what people call the layout, "CSV or TSV".
        expected: a record of it, for messages.
        unused: names of columns or keys of the source that say nothing here; known once the rows were read.
        untyped: whether numbers stand there as texts do, as in CSV; known once the rows were read.
    """

    title: str
    expected: str = '{"image": "name.jpg", "split": "train", "captions": ["..."]}'

    def __init__(self, source: Path, corpus: bool = False) -> None:
        self.source, self.corpus = source, corpus
        self.unused: list[str] = []
        self.untyped = False

    @classmethod
    @abc.abstractmethod
    def recognises(cls, source: Path) -> bool:
        """Return whether a file or folder, which is there, is of this layout; reads no more than its beginning."""

    @abc.abstractmethod
    def rows(self) -> Iterator[Row]:
        """Return the records one after the other.

        Raises:
            MmkerasError: the source as a whole cannot be read.
        """

    def places(self) -> list[Path]:
        """Return where pictures are looked for where the user does not say; those that are there, in this order."""
        return [self.source.parent, *(self.source.parent / name for name in BESIDE)]

    def store(self, place: Path | None, outside: bool = False) -> PictureStore:
        """Return where the pictures lie.

        Args:
            place: what the user says, a folder or an archive; by default `places`.
            outside: whether names may lead out of it.

        Raises:
            MmkerasError: there is no such place.
        """
        return open_store(place, outside) if place else open_first(self.places(), outside)
