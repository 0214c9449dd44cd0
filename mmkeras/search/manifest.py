"""`Manifest`: what an index says of itself, `index.json`, and which of the files beside it are its own."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from mmkeras.atomic import replacing_file
from mmkeras.errors import MmkerasError
from mmkeras.search.item_batch import MODALITIES, Modality
from mmkeras.search.precision import PRECISIONS, Precision

INDEX_FORMAT = 2  # of the folder's layout; raised when an older reader could misread it
Kind: TypeAlias = Literal["exact", "ivf", "hnsw"]

KINDS = get_args(Kind)
FILE = "index.json"
# What the files and folders beside it are called; others are not touched.
OWN = re.compile(r"(segment|removed|image|text)-[0-9][a-z0-9.-]*")


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What `index.json` says. It is replaced by a rename, and what it names is never changed: a reader sees one state.

    Args:
        space_id: identity of the space of the embeddings.
        dim: length of an embedding.
        modalities: list of those that every item has an embedding of.
        segments: list of dicts, in order: `name`, a folder; `count` of its items; where some of them were removed the
            file `removed` with their rows, int64, sorted, and their number `removed_count`.
        precision: type of the embeddings' numbers.
        kind: `exact`, or what the search by faiss is made of.
        approximate: dict from modality to what `ApproximateSearch` is opened with; empty of an exact index.
        generation: counts the changes, from 1.
        before: names of files that the generation before had, and this one has not.
    """

    space_id: str
    dim: int
    modalities: list[Modality]
    segments: list[dict[str, Any]]
    precision: Precision = "float32"
    kind: Kind = "exact"
    approximate: dict[Modality, dict[str, Any]] = dataclasses.field(default_factory=dict)
    generation: int = 1
    before: list[str] = dataclasses.field(default_factory=list)

    @property
    def rows(self) -> int:
        """Number of rows of all segments, those that were removed among them."""
        return sum(segment["count"] for segment in self.segments)

    @property
    def count(self) -> int:
        """Number of items."""
        return self.rows - sum(segment.get("removed_count", 0) for segment in self.segments)

    @property
    def names(self) -> set[str]:
        """The names of the files and folders that this generation consists of."""
        segments = {segment["name"] for segment in self.segments}
        removed = {segment["removed"] for segment in self.segments if "removed" in segment}
        return segments | removed | {settings["file"] for settings in self.approximate.values()}

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Manifest:
        """Read the manifest of an index folder.

        Raises:
            MmkerasError: no index, one of another format, or a damaged one.
        """
        file = Path(folder) / FILE
        try:
            info = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise MmkerasError(f"{folder} is no index: {error}") from error
        has = info.pop("format", None) if isinstance(info, dict) else "unknown"
        if has != INDEX_FORMAT:
            raise MmkerasError(f"{folder} is an index of format {has}. This version reads {INDEX_FORMAT}")
        told = info.pop("count", None)
        try:
            manifest = cls(**info)
            fits = manifest.count == told and manifest._fits()
        except (TypeError, KeyError, AttributeError) as error:
            raise MmkerasError(f"{file} is damaged: {error}") from error
        if manifest.precision not in PRECISIONS:
            raise MmkerasError(f"{folder} holds embeddings as {manifest.precision}. This version reads {[*PRECISIONS]}")
        if manifest.kind not in KINDS:
            raise MmkerasError(f"{folder} is searched by {manifest.kind}. This version knows {[*KINDS]}")
        if not fits:
            raise MmkerasError(f"{file} is damaged: its parts do not fit together")
        return manifest

    def _fits(self):
        """Whether the parts are of their types and fit together."""
        efforts = [settings["effort"] for settings in self.approximate.values()]
        numbers = [self.dim, self.generation, *(segment["count"] for segment in self.segments), *efforts]
        return (
            all(isinstance(number, int) and number > 0 for number in numbers)
            and all(OWN.fullmatch(name) for name in self.names)
            and isinstance(self.space_id, str)
            and set(self.approximate) <= set(self.modalities) <= set(MODALITIES)
            and len(self.modalities) > 0
            and (self.kind == "exact") == (not self.approximate)
        )

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Replace the manifest of an index folder.

        Raises:
            MmkerasError: it cannot be written; the old one is whole.
        """
        info = {"format": INDEX_FORMAT, "count": self.count} | dataclasses.asdict(self)
        with replacing_file(Path(folder) / FILE) as beside, open(beside, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(info, indent=2) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
