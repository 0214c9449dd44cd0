"""`PartOfFile`: a picture that stands in an archive as it is, at an offset."""

from __future__ import annotations

import os
from typing import Any

from mmkeras.data.stores.archive import Archive
from mmkeras.data.stores.stored_picture import StoredPicture
from mmkeras.errors import MmkerasError


class PartOfFile(StoredPicture):
    """Bytes of an archive, which several threads and processes may read at once.

    Args:
        archive: `Archive`.
        name: of the picture in it.
        offset: where it begins, in bytes.
        size: its bytes.
    """

    __slots__ = ("archive", "name", "offset", "size")

    def __init__(self, archive: Archive, name: str, offset: int, size: int) -> None:
        self.archive, self.name, self.offset, self.size = archive, name, offset, size

    def __str__(self):
        return f"{self.archive.path}/{self.name}"

    def read_bytes(self) -> bytes:
        return self.read_beginning(self.size)

    def read_beginning(self, size: int) -> bytes:
        size = min(size, self.size)
        try:
            content = os.pread(self.archive.descriptor, size, self.offset)
        except OSError as error:
            raise MmkerasError(f"{self.name} in {self.archive.path} cannot be read: {error.strerror}") from error
        if len(content) != size:
            raise MmkerasError(
                f"{self.name} in {self.archive.path} cannot be read: the file ends "
                f"{self.size - len(content)} bytes before the picture does"
            )
        return content

    def stamp(self) -> tuple[str, int, int]:
        return f"{self.archive.path}::{self.name}", self.size, self.archive.time

    def place(self) -> list[Any]:
        return ["part", self.archive.path, self.name, self.offset, self.size]
