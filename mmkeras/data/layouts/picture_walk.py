"""The pictures of a folder and of those below it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
# Formats that are not read: pictures all the same, of which each is told.
OTHER_PICTURES = (".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2")


def files_below(folder: Path, unread: dict[str, str] | None = None) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder below a folder, itself first, and the files in it, all in the order of their names.

    Names that begin with a dot are left out, and what macOS adds to archives. Links are followed, each folder is seen
    once.

    Args:
        folder: path.
        unread: dict that is told of folders that cannot be opened, by their name the reason.

    Yields:
        tuple of the folder, relative with `/`, `""` for itself, and list of the names of its files.
    """
    seen, waiting = set(), [""]
    while waiting:
        inside = waiting.pop()
        path = os.path.join(folder, inside)
        real = os.path.realpath(path)
        if real in seen:
            continue
        seen.add(real)
        files, folders = [], []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and entry.name != "__MACOSX":
                        # os.path's answer is no where links run in a circle; an entry's own is an exception
                        (folders if os.path.isdir(entry.path) else files).append(entry.name)
        except OSError as error:
            if unread is not None:
                unread[inside or "."] = error.strerror or str(error)
            continue
        yield inside, sorted(files)
        waiting += [f"{inside}/{name}" if inside else name for name in sorted(folders, reverse=True)]


def has_pictures(folder: Path, most: int = 100_000) -> bool:
    """Return whether one of the first `most` files of a folder and of those below it is a picture."""
    names = (name for _, names in files_below(folder) for name in names)
    return any(is_picture(name) for name in itertools.islice(names, most))


def is_picture(name: str) -> bool:
    """Return whether a file's name ends as that of a picture."""
    return os.path.splitext(name)[1].lower() in (*PICTURES, *OTHER_PICTURES)
