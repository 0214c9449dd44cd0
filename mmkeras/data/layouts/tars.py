"""`Tars`: shards of pictures and captions, as img2dataset and webdataset write them."""

from __future__ import annotations

import functools
import glob
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

from mmkeras.data.layouts.columns import fields_of, named_columns
from mmkeras.data.layouts.layout import Layout
from mmkeras.data.layouts.picture_walk import PICTURES
from mmkeras.data.layouts.row import Row
from mmkeras.data.layouts.split_folders import splits_of_names
from mmkeras.data.stores import PictureStore
from mmkeras.data.stores.tar_store import TarStore
from mmkeras.errors import MmkerasError

_RANGE = re.compile(r"\{([^{}]*)\}")


class Tars(Layout):
    """One tar, a folder of them, `shards/*.tar` or `shards/{00000..00099}.tar`.

    Members whose names agree up to the first dot are one record: `000000000.jpg`, `.txt` with a caption, `.json` with
    captions and more by the names of its keys where there is no `.txt`, `.cls` with a category. Shards that are called
    `train-...`, `val-...` say the split. Pictures are read from the tars where they lie.
    """

    title = "img2dataset's or webdataset's tars (one .tar, a folder, shards/*.tar, shards/{00000..00099}.tar)"
    expected = "name.jpg and name.txt, or name.json with a caption"

    @classmethod
    def recognises(cls, source: Path) -> bool:
        if source.is_dir():
            return next(source.glob("*.tar"), None) is not None
        return source.suffix == ".tar" and (source.is_file() or _is_pattern(source))

    def rows(self) -> Iterator[Row]:
        tars = self._tars
        samples: dict[tuple[str, str], dict[str, str]] = {}
        for name in tars:
            folder, _, base = name.rpartition("/")
            stem, _, suffix = base.partition(".")
            if stem and not base.startswith("._"):
                samples.setdefault((folder, stem), {}).setdefault(suffix.lower(), name)
        if not self.corpus and not any(set(parts) & {"txt", "json", "cls", "cls.txt"} for parts in samples.values()):
            raise MmkerasError(
                f"{self.source} holds no captions. Expected {self.expected}. Received: {len(samples)} records without "
                "any; a file of captions and this as image_folder are read too"
            )
        splits = splits_of_names({folder for folder, _ in samples} if len(tars.files) > 1 else ()) or {}
        unused: dict[str, None] = {}
        for (folder, stem), parts in samples.items():
            where = f"{folder}/{stem}" if folder else stem
            image = next((parts[suffix[1:]] for suffix in PICTURES if suffix[1:] in parts), None)
            try:
                fields, others = self._said(parts)
            except (MmkerasError, ValueError, RecursionError) as error:
                yield Row(where, None, str(error))
                continue
            unused |= dict.fromkeys(others)
            known = {"image": image, "split": splits.get(folder)}
            fields = {key: value for key, value in known.items() if value is not None} | fields
            metadata = others if self.corpus else {}
            is_record = image or (self.corpus and "captions" in fields)
            yield Row(where, fields if is_record else None, ", ".join(parts.values()), metadata=metadata)
        self.unused = list(unused)

    def store(self, place: Path | None, outside: bool = False) -> PictureStore:
        if place is not None:
            raise MmkerasError(f"The pictures lie in {self.source} itself. Received: image_folder={str(place)!r}")
        return self._tars

    @functools.cached_property
    def _tars(self):
        return TarStore(_files(self.source))

    def _said(self, parts):
        """What the files beside a picture say, and a dict of the keys of a `.json` that say nothing here."""
        fields, others = {}, {}
        if "json" in parts and (self.corpus or "txt" not in parts):
            record = json.loads(self._tars.find(parts["json"]).read_bytes())
            columns, unused = named_columns(record if isinstance(record, dict) else ())
            columns.pop("image", None)  # where it lay elsewhere
            fields, others = fields_of(record, columns), {key: record[key] for key in unused}
        if "txt" in parts:
            fields["captions"] = [self._text(parts["txt"])]
        if label := next((parts[suffix] for suffix in ("cls", "cls.txt") if suffix in parts), None):
            fields["label"] = self._text(label)
        return fields, others

    def _text(self, name):
        return self._tars.find(name).read_bytes().decode("utf-8-sig").strip()


def _is_pattern(source):
    return any(character in str(source) for character in "*?[{")


def _files(source):
    """The tars of a folder or of a pattern."""
    if source.is_dir():
        return sorted(source.glob("*.tar"))
    if source.is_file():
        return [source]
    files = []
    for pattern in _expanded(str(source)):
        found = [pattern] if not _is_pattern(pattern) else sorted(glob.glob(pattern))
        files += [Path(file) for file in found if Path(file).is_file()]
        if not found or not Path(found[0]).is_file():
            raise MmkerasError(f"There is no tar {pattern}" + ("" if pattern == str(source) else f", of {source}"))
    return files


def _expanded(pattern):
    """What a shell makes of braces: `{00..02}` and `{a,b}`."""
    parts = _RANGE.split(pattern)
    choices = [[part] if place % 2 == 0 else _choices(part) for place, part in enumerate(parts)]
    return ["".join(chosen) for chosen in itertools.product(*choices)]


def _choices(inside):
    if found := re.fullmatch(r"(\d+)\.\.(\d+)", inside):
        first, last = found.groups()
        return [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    return inside.split(",")
