"""`read`: from any layout that people have to `CaptionedPictures`."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import posixpath
import re
from pathlib import Path

from mmkeras.data.captioned_pictures import MEMORY_MIB, CaptionedPictures
from mmkeras.data.feature_file import FeatureFile
from mmkeras.data.layouts import find_layout
from mmkeras.data.missing_pictures import where_it_lies
from mmkeras.data.picture_copies import copies
from mmkeras.data.picture_loader import PictureLoader
from mmkeras.data.records import Targets, check_left_out, read_records
from mmkeras.data.split_names import canonical_split, drawn_splits
from mmkeras.errors import MmkerasError
from mmkeras.unreadable_pictures import MOST_TOLD, UnreadablePictures


def read(
    source: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    loader: PictureLoader | None = None,
    targets: Targets = "",
    skip_unreadable: float = 0.0,
    pictures_outside: bool = False,
    memory_mib: int = MEMORY_MIB,
) -> CaptionedPictures:
    """Read a data set of pictures with captions, in any layout of `mmkeras.data.layouts`; no picture is decoded yet.

    Records that name one picture are one picture with all their captions, however they write its name: `a.png` and
    `./a.png`, an absolute path, a symbolic link, a copy of the file. Equal captions of different pictures are right
    answers to all of these, see `relate_equal_texts`, unless every record has an `id`: then equal ids say what belongs
    together. Where no record says its split, 80 % of the pictures are `train`, 10 % `dev` and 10 % `test`, by their
    names. Where some do, the others are `train`.

    Args:
        source: path of a file or a folder.
        images: where the pictures lie, a folder or an archive, see `mmkeras.data.stores.open_store`; by default the
            folder of the file. Or their features, an `.npz` file, see `FeatureFile`, where the model takes such ones or
            its frozen backbone makes them.
        loader: `ImagePreprocessor` that makes pixels of the pictures; by default 224 x 224 px.
        targets: `""` reads no labels; `"category"` reads `label`, one a record; `"tags"` reads `labels`, any number.
        skip_unreadable: the share of records, 0 to 1, that may be unreadable; those are left out and told.
        pictures_outside: whether names may lead out of `images`, see `FolderStore`.
        memory_mib: decoded pictures of the splits that are loaded together are kept in memory where they take no more
            than so many MiB; more of them are read when a batch wants them. The batches are the same.

    Returns:
        `CaptionedPictures`.

    Raises:
        MmkerasError: a layout that is not known, records that are none, blank captions, pictures that are missing or
            outside, labels that are missing or no names, two labellings of one picture, with the file, the records and
            the pictures, all at once.

    Example:
        >>> data = mmkeras.data.read("captions.csv", images="photos")
        >>> data.counts
        {'train': 1598, 'dev': 203, 'test': 199}
    """
    _check_arguments(source, images, skip_unreadable, memory_mib)
    layout = find_layout(Path(source))
    records, problems, count = read_records(layout, targets)
    names = list(dict.fromkeys(record.image for record in records if record.image is not None))
    features = FeatureFile(images) if str(images).endswith(".npz") else None
    store = layout.store(Path(images) if images else None, pictures_outside) if features is None else None
    check_left_out(problems, count, skip_unreadable)
    found, missing = {}, {}
    for name in names:
        try:
            found[name] = features.find(name) if store is None else _found(store, name)
        except MmkerasError as error:
            missing[name] = f"{error}. Restore it, remove the record, or give --images" if store else str(error)
    # What is wrong with one name is so with most, and each search looks through folders.
    for name in itertools.islice(missing if store else (), MOST_TOLD):
        if hint := where_it_lies(name, store.places, not found):
            missing[name] = f"{re.split('[.] (Allow that|Restore it)', missing[name])[0]}. {hint}"
            break
    if features is None:
        records = _merged(records, found, missing, targets)
    drawn = bool(records) and all(record.split is None for record in records)
    return CaptionedPictures(
        layout.source,
        _with_splits(records, drawn),
        found if features is None else features,
        missing,
        loader,
        targets,
        problems,
        count,
        skip_unreadable,
        memory_mib,
        drawn,
        layout.title,
        layout.unused,
    )


def _check_arguments(source, images, skip_unreadable, memory_mib):
    for name, value in (("source", source), ("images", images)):
        if not isinstance(value, (str, os.PathLike)) and (value is not None or name == "source"):
            raise MmkerasError(f"Expected a path. Received: {name}={value!r}")
    if not 0 <= skip_unreadable <= 1:
        raise MmkerasError(f"Expected a share from 0 to 1. Received: skip_unreadable={skip_unreadable!r}")
    if memory_mib < 0:
        raise MmkerasError(f"Expected 0 or more. Received: memory_mib={memory_mib!r}")


def _found(store, name):
    """A picture by its name, which may be written as Windows does."""
    try:
        return store.find(name)
    except MmkerasError:
        if "\\" in name:
            with contextlib.suppress(MmkerasError):
                return store.find(posixpath.normpath(name.replace("\\", "/")))
        raise


def _merged(records, found, missing, targets):
    """Records in which one picture has one name, the first, whatever it is called elsewhere.

    Copies that are labelled in two ways stay two pictures.
    """
    names = list(found)
    try:
        first = copies([found[name] for name in names])
    except UnreadablePictures as error:
        for row, reason in error.reasons.items():
            missing[names[row]] = reason
            del found[names[row]]
        return _merged(records, found, missing, targets)
    labels = {record.image: record.labels for record in reversed(records)} if targets else {}
    name_of = {}
    for name, row in zip(names, first.tolist(), strict=True):
        name_of[name] = names[row] if labels.get(name) == labels.get(names[row]) else name
    return [dataclasses.replace(record, image=name_of.get(record.image, record.image)) for record in records]


def _with_splits(records, drawn):
    if not drawn:
        known = {record.split for record in records}
        return [dataclasses.replace(record, split=_named(record.split or "train", known)) for record in records]
    items = list(dict.fromkeys(_item(record) for record in records))
    split_of = dict(zip(items, drawn_splits(items), strict=True))
    return [dataclasses.replace(record, split=split_of[_item(record)]) for record in records]


def _named(split, known):
    """`dev` for `val`, and so on, unless the source has a `dev` of its own."""
    return split if canonical_split(split) in known else canonical_split(split)


def _item(record):
    return f"record {record.number}" if record.image is None else record.image
