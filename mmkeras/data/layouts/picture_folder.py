"""`PictureFolder`: a folder of pictures, with a text beside each, or in folders that are named as what they show."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from mmkeras.data.layouts.columns import fields_of, named_columns
from mmkeras.data.layouts.layout import Layout
from mmkeras.data.layouts.picture_walk import files_below, has_pictures, is_picture
from mmkeras.data.layouts.row import Row
from mmkeras.data.layouts.split_folders import splits_of_paths
from mmkeras.data.layouts.text_file import read_text
from mmkeras.data.split_names import SHARES, canonical_split
from mmkeras.errors import MmkerasError

SIDECARS = (".txt", ".caption", ".json")  # the first that lies there is read
MEANINGLESS = ("image", "images", "img", "imgs", "jpegimages", "photos", "pictures")  # names of folders


class PictureFolder(Layout):
    """A folder of pictures whose captions are files beside them, or the names of the folders in which they lie.

    Where a picture has a `.txt` of the same name beside it, as img2dataset's `files` are and what diffusion models are
    tuned on, each line of it is a caption; so do all other pictures need one. Otherwise the folder in which a picture
    lies, the innermost one, is its category and, with blanks for `_` and `-`, its caption: `golden_retriever/1.jpg` is
    "golden retriever". Folders `train`, `val` and `test` above these say the split.
    """

    title = "folder of pictures (folder/CLASS/1.jpg, or 1.jpg and 1.txt)"
    expected = "CLASS/1.jpg, or 1.txt beside 1.jpg"

    @classmethod
    def recognises(cls, source: Path) -> bool:
        return source.is_dir() and has_pictures(source)

    def rows(self) -> Iterator[Row]:
        pictures, sidecars = [], {}
        unread: dict[str, str] = {}
        for folder, names in files_below(self.source, unread):
            there = set(names)
            for name in names:
                if is_picture(name):
                    path = f"{folder}/{name}" if folder else name
                    pictures.append(path)
                    stem = name.rpartition(".")[0]
                    if beside := next((stem + suffix for suffix in SIDECARS if stem + suffix in there), None):
                        sidecars[path] = f"{folder}/{beside}" if folder else beside
        tops = {path.partition("/")[0] if "/" in path else "" for path in pictures}
        is_split = all(canonical_split(top) in SHARES for top in tops)
        classes = {path: _class(path.split("/")[is_split:-1]) for path in pictures if path not in sidecars}
        if not self.corpus and not sidecars and not any(classes.values()):
            raise MmkerasError(
                f"{self.source} holds {len(pictures)} pictures and no captions. Expected {self.expected}, or give a "
                "file of captions and this folder as --images"
            )
        for path, split in zip(pictures, splits_of_paths(pictures), strict=True):
            where, received = path, "no text beside it" if sidecars else "a picture in no folder of a class"
            fields, metadata = {} if self.corpus else None, {}
            if sidecar := sidecars.get(path):
                where = sidecar
                fields, received, metadata = self._said_beside(sidecar)
            elif not sidecars and (name := classes[path]):
                fields = {"captions": [_words(name)], "label": name}
            if fields is not None:
                fields = {"image": path, "split": split} | fields
            yield Row(where, fields, received, metadata=metadata if self.corpus else {})
        for folder, reason in unread.items():
            yield Row(folder, None, f"a folder that cannot be opened: {reason}")

    def store(self, place, outside=False):
        return super().store(place or self.source, outside)

    def _said_beside(self, sidecar):
        """The captions of a text file, one a line, or of a JSON object; what is there instead; and its other keys."""
        try:
            text = read_text(self.source / sidecar)
            if not sidecar.endswith(".json"):
                return {"captions": [line.strip() for line in text.splitlines() if line.strip()]}, "an empty text", {}
            record = json.loads(text)
        except (MmkerasError, ValueError, RecursionError) as error:
            return None, str(error).removeprefix(str(self.source)).strip("/"), {}
        columns, others = named_columns(record if isinstance(record, dict) else ())
        columns.pop("image", None)
        columns.pop("split", None)
        if not isinstance(record, dict) or not (self.corpus or "captions" in columns):
            return None, text[:200], {}
        return fields_of(record, columns), text[:200], {key: record[key] for key in others}


def _class(folders):
    """The folder that says what a picture in it shows, the innermost; empty where there is none."""
    return next((name for name in reversed(folders) if name.lower() not in MEANINGLESS), "")


def _words(name):
    # CUB's folders are called 001.Black_footed_Albatross
    return re.sub(r"[\s_-]+", " ", re.sub(r"^\d+\.(?=.)", "", name)).strip() or name
