"""Pictures with captions of the user's own: a captions file, and a folder or a zip of pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from mmkeras.data.caption_records import read_records
from mmkeras.data.feature_file import FeatureFile
from mmkeras.data.paired import PairedData
from mmkeras.data.picture_files import PictureFiles
from mmkeras.data.picture_loader import PictureLoader
from mmkeras.data.pictures_on_demand import PicturesOnDemand
from mmkeras.errors import MmkerasError

Targets: TypeAlias = Literal["", "category", "tags"]


def load_captions(
    file: str | os.PathLike[str],
    split: str,
    loader: PictureLoader | None,
    image_folder: str | os.PathLike[str] | None = None,
    limit: int = 0,
    targets: Targets = "",
) -> PairedData:
    """Read one split of a captions file and decode its pictures.

    A line of a `.jsonl` file is `{"image": "name.jpg", "split": "train", "captions": ["...", ...]}`; without `split` a
    line belongs to `train`. Lines that name the same picture are one picture with all their captions. A `.json` file is
    read as Karpathy's layout of Flickr and COCO (`read_karpathy_records`). The pictures are held in memory as the model
    sees them: 6,000 of 64 x 64 px take 74 MB, and their features by a frozen backbone take 5 KB each of 1,280.

    For training by category a line also has `"label": "dog"`, or `"labels": ["dog", "beach"]`, which are the picture's
    and its captions'. It may then leave out the picture or the captions: `pairs` holds only what stands in one line.

    Args:
        file: path of the file.
        split: name of the split, as it stands in the file, or `all`; `dev` finds `val` where the file has no `dev`.
            Several are joined by `+`: `train+restval`.
        loader: `ImagePreprocessor` of the model, or `FrozenFeatures`: what has `load(pictures)`.
        image_folder: where the pictures lie, a folder or a zip, see `PictureFiles`; by default the folder of the file.
            Or their features, see `FeatureFile`, where the model takes such ones or its frozen backbone makes them.
        limit: only the first so many pictures, and of the lines without a picture the first so many; 0 is all.
        targets: `""` ignores labels; `"category"` reads `label`, one a line; `"tags"` reads `labels`, any number.

    Returns:
        `PairedData` with P pictures and all captions. A picture's id is the number of the first record of the file that
        names it, the same in every split; captions without a picture have their own record's. With targets,
        `label` and `text_label` are int32 (category) or uint8 multi-hot (tags); `label_names` are those of the whole
        file, sorted, so that all splits agree.

    Raises:
        MmkerasError: no such split, a record that is none, a blank caption, a picture that is missing or unreadable, a
            label that is missing or no name, two labellings of one picture, each with the file, the record and the
            picture; a split for targets without pictures or without captions.
    """
    file = Path(file)
    records = read_records(file, targets)
    splits = sorted({record["split"] for record in records})
    wanted = ["val" if one == "dev" and "dev" not in splits and "val" in splits else one for one in split.split("+")]
    split = "+".join(wanted)
    for one in wanted:
        if one not in splits and (one != "all" or not splits):
            raise MmkerasError(f"{file} has no records of split {one!r}; it has {', '.join(splits) or 'no records'}")
    first_number = {}
    items = {}  # from a picture's name, or the number of captions without one, to its records, in the file's order
    for record in records:
        item = record["number"] if record["image"] is None else record["image"]
        first_number.setdefault(item, record["number"])
        if "all" in wanted or record["split"] in wanted:
            items.setdefault(item, []).append(record)
    items = _first(items, limit) if limit else items
    row_of = {name: row for row, name in enumerate(item for item in items if isinstance(item, str))}
    captions = [(item, text) for item, of_item in items.items() for record in of_item for text in record["captions"]]
    if not row_of or not captions:
        raise MmkerasError(
            f"{file}: expected pictures and captions in split {split!r}. "
            f"Received: {len(row_of)} pictures, {len(captions)} captions"
        )
    label_names = tuple(sorted({name for record in records for name in record["labels"]}))
    if targets and not label_names:
        raise MmkerasError(f"{file}: expected at least one line with a name in labels. Received: none")

    def labels(of_items):
        return _label_array([items[item][0]["labels"] for item in of_items], label_names, targets)

    where_of = {name: items[name][0]["where"] for name in row_of}
    if str(image_folder).endswith(".npz"):
        images, on_demand = _load_features(file, FeatureFile(image_folder), where_of, loader), None
    else:
        files = PictureFiles(image_folder or file.parent)
        images, on_demand = _load_pictures(file, files, where_of, loader)
    return PairedData(
        name=f"{file.name}/{split}",
        images=images,
        texts=[text for _, text in captions],
        image_id=np.array([first_number[name] for name in row_of], np.int64),
        text_image_id=np.array([first_number[item] for item, _ in captions], np.int64),
        pairs=np.array(
            [(row_of[item], row) for row, (item, _) in enumerate(captions) if item in row_of], np.int32
        ).reshape(-1, 2),
        label=labels(row_of),
        text_label=labels(item for item, _ in captions),
        label_names=label_names,
        image_names=list(row_of),
        pictures_on_demand=on_demand,
    )


def _first(items, limit):
    """The first `limit` pictures, and the first `limit` lines without one."""
    pictures = [item for item in items if isinstance(item, str)][:limit]
    alone = [item for item in items if not isinstance(item, str)][:limit]
    kept = {*pictures, *alone}
    return {item: records for item, records in items.items() if item in kept}


def _label_array(labels, label_names, targets):
    """Tuples of names as int32 (rows,) or as multi-hot uint8 (rows, C); `None` without targets."""
    if not targets:
        return None
    index = {name: position for position, name in enumerate(label_names)}
    if targets == "category":
        return np.array([index[name] for (name,) in labels], np.int32)
    multi_hot = np.zeros((len(labels), len(label_names)), np.uint8)
    for row, names in enumerate(labels):
        multi_hot[row, [index[name] for name in names]] = 1
    return multi_hot


def _load_features(file, features, where_of, loader):
    """Load the features of the pictures named in `where_of`, where the model takes such ones."""
    takes = None if loader is None else loader.output_shape
    if takes not in (None, (features.size,)):
        raise MmkerasError(
            f"{features.file} holds {features.size} features a picture, for a model on such features or on a frozen "
            f"backbone that makes them. Received: a model that takes {' x '.join(map(str, takes))} a picture"
        )
    for name, where in where_of.items():
        try:
            features.find(name)
        except MmkerasError as error:
            raise MmkerasError(f"{file}, {where}: {error}") from error
    return features.load(where_of)


def _load_pictures(file, files, where_of, loader):
    """Load the pictures named in `where_of`, a dict from a picture's name to the record that an error names.

    Returns:
        the array, and `PicturesOnDemand` where it holds features, else `None`.
    """
    found = {}
    for name, where in where_of.items():
        try:
            found[name] = files.find(name)
        except MmkerasError as error:
            what_to_do = "Restore it, remove the record, or give image_folder"
            raise MmkerasError(f"{file}, {where}: {error}. {what_to_do}") from error
    pictures = list(found.values())
    try:
        images = loader.load(pictures)
    except MmkerasError:
        # Pictures are decoded in parallel; only where one fails are they tried one by one, to name its record.
        for name, picture in found.items():
            try:
                loader.load([picture])
            except MmkerasError as error:
                raise MmkerasError(f"{file}, {where_of[name]}: {error}") from error
        raise
    if images.ndim == 4:
        return images, None
    return images, PicturesOnDemand(pictures, loader.pixels)
