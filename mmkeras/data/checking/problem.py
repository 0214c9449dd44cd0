"""`Problem`: one thing that is wrong with data, or that should be looked at."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


def amount(count: int, noun: str, singular: str = "", plural: str = "") -> str:
    """Return how many there are of something, and what that is said to be or do.

    Example:
        >>> amount(1, "picture", "is empty", "are empty"), amount(2, "picture")
        ('1 picture is empty', '2 pictures')
    """
    words = f"1 {noun} {singular}" if count == 1 else f"{count:,} {noun}s {plural}"
    return words.rstrip()


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong with data, or that should be looked at, and where.

    Args:
        kind: a word for programs, such as `unreadable_pictures`.
        what: a sentence without its stop.
        count: of how many pictures, captions, records or classes it is true.
        places: where, a line each, such as `line 3: a.png: the file is empty`; all of them for what must be mended.
    """

    kind: str
    what: str
    count: int = 0
    places: Sequence[str] = ()
