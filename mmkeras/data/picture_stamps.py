"""Stamps of pictures: by which a file is known again that was looked at before, without reading it."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

Stamp: TypeAlias = tuple[str, int, int]  # path, bytes, time of the last change in nanoseconds since 1970

# A file that is written twice within the tick of its clock (2 s on FAT, 4 ms on most) has one stamp for two contents.
TICK_NS = 2 * 10**9


def stamps_of(pictures: Iterable[Any]) -> list[Stamp | None]:
    """Return the stamps of pictures, to be taken before they are read.

    Args:
        pictures: list of N paths, of objects with `stamp()`, or of anything else.

    Returns:
        list of N: (path without symbolic links, size in bytes, time of change in ns) of a file, or what `stamp()`
        returned, of a member of an archive for example ("archive.zip::member", its size, the archive's time). `None`
        for what lies in memory, for what is no file, and where the last change was less than two seconds ago: the next
        change might not show.
    """
    newest = time.time_ns() - TICK_NS
    folders: dict[str, str] = {}
    stamps = []
    for picture in pictures:
        try:
            stamp = _stamp(picture, folders)
        except (OSError, ValueError):  # not there, links in a circle, a null character
            stamp = None
        stamps.append(stamp if stamp is not None and stamp[2] <= newest else None)
    return stamps


def stamp_of(picture: Any) -> Stamp | None:
    """Return the stamp of one picture, see `stamps_of`."""
    return stamps_of([picture])[0]


def digest_of(content: Any) -> bytes:
    """Return the SHA-256 of a picture in hexadecimal.

    Args:
        content: bytes of a file, or an array, whose type and shape count too.
    """
    if not isinstance(content, bytes):
        array = np.asarray(content)
        content = f"{array.dtype} {array.shape} ".encode() + array.tobytes()
    return hashlib.sha256(content).hexdigest().encode()


def _stamp(picture: Any, folders: dict[str, str]) -> Stamp | None:
    if hasattr(picture, "stamp"):
        return picture.stamp()
    if not isinstance(picture, (str, os.PathLike)):
        return None
    path = os.fspath(picture)
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    folder, name = os.path.split(path)
    if folder not in folders:  # many pictures lie in one folder, whose links are followed once
        folders[folder] = os.path.realpath(folder)
    path = os.path.join(folders[folder], name)
    facts = os.lstat(path)
    if stat.S_ISLNK(facts.st_mode) or name in ("", "..", "."):
        path = os.path.realpath(path)
        facts = os.stat(path)
    return (path, facts.st_size, facts.st_mtime_ns) if stat.S_ISREG(facts.st_mode) else None
