"""Finding a data set by the name that a recipe gives it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from mmkeras.data.captions import Targets, load_captions
from mmkeras.data.feature_layouts import is_feature_folder
from mmkeras.data.features import load_features
from mmkeras.data.glyphs import Glyphs, check_split
from mmkeras.data.paired import PairedData
from mmkeras.data.picture_loader import PictureLoader
from mmkeras.data.pictures_on_demand import PicturesOnDemand
from mmkeras.errors import MmkerasError


def load_source(
    source: str | os.PathLike[str],
    split: str,
    loader: PictureLoader | None = None,
    image_folder: str | os.PathLike[str] | None = None,
    limit: int = 0,
    targets: Targets = "",
    skip_bad: bool = False,
    pictures_outside: bool = False,
) -> PairedData:
    """Return one split of a data set, its pictures as `loader` makes them.

    Args:
        source: `glyphs`, the path of a captions file, `.jsonl` or Karpathy's `.json`, or that of a feature set, an
            `.npz` file or a folder, see `load_features`.
        split: `train`, `dev`, `test` or `all`; `dev` finds a file's `val` too.
        loader: `ImagePreprocessor` of the model, or `FrozenFeatures`, which returns features in place of
            pictures; without it the glyphs keep their 32 x 32 px, and of captions only features can be read.
        image_folder: for a captions file, where its pictures lie, a folder or a zip, or their features, an `.npz` file.
        limit: only the first so many texts (glyphs), pictures (captions) or pairs (features); 0 is all.
        targets: categories to load: `""` none, `category` one an item, `tags` any number.
        skip_bad: whether what cannot be read of captions is left out and told, see `load_captions`.
        pictures_outside: whether pictures of captions may lie outside of `image_folder`, see `load_captions`.

    Returns:
        `PairedData`.

    Raises:
        MmkerasError: no such data set or split.
    """
    check_source(source, split)
    # What a split or targets may be, Glyphs and load_features tell.
    if source == "glyphs":
        data = Glyphs().split(split, targets or None)  # type: ignore[arg-type]
        data = data.first_texts(limit) if limit else data
        return _resized(data, loader)
    if str(source).endswith(".npz") or (source and is_feature_folder(source)):
        data = load_features(source, split, limit, targets)  # type: ignore[arg-type]
        return _fitting(data, source, loader)
    if loader is None and not str(image_folder).endswith(".npz"):
        raise MmkerasError(f"Expected a loader to read the pictures of {source}. Received: None")
    return load_captions(source, split, loader, image_folder, limit, targets, skip_bad, pictures_outside)


def check_source(source: str | os.PathLike[str], split: str = "all") -> None:
    """Raise a `MmkerasError` where `source` names no data set, or the glyphs have no such split; nothing is read."""
    if source == "glyphs":
        check_split(split)
        return
    if str(source).endswith(".npz") or (source and is_feature_folder(source)):
        return
    if not str(source).endswith((".jsonl", ".json")):
        raise MmkerasError(
            "Expected data to be glyphs, the path of a captions file, .jsonl or .json, or that of a feature set, .npz "
            f"or a folder of .mat or .txt files. Received: {source}"
        )
    if not Path(source).is_file():
        raise MmkerasError(f"There is no captions file {source}")


def _fitting(data, source, loader):
    """Return `data` of features, where a model takes such ones of its pictures."""
    takes = None if loader is None else loader.output_shape
    if takes not in (None, data.images.shape[1:]):
        raise MmkerasError(
            f"{source} holds {data.images.shape[1]} features a picture, for a model on such features. "
            f"Received: a model that takes {' x '.join(map(str, takes))} a picture"
        )
    return data


def _resized(data, loader):
    """Return `data` as the preprocessor makes them; pictures of the size that it makes it leaves as they are."""
    if loader is None or data.images.shape[1:] == loader.output_shape:
        return data
    images = loader.load(data.images)
    on_demand = None
    if images.ndim == 2:
        on_demand = PicturesOnDemand(data.images, loader.pixels)
    return dataclasses.replace(data, images=images, pictures_on_demand=on_demand)
