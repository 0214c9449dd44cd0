"""Where the index of an exported version is: within the version, or beside the versions where it is large."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mmkeras.atomic import refuse_existing
from mmkeras.errors import MmkerasError

POINTERS = "indexes.json"
INDEX, TEXTS = "index", "index_of_texts"


@contextlib.contextmanager
def beside_versions(version: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the folder beside the versions of a model in which one of them may have its index; an error removes it.

    A server passes it over: its name is no number. It is `index-3` for the version 3, and `index-3_of_texts` goes with
    it.

    Args:
        version: path of the version's folder.

    Raises:
        MmkerasError: the folder is there already.
    """
    version = Path(version)
    folder = version.with_name(f"index-{version.name}")
    refuse_existing(folder)
    try:
        yield folder
    except BaseException:
        for made in (folder, _of_texts(folder)):
            shutil.rmtree(made, ignore_errors=True)
        raise


def point_to(folder: str | os.PathLike[str], extra: str | os.PathLike[str]) -> None:
    """Write where a version's index is, and give the index a copy of what the version says of its space.

    Args:
        folder: the index, as `beside_versions` gave it.
        extra: the version's folder `assets.extra`, wherever it is now.
    """
    places = {INDEX: Path(folder), TEXTS: _of_texts(folder)}
    there = {name: place for name, place in places.items() if place.is_dir()}
    for place in there.values():
        shutil.copyfile(Path(extra) / "space.json", place / "space.json")
    told = {name: f"../{place.name}" for name, place in there.items()}
    (Path(extra) / POINTERS).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def exported_index(version: str | os.PathLike[str], texts: bool = False) -> Path:
    """Return the folder of the index of an exported version.

    Args:
        version: folder of the version, `savedmodels/NAME/1`.
        texts: whether the index of the texts is wanted, where pictures and texts are apart.

    Raises:
        MmkerasError: the file that says where it is, is damaged.
    """
    extra = Path(version) / "assets.extra"
    places = {name: extra / name for name in (INDEX, TEXTS) if (extra / name).is_dir()}
    file = extra / POINTERS
    if file.is_file():
        try:
            told = json.loads(file.read_text(encoding="utf-8"))
            places |= {name: Path(os.path.normpath(Path(version) / place)) for name, place in told.items()}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise MmkerasError(f"{file} is damaged: {error}") from error
    return places.get(TEXTS if texts else INDEX, places.get(INDEX, extra / INDEX))


def _of_texts(folder):
    folder = Path(folder)
    return folder.with_name(f"{folder.name}_of_texts")
