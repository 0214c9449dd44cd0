"""`StoredPictures`: pictures that are read when a batch wants them."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.data.picture_loader import PictureLoader
from mmkeras.unreadable_pictures import UnreadablePictures

RECENT = 64  # batches that are read and may not have reached the model yet, at most


class StoredPictures:
    """A sequence of pictures as an array of them would be read, of which none is kept in memory.

    It stands in for an array (P, H, W, C) wherever rows are taken batch by batch: training, encoding, reports.

    Args:
        pictures: list of what `loader.load` takes: what a `PictureStore` finds, paths, bytes or arrays.
        loader: `PictureLoader` of pixels, such as `ImagePreprocessor`.

    Attributes:
        recent: the rows of the batches that were read last, arrays (B,).

    Example:
        >>> StoredPictures(paths, ImagePreprocessor(224, 224))[3].shape
        (224, 224, 3)
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, pictures: Sequence[Any], loader: PictureLoader) -> None:
        self.pictures = pictures
        self.loader = loader
        self.recent: collections.deque[NDArray[np.integer]] = collections.deque(maxlen=RECENT)

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def shape(self) -> tuple[int, ...]:
        """As of the array that it stands in for, (P, H, W, C)."""
        return len(self), *self.loader.output_shape

    def __getitem__(self, rows: Any) -> Any:
        """Return one picture, uint8 (H, W, C), or for a slice or an array of rows the sequence of those, unread."""
        if isinstance(rows, slice):
            return StoredPictures(self.pictures[rows], self.loader)
        if np.ndim(rows):
            return StoredPictures([self.pictures[row] for row in np.arange(len(self))[rows].tolist()], self.loader)
        return self.loader.load([self.pictures[rows]])[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.uint8]:
        """Read all of them."""
        return np.asarray(self.loader.load(self.pictures), dtype)

    def read_bytes(self, rows: NDArray[np.integer]) -> NDArray[np.object_]:
        """Return the encoded pictures of some rows, an object array of bytes.

        Raises:
            MmkerasError: one that cannot be read.
        """
        contents = np.empty(len(rows), object)
        contents[:] = [self.pictures[row].read_bytes() for row in rows.tolist()]
        return contents

    def why_unreadable(self) -> str:
        """Read the pictures of the last batches again; return what is wrong with them, `""` where nothing is.

        A graph that fails on a batch cannot name the picture.
        """
        for rows in list(self.recent)[::-1]:
            try:
                self.loader.load([self.pictures[row] for row in rows.tolist()])
            except UnreadablePictures as error:
                return str(error)
        return ""

    @property
    def digest(self) -> str:
        """A digest of the pictures' names and sizes in bytes, none of which is read; or of an array."""
        digest = hashlib.sha256()
        if isinstance(self.pictures, np.ndarray):
            digest.update(np.ascontiguousarray(self.pictures))
            return digest.hexdigest()
        for picture in self.pictures:
            _, size, _ = picture.stamp()
            digest.update(f"{picture} {size}\n".encode())
        return digest.hexdigest()
