"""`ApiError`: what a request is answered with in place of a result."""

from __future__ import annotations

from mmkeras.errors import MmkerasError


class ApiError(MmkerasError):
    """A request that is refused, or that cannot be answered now.

    Args:
        status: the HTTP status, such as 400.
        message: a sentence for who asked.

    Example:
        >>> raise ApiError(404, "There is no item 'a.jpg'")
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
