"""`StoredPicture`: a picture of a store, unread."""

from __future__ import annotations

import abc
from typing import Any


class StoredPicture(abc.ABC):
    """A picture that is read when somebody wants it.

    `str()` of it is its name for messages, a path that can be looked up.
    """

    __slots__ = ()

    @abc.abstractmethod
    def read_bytes(self) -> bytes:
        """Return the encoded picture.

        Raises:
            MmkerasError: it cannot be read.
        """

    @abc.abstractmethod
    def stamp(self) -> tuple[str, int, int]:
        """Return what tells this picture, and a change of it, without reading it: place, bytes and time (ns)."""

    @abc.abstractmethod
    def place(self) -> list[Any]:
        """Return where it lies, as a list of strings and numbers, which `OpenPlaces` reads in any process."""

    def own_size(self) -> int | None:
        """Return the bytes of the encoded picture; `None` where they are not known before it is read."""
        return self.stamp()[1]

    def read_beginning(self, size: int) -> bytes:
        """Return the first `size` bytes of the encoded picture, all of them where it has no more.

        Raises:
            MmkerasError: it cannot be read.
        """
        return self.read_bytes()[:size]
