"""Which versions of a model there are on disk."""

from __future__ import annotations

import os
from pathlib import Path

from mmkeras.errors import MmkerasError


def list_versions(base_path: str | os.PathLike[str]) -> dict[int, Path]:
    """Return a dict from version number to folder of a model's base path, the newest last; it may be empty.

    Only folders whose name is a number count, as on TensorFlow Serving: a half-written `.tmp-1` is passed over.

    Raises:
        OSError: the base path cannot be listed.
    """
    folders = [path for path in Path(base_path).iterdir() if path.name.isascii() and path.name.isdecimal()]
    folders = [path for path in folders if int(path.name) < 2**63]  # what a message can name
    # Of 1 and 001, which are the same version, the last by name.
    folders = sorted((path for path in folders if path.is_dir()), key=lambda path: (int(path.name), path.name))
    return {int(path.name): path for path in folders}


def find_versions(base_path: str | os.PathLike[str]) -> dict[int, Path]:
    """Return `list_versions` of a base path, of which there must be one.

    Raises:
        MmkerasError: the base path is no folder, cannot be read or holds no version.
    """
    base_path = Path(base_path).expanduser().resolve()
    if not base_path.is_dir():
        raise MmkerasError(
            f"Expected base_path to be a model's folder, as mmkeras export writes it: savedmodels/NAME. "
            f"Received: base_path={str(base_path)!r}, which is {'a file' if base_path.exists() else 'missing'}"
        )
    try:
        folders = list_versions(base_path)
    except OSError as error:
        raise MmkerasError(
            f"Expected base_path to be a folder that can be read. Received: base_path={str(base_path)!r} ({error})"
        ) from error
    if not folders:
        hint = "; it is itself a version, give its parent" if (base_path / "saved_model.pb").exists() else ""
        raise MmkerasError(
            f"Expected base_path to hold versions, folders named by a number such as 1. "
            f"Received: base_path={str(base_path)!r} with {sorted(path.name for path in base_path.iterdir())}{hint}"
        )
    return folders


def version_folder(base_path: str | os.PathLike[str], version: int) -> Path:
    """Return the folder of one version of a model.

    Raises:
        MmkerasError: as `find_versions`, or there is no such version.
    """
    folders = find_versions(base_path)
    if version not in folders:
        raise MmkerasError(
            f"Expected version to be among {list(folders)} of {base_path}. Received: version={version!r}"
        )
    return folders[version]


def latest_version(folder: str | os.PathLike[str]) -> Path:
    """Return the folder of a model's newest version; a version's own folder is returned as it is.

    Raises:
        MmkerasError: as `find_versions`.
    """
    if (Path(folder) / "saved_model.pb").is_file():
        return Path(folder)
    return list(find_versions(folder).values())[-1]
