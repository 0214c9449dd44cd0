"""`ZipStore`: pictures in a zip, which is read in place."""

from __future__ import annotations

import threading
import zipfile
import zlib
from pathlib import Path

from mmkeras.archives import read_member
from mmkeras.data.stores.part_of_file import Archive
from mmkeras.data.stores.picture_store import PictureStore
from mmkeras.data.stores.stored_picture import StoredPicture
from mmkeras.errors import MmkerasError

# What reading a member of a damaged, encrypted or exotic zip raises.
UNREADABLE = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


class ZipStore(PictureStore):
    """The members of a zip.

    A picture is judged by the size that it declares, 256 MiB at most, and never unpacks to more.

    Args:
        file: the zip.
        inside: a folder within it; `.` is its root.

    Raises:
        MmkerasError: a file that is no zip.

    Example:
        >>> ZipStore(Path("flickr8k/images_160.zip")).find("1000268201_693b08cb0e.jpg").read_bytes()
    """

    def __init__(self, file: Path, inside: str = ".") -> None:
        try:
            self.zip = zipfile.ZipFile(file)
        except UNREADABLE as error:
            raise MmkerasError(
                f"Expected --images to be a folder, a zip or a tar. Received: {file}, which is no readable zip: {error}"
            ) from error
        self.file = file
        self.inside = inside
        self.place = file if inside == "." else file / inside
        self.lock = threading.Lock()
        self.archive = Archive(file)
        self.members: dict[str, list[zipfile.ZipInfo]] = {}
        for info in self.zip.infolist():
            if not info.is_dir():
                self.members.setdefault(info.filename, []).append(info)

    def find(self, name: str) -> StoredPicture:
        member = name if self.inside == "." else f"{self.inside}/{name}"
        infos = self.members.get(member, [])
        if len(infos) > 1:
            raise MmkerasError(f"the picture {name} is in {self.place} {len(infos)} times. Leave one of them")
        if not infos:
            elsewhere = next((other for other in self.members if other.endswith(f"/{name}")), None)
            hint = elsewhere and f". It has {elsewhere}: give --images {self.file / elsewhere[: -len(name) - 1]}"
            raise MmkerasError(f"the picture {name} is missing in {self.place}{hint or ''}")
        return _Member(self, infos[0])


class _Member(StoredPicture):
    """A picture in a zip."""

    __slots__ = ("info", "store")

    def __init__(self, store, info):
        self.store = store
        self.info = info

    def __str__(self):
        return f"{self.store.file}/{self.info.filename}"

    def read_bytes(self):
        try:
            with self.store.lock:  # pictures are read by several threads, and a zip is one open file
                return read_member(self.store.zip, self.info.filename)
        except UNREADABLE as error:
            raise MmkerasError(f"{self.info.filename} in {self.store.file} cannot be read: {error}") from error

    def read_beginning(self, size):
        try:
            with self.store.lock, self.store.zip.open(self.info) as stream:
                return stream.read(size)
        except UNREADABLE as error:
            raise MmkerasError(f"{self.info.filename} in {self.store.file} cannot be read: {error}") from error

    def stamp(self):
        archive = self.store.archive
        return f"{archive.path}::{self.info.filename}", self.info.file_size, archive.time

    def place(self):
        return ["zip", self.store.archive.path, self.info.filename]
