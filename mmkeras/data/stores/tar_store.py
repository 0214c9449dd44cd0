"""`TarStore`: pictures in tars, such as the shards of img2dataset and webdataset, read by offset and length."""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mmkeras.data.cache import cached_arrays
from mmkeras.data.stores.archive import Archive
from mmkeras.data.stores.part_of_file import PartOfFile
from mmkeras.data.stores.picture_store import PictureStore
from mmkeras.errors import MmkerasError


class TarStore(PictureStore):
    """The members of one tar or of several, which are not compressed.

    Where each member lies is found once by reading the headers, and kept in the cache folder until the tar changes.
    A member's name is its path in the tar; where there are several tars, the tar's path from the folder that they have
    in common and a `/` stand before it.

    Args:
        files: paths of the tars.

    Raises:
        MmkerasError: a file that is no tar, or a compressed one.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = list(files)
        common = os.path.commonpath([os.path.abspath(file.parent) for file in self.files])
        self.members: dict[str, PartOfFile | None] = {}  # None: there more than once
        for file in self.files:
            archive = Archive(file)
            before = f"{os.path.relpath(file, common)}/" if len(self.files) > 1 else ""
            for name, offset, size in _members(file):
                twice = f"{before}{name}" in self.members
                self.members[f"{before}{name}"] = None if twice else PartOfFile(archive, name, offset, size)

    def __iter__(self) -> Iterator[str]:
        """The names, in the order of the tars."""
        return iter(self.members)

    def find(self, name: str) -> PartOfFile:
        where = self.files[0] if len(self.files) == 1 else f"{len(self.files)} tars of {self.files[0].parent}"
        if name not in self.members:
            raise MmkerasError(f"the picture {name} is missing in {where}")
        if (member := self.members[name]) is None:
            raise MmkerasError(f"the picture {name} is in {where} more than once. Leave one of them")
        return member


def _members(file):
    """The regular files of a tar: tuples of name, offset and size."""
    status = os.stat(file)
    key = {"tar": os.path.realpath(file), "size": status.st_size, "time": status.st_mtime_ns}
    arrays = cached_arrays("tar", key, lambda: _read_headers(file))
    return zip(arrays["names"].tolist(), arrays["offsets"].tolist(), arrays["sizes"].tolist(), strict=True)


def _read_headers(file):
    try:
        with tarfile.open(file, "r:") as tar:
            members = [(posixpath.normpath(one.name), one.offset_data, one.size) for one in tar if one.isreg()]
    except (tarfile.TarError, EOFError, OSError) as error:
        raise MmkerasError(
            f"{file} is no readable tar, or a compressed one, which cannot be read by row: {error}"
        ) from error
    names, offsets, sizes = zip(*members, strict=True) if members else ((), (), ())
    return {
        "names": np.array(names, str),
        "offsets": np.array(offsets, np.int64),
        "sizes": np.array(sizes, np.int64),
    }
