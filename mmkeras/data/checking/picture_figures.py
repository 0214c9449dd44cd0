"""`PictureFigures`: what pictures are like."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmkeras.data.checking.picture_looks import PictureLook
from mmkeras.data.checking.spread import Spread


@dataclasses.dataclass(frozen=True)
class PictureFigures:
    """What pictures are like.

    Args:
        count: how many files there are, or should be; copies of one picture count.
        looked_at: how many of them were looked at, the beginnings of them or all.
        bytes: of all of them, encoded.
        width, height: in pixels, upright, of those that were looked at and have a header.
        formats: dict from `JPEG` and so on to their number.
        colours: dict from `colour`, `grey` or `with transparency` to their number.
        turned: dict from an orientation of EXIF, `"2"` to `"8"`, to their number.
        unreadable: how many cannot be read; of those that are not there, where nothing was decoded.
    """

    count: int
    looked_at: int
    bytes: int
    width: Spread
    height: Spread
    formats: dict[str, int]
    colours: dict[str, int]
    turned: dict[str, int]
    unreadable: int

    @property
    def aspect(self) -> Spread:
        """Width over height."""
        return Spread(self.width.values / self.height.values)

    @property
    def longest_side(self) -> Spread:
        """The longer one of width and height, in pixels."""
        return Spread(np.maximum(self.width.values, self.height.values))

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        figures = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        spreads = {name: getattr(self, name).to_dict() for name in ("width", "height", "aspect")}
        return figures | spreads


def picture_figures(count: int, size: int, looks: Sequence[PictureLook], unreadable: int) -> PictureFigures:
    """Sum up pictures.

    Args:
        count: how many there are.
        size: their bytes.
        looks: list of `PictureLook`, of all or some of them.
        unreadable: how many cannot be read.
    """
    known = [look.header for look in looks if not look.problem and look.header.width and look.header.height]
    sizes = np.array([(header.width, header.height) for header in known], np.int64).reshape(-1, 2)
    return PictureFigures(
        count,
        len(looks),
        size,
        Spread(sizes[:, 0]),
        Spread(sizes[:, 1]),
        _counts(look.header.format for look in looks if not look.problem),
        _counts(header.colour for header in known),
        _counts(str(header.orientation) for header in known if header.orientation > 1),
        unreadable,
    )


def _counts(values):
    return dict(collections.Counter(value for value in values if value).most_common())
