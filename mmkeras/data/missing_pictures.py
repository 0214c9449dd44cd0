"""Where a picture lies that is not where it was looked for: what makes a mistake in names or folders plain."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from mmkeras.data.layouts.picture_walk import PICTURES, files_below

PARENTS = 3  # folders above a place that are looked into
MOST_FILES = 100_000  # that are looked through below a place


def where_it_lies(name: str, places: Sequence[Path], all_missing: bool = True) -> str:
    """Return where a missing picture is, and what to change so that it is found; empty where nobody knows.

    Looked for are: the same path from a folder above; the path without its first folders; the name with the ending of
    a picture, or in other letters; a file of this name in a folder below.

    Args:
        name: the picture's name as it stands in the records.
        places: the folders in which it was looked for.
        all_missing: whether no picture is found there, so that other places may be meant.

    Example:
        >>> where_it_lies("photos/a.jpg", ["photos"])
        'It is /data/photos/a.jpg: give --images /data'
    """
    parts = (PureWindowsPath if "\\" in name else PurePosixPath)(name).parts
    parts = parts[1:] if parts and parts[0].endswith(("/", "\\")) else parts
    if not parts or ".." in parts or "\0" in name:
        return ""
    for place in map(Path, map(os.path.abspath, places)):
        for above in place.parents[:PARENTS]:
            if above.name and os.path.isfile(above.joinpath(*parts)):
                cure = f"give --images {above}" if all_missing else f"move it into {place}"
                return f"It is {above.joinpath(*parts)}: {cure}"
        for rest in range(len(parts)):
            if found := _called_otherwise(place, parts[rest:]):
                return f"It is {place / found}: write it as {found}"
        if folder := _folder_below(place, parts[-1]):
            other = all_missing and len(parts) == 1
            cure = f"give --images {place / folder}" if other else f"write it as {folder}/{parts[-1]}"
            return f"It is {place / folder / parts[-1]}: {cure}"
    return ""


def _called_otherwise(place, parts):
    """The name in a folder of what is there under these parts, with another ending or in other letters."""
    folder, base = place.joinpath(*parts[:-1]), parts[-1]
    try:
        names = sorted(os.listdir(folder), reverse=True)
    except (OSError, ValueError):
        return ""
    by_letters = {name.casefold(): name for name in names}
    alike = (by_letters.get(base.casefold() + ending, "") for ending in ("", *PICTURES))
    found = base if base in names else next(filter(None, alike), "")
    return "/".join((*parts[:-1], found)) if found and os.path.isfile(folder / found) else ""


def _folder_below(place, base):
    seen = 0
    for folder, names in files_below(place):
        if folder and base in names and os.path.isfile(place / folder / base):
            return folder
        seen += len(names)
        if seen > MOST_FILES:
            break
    return ""
