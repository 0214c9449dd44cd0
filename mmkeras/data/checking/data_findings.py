"""`DataFindings`: what is in a data set, and what is wrong with it."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from mmkeras.data.checking.caption_figures import CaptionFigures
from mmkeras.data.checking.class_figures import ClassFigures
from mmkeras.data.checking.picture_figures import PictureFigures
from mmkeras.data.checking.problem import Problem
from mmkeras.data.checking.spread import Spread

PLACES_IN_JSON = 1000  # of one note; of what must be mended all are told


@dataclasses.dataclass(frozen=True)
class DataFindings:
    """What is in a data set, and what is wrong with it; `check_data` makes it.

    Args:
        source: path of the data set.
        layout: the title of its layout.
        unused: columns or keys that say nothing here.
        drawn: whether the splits were drawn, since the source does not say.
        max_pixels: the largest picture that is decoded.
        decoded: whether all pictures were decoded, or the beginnings of some were read.
        records: how many there are, those that could not be read among them.
        counts: dict from a split to a dict of its `records`, `pictures` and `captions`.
        captions_a_picture: how many captions pictures have.
        pictures: `PictureFigures`; `None` where features stand in for pictures.
        captions: `CaptionFigures`.
        classes: `ClassFigures`; `None` without labels.
        problems: list of `Problem` that must be mended.
        notes: list of `Problem` that should be looked at.
    """

    source: str
    layout: str
    unused: list[str]
    drawn: bool
    max_pixels: int
    decoded: bool
    records: int
    counts: dict[str, dict[str, int]]
    captions_a_picture: Spread
    pictures: PictureFigures | None
    captions: CaptionFigures
    classes: ClassFigures | None
    problems: list[Problem]
    notes: list[Problem]

    @property
    def verdict(self) -> Literal["mend", "look", "good"]:
        """`mend` where there are problems, else `look` where there are notes, else `good`."""
        return "mend" if self.problems else "look" if self.notes else "good"

    @property
    def exit_code(self) -> int:
        """1 where something must be mended, else 0."""
        return int(bool(self.problems))

    def to_dict(self) -> dict[str, Any]:
        """Return all of it for JSON; of each note the first 1,000 places."""
        notes = [dataclasses.replace(note, places=note.places[:PLACES_IN_JSON]) for note in self.notes]
        return {
            "source": self.source,
            "verdict": self.verdict,
            "problems": [dataclasses.asdict(problem) for problem in self.problems],
            "notes": [dataclasses.asdict(note) for note in notes],
            "layout": self.layout,
            "unused_columns": self.unused,
            "splits_drawn": self.drawn,
            "max_pixels": self.max_pixels,
            "decoded": self.decoded,
            "records": self.records,
            "splits": self.counts,
            "captions_a_picture": self.captions_a_picture.to_dict(),
            "pictures": self.pictures and self.pictures.to_dict(),
            "captions": self.captions.to_dict(),
            "classes": self.classes and self.classes.to_dict(),
        }
