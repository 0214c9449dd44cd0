"""`ServiceLimits`: what a request may ask for, and how much is done at a time."""

from __future__ import annotations

import dataclasses

from mmkeras.errors import MmkerasError
from mmkeras.limits import MAX_TEXT_BYTES

_FORM_BYTES = 256 * 1024  # of the other fields of a request, and of what stands between them


@dataclasses.dataclass(frozen=True)
class ServiceLimits:
    """What a request may ask for, and how much is done at a time.

    Args:
        upload_bytes: of a picture.
        text_bytes: of a text, as UTF-8.
        results: of a request, its `k`.
        reach: how far into the results a request may ask, its `offset` and `k` together.
        where_characters: of an expression that filters.
        where_seconds: that an expression may take.
        seconds: that a request may take.
        body_seconds: in which the body of a request must have come.
        concurrent: searches at a time; further ones are refused with status 429.
        connections: at a time; further ones are refused with status 503.

    Raises:
        MmkerasError: a limit that is not above 0.
    """

    upload_bytes: int = 10 * 1024 * 1024
    text_bytes: int = MAX_TEXT_BYTES
    results: int = 200
    reach: int = 10_000
    where_characters: int = 2000
    where_seconds: float = 2.0
    seconds: float = 30.0
    body_seconds: float = 10.0
    concurrent: int = 16
    connections: int = 512

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not value > 0:
                raise MmkerasError(f"Expected {field.name} to be above 0. Received: {field.name}={value!r}")

    @property
    def body_bytes(self) -> int:
        """The bytes of a request's body: those of a picture in base64, four for three, and the other fields."""
        return self.upload_bytes * 4 // 3 + self.text_bytes + _FORM_BYTES
