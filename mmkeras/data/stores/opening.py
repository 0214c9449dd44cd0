"""Opening a place of pictures by what it is."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path

from mmkeras.data.stores.folder_store import FolderStore
from mmkeras.data.stores.folders_in_turn import FoldersInTurn
from mmkeras.data.stores.picture_store import PictureStore
from mmkeras.data.stores.tar_store import TarStore
from mmkeras.data.stores.zip_store import ZipStore
from mmkeras.errors import MmkerasError


def open_store(place: str | os.PathLike[str], outside: bool = False) -> PictureStore:
    """Return the pictures of a folder, a zip, a folder within a zip such as `pictures.zip/images`, or a tar.

    Args:
        place: path.
        outside: whether a name may lead out of a folder, see `FolderStore`.

    Raises:
        MmkerasError: there is no such place, or a file that is neither.
    """
    path = Path(place)
    if path.is_dir():
        return FolderStore(path, outside)
    file = next((one for one in (path, *path.parents) if one.is_file()), None)
    if file is None:
        near = difflib.get_close_matches(path.name, _names(path.parent), 1)
        hint = f". There is {path.parent / near[0]}" if near else ""
        raise MmkerasError(
            f"Expected --images to be a folder, a zip or a tar. Received: {place}, which is not there{hint}"
        )
    if file.suffix == ".tar":
        return TarStore([file])
    return ZipStore(file, path.relative_to(file).as_posix())


def _names(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []


def open_first(folders: Sequence[str | os.PathLike[str]], outside: bool = False) -> PictureStore:
    """Return the pictures of those of some folders that are there; where two have one, it is the first one's.

    Args:
        folders: paths, of which the first is that of a folder that is there.
        outside: whether a name may lead out of a folder, see `FolderStore`.
    """
    there = [Path(folder) for folder in folders if os.path.isdir(folder)] or [Path(folders[0])]
    stores = [FolderStore(folder, outside) for folder in there]
    return stores[0] if len(stores) == 1 else FoldersInTurn(stores)
