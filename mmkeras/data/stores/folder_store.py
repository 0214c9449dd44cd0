"""`FolderStore`: pictures that are files of a folder."""

from __future__ import annotations

import functools
import os
import stat
from pathlib import Path

from mmkeras.data.stores.picture_file import PictureFile
from mmkeras.data.stores.picture_store import PictureStore
from mmkeras.data.stores.stored_picture import StoredPicture
from mmkeras.errors import MmkerasError


class FolderStore(PictureStore):
    """The files of a folder.

    Args:
        place: the folder.
        outside: whether a name may lead out of the folder: by `../`, as an absolute path, or over a symbolic link. A
            captions file of somebody else could put any picture of this machine into a report or an export so.

    Example:
        >>> FolderStore(Path("photos")).find("1000268201_693b08cb0e.jpg").read_bytes()
    """

    def __init__(self, place: Path, outside: bool = False) -> None:
        self.place = place
        self.outside = outside
        self._real_place = os.path.realpath(place)
        # Most pictures lie in few folders, whose links are followed once.
        self._real_folder = functools.lru_cache(100_000)(os.path.realpath)

    @property
    def places(self) -> list[Path]:
        return [self.place]

    def find(self, name: str) -> StoredPicture:
        path = os.path.join(self.place, name)
        try:
            folder, base = os.path.split(path)
            real = os.path.join(self._real_folder(folder), base)
            status = os.lstat(real)
            if stat.S_ISLNK(status.st_mode):
                real = os.path.realpath(real)
                status = os.stat(real)
            there = stat.S_ISREG(status.st_mode)
        except (FileNotFoundError, NotADirectoryError):
            there, real = False, os.path.realpath(path)
        except (OSError, ValueError, RuntimeError) as error:  # a name of 300 characters, links in a circle
            reason = getattr(error, "strerror", None) or error
            raise MmkerasError(f"the picture {name[:80]} cannot be looked for in {self.place}: {reason}") from error
        if not self.outside and os.path.commonpath([real, self._real_place]) != self._real_place:
            raise MmkerasError(
                f"the picture {name} lies outside of {self.place}. Allow that with pictures_outside=true, if you trust "
                "the file"
            )
        if not there:
            what = "a folder" if os.path.isdir(real) else "no file" if os.path.exists(real) else "missing"
            raise MmkerasError(f"the picture {name} is {what} in {self.place}")
        return PictureFile(path, (real, status.st_size, status.st_mtime_ns))
