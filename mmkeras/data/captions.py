"""Pictures with captions of the user's own: a captions file, and a folder or a zip of pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from mmkeras.data.caption_records import read_records, told
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
    skip_bad: bool = False,
    pictures_outside: bool = False,
) -> PairedData:
    """Read one split of a captions file and decode its pictures.

    A line of a `.jsonl` file is `{"image": "name.jpg", "split": "train", "captions": ["...", ...]}`; without `split` a
    line belongs to `train`; `"caption": "..."` stands for a list of one. Lines that name the same picture are one
    picture with all their captions. Equal captions of different pictures are right answers to all of these, see
    `relate_equal_texts`, unless every line has an `"id"`: then equal ids say what belongs together. A `.json` file is
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
        skip_bad: whether records and pictures that cannot be read are left out, and not refused; `left_out` of the
            result tells them.
        pictures_outside: whether pictures may lie outside of `image_folder`, see `PictureFiles`.

    Returns:
        `PairedData` with P pictures and all captions. A picture's id is the number of the first record of the file that
        names it, or has its `id`, the same in every split; captions without a picture have their own record's. The
        strict item is that of the picture's name. With targets,
        `label` and `text_label` are int32 (category) or uint8 multi-hot (tags); `label_names` are those of the whole
        file, sorted, so that all splits agree.

    Raises:
        MmkerasError: no such split, records that are none, blank captions, pictures that are missing, unreadable or
            outside, labels that are missing or no names, two labellings of one picture, with the file, the records and
            the pictures; a split for targets without pictures or without captions.
    """
    file = Path(file)
    records, left_out = read_records(file, targets, skip_bad)
    splits = sorted({record["split"] for record in records})
    wanted = ["val" if one == "dev" and "dev" not in splits and "val" in splits else one for one in split.split("+")]
    split = "+".join(wanted)
    for one in wanted:
        if one not in splits and (one != "all" or not splits):
            has = f"it has {', '.join(splits)}" if splits else "it has no records"
            raise MmkerasError(f'{file} has no records of split {one!r}; {has}. A line is of one by "split": "{one}"')
    first_number = {}
    items = {}  # from a picture's name, or the number of captions without one, to its records, in the file's order
    for record in records:
        item = record["number"] if record["image"] is None else record["image"]
        first_number.setdefault(item, record["number"])
        if "all" in wanted or record["split"] in wanted:
            items.setdefault(item, []).append(record)
    items = _first(items, limit) if limit else items
    images, on_demand, lost = _load_images(
        file, [item for item in items if isinstance(item, str)], items, loader, image_folder, skip_bad, pictures_outside
    )
    left_out += lost.values()
    items = {item: records for item, records in items.items() if item not in lost}
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

    id_of = _ids(records, items, first_number)
    return PairedData(
        name=f"{file.name}/{split}",
        images=images,
        texts=[text for _, text in captions],
        image_id=np.array([id_of[name] for name in row_of], np.int64),
        text_image_id=np.array([id_of[item] for item, _ in captions], np.int64),
        image_item=np.array([first_number[name] for name in row_of], np.int64),
        text_item=np.array([first_number[item] for item, _ in captions], np.int64),
        ids_given=records[0]["id"] is not None,
        pairs=np.array(
            [(row_of[item], row) for row, (item, _) in enumerate(captions) if item in row_of], np.int32
        ).reshape(-1, 2),
        label=labels(row_of),
        text_label=labels(item for item, _ in captions),
        label_names=label_names,
        image_names=list(row_of),
        pictures_on_demand=on_demand,
        left_out=tuple(left_out),
    )


def _ids(records, items, first_number):
    """The id of each item: the number of the first record that has its `id`, or without one that names it."""
    number_of_id = {}
    for record in records:
        number_of_id.setdefault(record["id"], record["number"])
    return {
        item: first_number[item] if of[0]["id"] is None else number_of_id[of[0]["id"]] for item, of in items.items()
    }


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


def _load_images(file, names, items, loader, image_folder, skip_bad, outside):
    """Load pictures, or features of them, by name.

    Returns:
        the array of those that could be loaded, `PicturesOnDemand` where it holds features of pictures, else `None`,
        and a dict from the names of the others to what is wrong with them, empty unless `skip_bad`.
    """
    where_of = {name: f"{file}, {items[name][0]['where']}" for name in names}
    if str(image_folder).endswith(".npz"):
        features = FeatureFile(image_folder)
        _check_size(features, loader)
        found, lost = _each(features.find, where_of, "", skip_bad)
        return features.load(list(found)), None, lost
    files = PictureFiles(image_folder or file.parent, outside)
    found, lost = _each(files.find, where_of, ". Restore it, remove the record, or give image_folder", skip_bad)
    try:
        images = loader.load(list(found.values()))
    except MmkerasError:
        # Pictures are decoded in parallel; only where one fails are they tried one by one, to name all that do.
        loaded, bad = _each(
            lambda name: loader.load([found[name]]), {name: where_of[name] for name in found}, "", skip_bad
        )
        lost |= bad
        found = {name: found[name] for name in loaded}
        images = np.concatenate(list(loaded.values())) if loaded else np.zeros((0, *loader.output_shape), np.uint8)
    return images, PicturesOnDemand(list(found.values()), loader.pixels) if images.ndim == 2 else None, lost


def _check_size(features, loader):
    takes = None if loader is None else loader.output_shape
    if takes not in (None, (features.size,)):
        raise MmkerasError(
            f"{features.file} holds {features.size} features a picture, for a model on such features or on a frozen "
            f"backbone that makes them. Received: a model that takes {' x '.join(map(str, takes))} a picture"
        )


def _each(find, where_of, what_to_do, skip_bad):
    """What `find` returns of each name, and a message for each that it does not find; refused unless `skip_bad`."""
    found, lost = {}, {}
    for name, where in where_of.items():
        try:
            found[name] = find(name)
        except MmkerasError as error:
            lost[name] = f"{where}: {error}{what_to_do}"
    if lost and not skip_bad:
        raise MmkerasError(told(list(lost.values())))
    return found, lost
