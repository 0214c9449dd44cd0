"""`UnreadablePictures`: all pictures of a list that cannot be read, in one error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmkeras.errors import MmkerasError

MOST_TOLD = 5  # problems that a message spells out


def first_told(problems: Sequence[str]) -> list[str]:
    """Return the lines of a message about problems: all of them, or the first five and how many more there are."""
    more = [f"... and {len(problems) - MOST_TOLD} more"] if len(problems) > MOST_TOLD else []
    return [*problems[:MOST_TOLD], *more]


class UnreadablePictures(MmkerasError):
    """Pictures of a list that cannot be read, all of them, so that a caller can leave them out and ask again.

    The message is that of the picture where it is one alone, else a line each for the first five, and how many more.

    Args:
        reasons: dict from a picture's position in the list, from 0, to the message about it.

    Attributes:
        reasons: the same, in the order of the positions.

    Example:
        >>> try:
        ...     images = preprocessor.load(pictures)
        ... except UnreadablePictures as error:
        ...     images = preprocessor.load([one for row, one in enumerate(pictures) if row not in error.reasons])
    """

    def __init__(self, reasons: Mapping[int, str]) -> None:
        self.reasons = {row: reasons[row] for row in sorted(reasons)}
        super().__init__("\n".join(first_told(list(self.reasons.values()))))

    def __reduce__(self) -> tuple[type[UnreadablePictures], tuple[dict[int, str]]]:
        return type(self), (self.reasons,)
