"""Finding a data set by the name that a recipe gives it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mmkeras.data.feature_layouts import is_feature_folder
from mmkeras.data.glyphs import Glyphs, check_split
from mmkeras.data.layouts import find_layout
from mmkeras.data.layouts.finding import SUFFIXES
from mmkeras.errors import MmkerasError

if TYPE_CHECKING:
    from mmkeras.data.paired import PairedData
    from mmkeras.data.picture_loader import PictureLoader
    from mmkeras.data.records import Targets


class Source(Protocol):
    """A data set with splits: `CaptionedPictures`, the glyphs, or features."""

    def splits(
        self, names: Sequence[str], loader: PictureLoader | None = None, limit: int = 0, unread: bool = False
    ) -> list[PairedData]:
        """Return splits, see `CaptionedPictures.splits`."""


def open_source(
    source: str | os.PathLike[str],
    image_folder: str | os.PathLike[str] | None = None,
    targets: Targets = "",
    **reading: Any,
) -> Source:
    """Return a data set, none of its pictures decoded.

    Args:
        source: `glyphs`; a file or folder of pictures with captions in any layout that `mmkeras.data.read` reads; or a
            feature set, an `.npz` file or a folder, see `load_features`.
        image_folder: where the pictures lie, or their features, see `mmkeras.data.read`.
        targets: categories to load: `""` none, `category` one an item, `tags` any number.
        **reading: how pictures with captions are read, see `mmkeras.data.read`.

    Raises:
        MmkerasError: no such data set.
    """
    check_source(source)
    if source == "glyphs":
        return _GlyphSource(targets)
    if _is_features(source):
        return _FeatureSource(source, targets)
    from mmkeras.data.reading import read

    return read(source, image_folder, targets=targets, **reading)


def load_source(
    source: str | os.PathLike[str],
    split: str,
    loader: PictureLoader | None = None,
    image_folder: str | os.PathLike[str] | None = None,
    limit: int = 0,
    targets: Targets = "",
    **reading: Any,
) -> PairedData:
    """Return one split of a data set, its pictures as `loader` makes them.

    Args:
        source: see `open_source`, as are `image_folder`, `targets` and `**reading`.
        split: `train`, `dev`, `test` or `all`, or another of the source; several are joined by `+`.
        loader: `ImagePreprocessor` of the model, or `FrozenFeatures`, which returns features in place of
            pictures; without it the glyphs keep their 32 x 32 px, and of captions only features can be read.
        limit: only the first so many texts (glyphs), pictures (captions) or pairs (features); 0 is all.

    Returns:
        `PairedData`.

    Raises:
        MmkerasError: no such data set or split.
    """
    check_source(source, split)
    return open_source(source, image_folder, targets, **reading).splits([split], loader, limit)[0]


def check_source(source: str | os.PathLike[str], split: str = "all") -> None:
    """Raise a `MmkerasError` where `source` names no data set, or the glyphs have no such split; nothing is read."""
    if source == "glyphs":
        check_split(split)
    elif not _is_features(source):
        if not str(source):
            raise MmkerasError("Expected data, a captions file or a folder of pictures. Received: none")
        find_layout(Path(source))


def is_source(name: str) -> bool:
    """Return whether a name looks like a data set of the user's: a file or folder that is there, or should be."""
    path = Path(name)
    return path.exists() or path.suffix.lower() in SUFFIXES or "*" in name or name.partition(":")[0] == "tfds"


def _is_features(source):
    return str(source).endswith(".npz") or bool(source and is_feature_folder(source))


class _GlyphSource:
    def __init__(self, targets):
        self.targets = targets

    def splits(self, names, loader=None, limit=0, unread=False):
        return [self._split(name, loader, limit) for name in names]

    def _split(self, name, loader, limit):
        """One split as the preprocessor makes it; pictures of the size that it makes are left as they are."""
        from mmkeras.data.stored_pictures import StoredPictures

        data = Glyphs().split(name, self.targets or None)
        data = data.first_texts(limit) if limit else data
        if loader is None or data.images.shape[1:] == loader.output_shape:
            return data
        images = loader.load(data.images)
        shown = StoredPictures(data.images, loader.pixels) if images.ndim == 2 else None
        return dataclasses.replace(data, images=images, pictures_on_demand=shown)


class _FeatureSource:
    def __init__(self, source, targets):
        self.source, self.targets = source, targets

    def splits(self, names, loader=None, limit=0, unread=False):
        from mmkeras.data.features import load_features

        takes = None if loader is None else loader.output_shape
        splits = [load_features(self.source, name, limit, self.targets) for name in names]
        for data in splits:
            if takes not in (None, data.images.shape[1:]):
                raise MmkerasError(
                    f"{self.source} holds {data.images.shape[1]} features a picture, for a model on such features. "
                    f"Received: a model that takes {' x '.join(map(str, takes))} a picture"
                )
        return splits
