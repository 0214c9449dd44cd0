"""`OpenPlaces`: pictures by where they lie, in a process that knows nothing else of their data set."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmkeras.data.stores.archive import Archive
from mmkeras.data.stores.arrow_file import ArrowFile
from mmkeras.data.stores.parquet_file import ParquetFile
from mmkeras.data.stores.part_of_file import PartOfFile
from mmkeras.data.stores.picture_file import PictureFile
from mmkeras.data.stores.picture_store import PictureStore
from mmkeras.data.stores.row_store import RowStore
from mmkeras.data.stores.stored_picture import StoredPicture
from mmkeras.data.stores.tfds_store import TfdsStore
from mmkeras.data.stores.zip_store import ZipStore
from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError

MOST_OPEN = 32  # archives and tables that are held open


class OpenPlaces:
    """Reads pictures where `StoredPicture.place` says that they lie; several threads may ask at once.

    The last archives and tables stay open, so that pictures that are asked for in their order cost one opening.

    Example:
        >>> OpenPlaces().read(["part", "/data/00000.tar", "000000000.jpg", 512, 20480])
    """

    def __init__(self) -> None:
        self._open = functools.lru_cache(MOST_OPEN)(_open)
        self._lock = threading.Lock()

    def read(self, place: Sequence[Any]) -> bytes:
        """Return the encoded picture of a place.

        Args:
            place: what `StoredPicture.place` returned, of this process or of another one.

        Raises:
            MmkerasError: it cannot be read, or the place is of a kind that is not known.
        """
        return self._find(*place).read_bytes()

    def _find(self, kind: str, path: str, *where: Any) -> StoredPicture:
        if kind == "file":
            return PictureFile(path)
        with self._lock:
            try:
                opened = self._open(kind, path, *(where[:2] if kind == "tfds" else ()))
            except OSError as error:
                raise MmkerasError(f"{path} cannot be read: {error.strerror or error}") from error
        if isinstance(opened, Archive):
            name, offset, size = where
            return PartOfFile(opened, name, offset, size)
        if isinstance(opened, PictureStore):
            return opened.find(where[0] if kind == "zip" else f"{where[0]}/{where[-1]}")
        column, row = where
        return RowStore({"": opened}, {"": column}).find(f"/{row}")


def _open(kind: str, path: str, *of: str) -> Archive | PictureStore | ParquetFile | ArrowFile:
    if kind == "part":
        return Archive(path)
    if kind == "zip":
        return ZipStore(Path(path))
    if kind == "parquet":
        return ParquetFile(Path(path))
    if kind == "arrow":
        return ArrowFile(Path(path))
    if kind != "tfds":
        raise MmkerasError(f"Expected a place of the kind file, part, zip, parquet, arrow or tfds. Received: {kind!r}")
    try:
        import tensorflow_datasets  # type: ignore[import-not-found]
    except ModuleNotFoundError as error:
        raise MissingPartError("tfds: needs tensorflow-datasets", "tfds", whole=True) from error
    split, feature = of
    builder = tensorflow_datasets.builder_from_directory(path)
    source = builder.as_data_source(split, decoders={feature: tensorflow_datasets.decode.SkipDecoding()})
    return TfdsStore({split: source}, feature, path, 0)
