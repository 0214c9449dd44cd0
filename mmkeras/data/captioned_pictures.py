"""`CaptionedPictures`: pictures with captions of the user's own, from whatever layout they were read."""

from __future__ import annotations

import collections
import functools
import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.data.checking.picture_looks import look_at_pictures
from mmkeras.data.checking.problem import amount
from mmkeras.data.feature_file import FeatureFile
from mmkeras.data.paired import PairedData
from mmkeras.data.picture_loader import PictureLoader
from mmkeras.data.records import Record, Targets, check_left_out
from mmkeras.data.split_names import canonical_split, in_order
from mmkeras.data.stored_pictures import StoredPictures
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.image import ImagePreprocessor
from mmkeras.unreadable_pictures import UnreadablePictures

MEMORY_MIB = 1024  # of decoded pictures that are kept; more of them are read anew each time


class CaptionedPictures:
    """All splits of a data set of pictures with captions; `mmkeras.data.read` makes it.

    Args:
        source: path that it was read from.
        records: list of `Record`, each with a split.
        pictures: dict from a picture's name to what reads it, or a `FeatureFile` of features of them.
        missing: dict from a picture's name to why it is not among them.
        loader: what makes pixels of the pictures for `train`, `dev` and `test`; by default 224 x 224 px.
        targets: see `read`.
        left_out: what could not be read and is not here, a message each.
        count: of the source's records, those that could not be read among them.
        skip_unreadable: see `read`.
        memory_mib: decoded pictures are kept in memory where they take no more than so many MiB.
        drawn: whether the splits were drawn, since the source does not say.
        layout: the title of the source's layout.
        unused: columns or keys of the source that say nothing here.

    Attributes:
        name: of the source, for messages and reports.

    Example:
        >>> data = mmkeras.data.read("captions.csv", images="photos")
        >>> model.fit(data.train.batches(128), epochs=10)
    """

    def __init__(
        self,
        source: Path,
        records: list[Record],
        pictures: dict[str, Any] | FeatureFile,
        missing: dict[str, str],
        loader: PictureLoader | None = None,
        targets: Targets = "",
        left_out: Sequence[str] = (),
        count: int = 0,
        skip_unreadable: float = 0.0,
        memory_mib: int = MEMORY_MIB,
        drawn: bool = False,
        layout: str = "",
        unused: Sequence[str] = (),
    ) -> None:
        self.source, self.name = source, source.name
        self.records, self.pictures, self.missing = records, pictures, missing
        self.loader = loader
        self.targets: Targets = targets
        self.left_out = list(left_out)
        self.count = count or len(records)
        self.skip_unreadable, self.memory_mib = skip_unreadable, memory_mib
        self.drawn, self.layout, self.unused = drawn, layout, list(unused)
        self._where = {record.image: f"{source}, {record.where}" for record in reversed(records)}

    @property
    def train(self) -> PairedData:
        """The training split, see `split`."""
        return self.split("train")

    @property
    def dev(self) -> PairedData:
        """The split to choose by, see `split`."""
        return self.split("dev")

    @property
    def test(self) -> PairedData:
        """The split that is held back, see `split`."""
        return self.split("test")

    @property
    def counts(self) -> dict[str, int]:
        """The number of pictures by split, `train`, `dev` and `test` first."""
        pictures = collections.defaultdict(set)
        for record in self.records:
            if record.image is not None:
                pictures[str(record.split)].add(record.image)
        return {split: len(pictures[split]) for split in in_order(pictures)}

    @property
    def digest(self) -> str:
        """A digest of all records and of the sizes of their pictures in bytes, none of which is read."""
        digest = hashlib.sha256()
        sizes = {} if isinstance(self.pictures, FeatureFile) else self.pictures
        for record in self.records:
            size = sizes[record.image].stamp()[1] if record.image in sizes else None
            said = [record.image, size, record.captions, record.split, record.id, record.labels]
            digest.update(json.dumps(said).encode())
        return digest.hexdigest()

    def split(self, name: str, loader: PictureLoader | None = None, limit: int = 0) -> PairedData:
        """Return one split, see `splits`."""
        return self.splits([name], loader, limit)[0]

    def splits(
        self, names: Sequence[str], loader: PictureLoader | None = None, limit: int = 0, unread: bool = False
    ) -> list[PairedData]:
        """Return splits, whose pictures are looked at together: all that cannot be read are told at once.

        Args:
            names: of the splits, as the source calls them, or `all`; `dev` stands for `val` and `validation` too.
                Several are joined by `+`: `train+restval`.
            loader: `ImagePreprocessor` of the model, or `FrozenFeatures`; by default that of the constructor.
            limit: only the first so many pictures of each, and of the records without a picture the first so many; 0
                is all.
            unread: whether pictures are not read before somebody looks at them, of however few there are.

        Returns:
            list of `PairedData` with P pictures and all captions. A picture's id is the number of the first record that
            names it, or has its `id`, the same in every split; captions without a picture have their own record's. The
            strict item is that of the picture. With targets, `label` and `text_label` are int32 (category) or uint8
            multi-hot (tags); `label_names` are those of all splits, sorted, so that all agree.

        Raises:
            MmkerasError: no such split; more unreadable pictures than `skip_unreadable`; a split without pictures or
                without captions; no label at all where there are targets.
        """
        if isinstance(names, str):
            raise MmkerasError(f"Expected a list of names of splits. Received: {names!r}; write [{names!r}]")
        chosen = [self._items(name, limit) for name in names]
        pictures = [name for items in chosen for name in items if isinstance(name, str)]
        images, shown, lost = self._load(pictures, loader, unread)
        splits, start = [], 0
        for name, items in zip(names, chosen, strict=True):
            left = {item: records for item, records in items.items() if item not in lost}
            end = start + sum(isinstance(item, str) for item in left)
            rows = slice(start, end)
            splits.append(self._paired(name, left, images[rows], None if shown is None else shown[rows]))
            start = end
        return splits

    def _items(self, split, limit):
        """The records of a split by item: by a picture's name, or by the number of captions without one."""
        known = sorted({str(record.split) for record in self.records})
        wanted = [one if one in known else canonical_split(one) for one in split.split("+")]
        for one in wanted:
            if one not in known and (one != "all" or not known):
                raise MmkerasError(f"{self.source} has no records of split {one!r}; {self._splits_told(known, one)}")
        items: dict[str | int, list[Record]] = {}
        for record in self.records:
            if "all" in wanted or record.split in wanted:
                items.setdefault(record.number if record.image is None else record.image, []).append(record)
        if limit:
            kept = {item for kind in (str, int) for item in [item for item in items if isinstance(item, kind)][:limit]}
            items = {item: records for item, records in items.items() if item in kept}
        return items

    def _splits_told(self, known, wanted):
        """Which splits there are in place of one, and how there would be that one."""
        if not known:
            return "it has no records"
        if self.drawn:
            pictures = amount(sum(self.counts.values()), "picture")
            return f"{pictures} are too few to draw train, dev and test from. Expected at least 3"
        return (
            f"it has {', '.join(known)}. Let some records be of {wanted!r}; or leave all splits out, then 80, 10 and "
            "10 % of the pictures are drawn"
        )

    def _load(self, names, loader, unread):
        """The arrays of pictures by name, those to be looked at where they are features, and the names left out."""
        lost = {name for name in names if name in self.missing}
        self._leave_out({name: self.missing[name] for name in names if name in lost})
        names = [name for name in names if name not in lost]
        if isinstance(self.pictures, FeatureFile):
            self.pictures.check_size(None if loader is None else loader.output_shape)
            return self.pictures.load(names), None, lost
        loader = loader or self.loader or ImagePreprocessor(224, 224)
        loader = loader.pixels if unread else loader
        is_pixels = loader.pixels is loader
        pictures = [self.pictures[name] for name in names]
        if unread:
            return StoredPictures(pictures, loader), None, lost
        if is_pixels and len(names) * math.prod(loader.output_shape) > self.memory_mib * 2**20:
            # Training would stop at the first one that cannot be read, in the middle of an epoch.
            looks = look_at_pictures(pictures, loader.pixels.max_pixels)
            reasons = {row: f"{names[row]}: {look.problem}" for row, look in enumerate(looks) if look.problem}
            load = functools.partial(StoredPictures, loader=loader)
        else:
            reasons, load = {}, loader.load
        try:
            images = load(pictures) if not reasons else None
        except UnreadablePictures as error:
            reasons = error.reasons
        if reasons:
            self._leave_out({names[row]: reason for row, reason in reasons.items()})
            lost |= {names[row] for row in reasons}
            pictures = [self.pictures[name] for name in names if name not in lost]
            images = load(pictures)
        return images, None if is_pixels else StoredPictures(pictures, loader.pixels), lost

    def check_missing(self) -> None:
        """Leave the pictures of all splits out that are missing.

        Raises:
            MmkerasError: there are more than `skip_unreadable` allows; all of them are told.
        """
        self._leave_out({name: reason for name, reason in self.missing.items() if name in self._where})

    def _leave_out(self, reasons):
        """Leave pictures out that cannot be read, as far as that is allowed: a dict from a name to what is wrong."""
        problems = [f"{self._where[name]}: {reason}" for name, reason in reasons.items()]
        self.left_out += [problem for problem in dict.fromkeys(problems) if problem not in self.left_out]
        check_left_out(self.left_out, self.count, self.skip_unreadable)

    def _paired(self, split, items, images, shown):
        row_of = {name: row for row, name in enumerate(item for item in items if isinstance(item, str))}
        captions = [(item, text) for item, of in items.items() for record in of for text in record.captions]
        if not row_of or not captions:
            raise MmkerasError(
                f"{self.source}: expected pictures and captions in split {split!r}. "
                f"Received: {len(row_of)} pictures, {len(captions)} captions"
            )
        label_names = tuple(sorted({name for record in self.records for name in record.labels})) if self.targets else ()
        if self.targets and not label_names:
            raise MmkerasError(f"{self.source}: expected at least one record with a name in labels. Received: none")

        def labels(of_items):
            return _label_array([items[item][0].labels for item in of_items], label_names, self.targets)

        first_number, id_of = self._numbers
        return PairedData(
            name=f"{self.name}/{split}",
            images=images,
            texts=[text for _, text in captions],
            image_id=np.array([id_of[name] for name in row_of], np.int64),
            text_image_id=np.array([id_of[item] for item, _ in captions], np.int64),
            image_item=np.array([first_number[name] for name in row_of], np.int64),
            text_item=np.array([first_number[item] for item, _ in captions], np.int64),
            ids_given=self.records[0].id is not None,
            pairs=np.array(
                [(row_of[item], row) for row, (item, _) in enumerate(captions) if item in row_of], np.int32
            ).reshape(-1, 2),
            label=labels(row_of),
            text_label=labels(item for item, _ in captions),
            label_names=label_names,
            image_names=list(row_of),
            pictures_on_demand=shown,
            left_out=tuple(self.left_out),
        )

    @property
    def _numbers(self):
        """For each item the number of the first record that names it, and its id: that of the first with its `id`."""
        first_number: dict[str | int, int] = {}
        number_of_id: dict[Any, int] = {}
        id_of: dict[str | int, int] = {}
        for record in self.records:
            item = record.number if record.image is None else record.image
            first = first_number.setdefault(item, record.number)
            id_of.setdefault(item, first if record.id is None else number_of_id.setdefault(record.id, record.number))
        return first_number, id_of


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
