"""`UnreadablePictures`: all pictures of a list that cannot be read, in one error."""

from __future__ import annotations

from collections.abc import Mapping

from mmkeras.errors import MmkerasError

MOST_TOLD = 5  # pictures that the message spells out


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
        lines = list(self.reasons.values())
        if len(lines) > MOST_TOLD:
            lines[MOST_TOLD:] = [f"... and {len(lines) - MOST_TOLD} more"]
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type[UnreadablePictures], tuple[dict[int, str]]]:
        return type(self), (self.reasons,)
