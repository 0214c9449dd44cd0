"""`PictureFile`: a picture that is a file of its own."""

from __future__ import annotations

import os
from typing import Any

from mmkeras.data.stores.stored_picture import StoredPicture
from mmkeras.errors import MmkerasError


class PictureFile(StoredPicture):
    """A file.

    Args:
        path: where it was looked for.
        stamp: its real path, size in bytes and time of its last change in ns; where it is only read, `None`.
    """

    __slots__ = ("_stamp", "path")

    def __init__(self, path: str, stamp: tuple[str, int, int] | None = None) -> None:
        self.path = path
        self._stamp = stamp

    def __str__(self) -> str:
        return self.path

    def read_bytes(self) -> bytes:
        return self.read_beginning(-1)

    def read_beginning(self, size: int) -> bytes:
        try:
            with open(self.path, "rb") as stream:
                return stream.read(size)
        except OSError as error:
            raise MmkerasError(
                f"Expected a readable picture file. Received: picture {self.path!r} ({error.strerror})"
            ) from error

    def stamp(self) -> tuple[str, int, int]:
        if self._stamp is None:
            real = os.path.realpath(self.path)
            status = os.stat(real)
            self._stamp = real, status.st_size, status.st_mtime_ns
        return self._stamp

    def place(self) -> list[Any]:
        return ["file", os.path.abspath(self.path)]
