"""`JsonFile`: a JSON file, whole, whichever of the layouts it holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmkeras.data.layouts.coco import Coco
from mmkeras.data.layouts.json_content import JsonContent
from mmkeras.data.layouts.json_records import JsonRecords
from mmkeras.data.layouts.karpathy import Karpathy
from mmkeras.data.layouts.layout import Layout
from mmkeras.data.layouts.row import Row
from mmkeras.data.layouts.text_file import read_text
from mmkeras.errors import MmkerasError

# The first that says that the content is its own reads it.
CONTENTS: tuple[type[JsonContent], ...] = (Coco, Karpathy, JsonRecords)


class JsonFile(Layout):
    """A `.json` file. What it holds decides which layout it is; so it is read once, and whole.

    Attributes:
        title: once the rows were read, that of its content; so is `expected`.
    """

    title = "JSON (COCO's own, Karpathy's dataset_*.json, or a list of records)"

    @classmethod
    def recognises(cls, source: Path) -> bool:
        return source.is_file() and source.suffix.lower() == ".json"

    def rows(self) -> Iterator[Row]:
        value = read_json(self.source)
        kind = next((kind for kind in CONTENTS if kind.holds(value)), None)
        if kind is None:
            allowed = "; or ".join(f"{kind.title}: {kind.expected}" for kind in CONTENTS)
            raise MmkerasError(
                f"{self.source}: expected {allowed}. Received: {_brief(value)}; records a line stand in a .jsonl file"
            )
        self.title, self.expected = kind.title, kind.expected
        content = kind(value, str(self.source), self.corpus)
        yield from content.rows()
        self.unused = content.unused

    def places(self) -> list[Path]:
        # coco/annotations/captions_train2017.json is about coco/train2017 or coco/images/train2017.
        folder, name = self.source.parent, self.source.stem.rpartition("_")[2]
        roots = [folder, folder.parent] if folder.name == "annotations" else [folder]
        inside = ("", name, "images", f"images/{name}")
        return [*super().places(), *(root / path for root in roots for path in inside)]


def read_json(file: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        MmkerasError: a file that cannot be read, or no JSON, with its line.
    """
    text = read_text(file)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError of its own
        raise MmkerasError(f"{file} is no valid JSON: {error}. A file of one record a line is named .jsonl") from error


def _brief(value):
    """What stands at the top of a JSON file, of which the rest may be large."""
    return f"an object of {', '.join(map(str, value))[:80]!r}" if isinstance(value, dict) else repr(str(value)[:80])
