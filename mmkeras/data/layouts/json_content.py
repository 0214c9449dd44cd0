"""`JsonContent`: what a reader of one layout within a JSON file is."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import Any, ClassVar

from mmkeras.data.layouts.row import Row


class JsonContent(abc.ABC):
    """Reads one layout from what a JSON file holds. A new one is a subclass, and an entry in `json_file.py`.

    Args:
        content: what the file holds, of which `holds` is true.
        where: the file, for messages.
        corpus: whether it is read to be embedded, see `Layout`.

    Attributes:
        title: what people call the layout.
        expected: a record of it, for messages.
        unused: keys that say nothing here; known once the rows were read.
    """

    title: ClassVar[str]
    expected: ClassVar[str]

    def __init__(self, content: Any, where: str, corpus: bool = False) -> None:
        self.content, self.where, self.corpus = content, where, corpus
        self.unused: list[str] = []

    @classmethod
    @abc.abstractmethod
    def holds(cls, content: Any) -> bool:
        """Return whether the content is of this layout."""

    @abc.abstractmethod
    def rows(self) -> Iterator[Row]:
        """Return the records one after the other.

        Raises:
            MmkerasError: the content as a whole says nothing.
        """
