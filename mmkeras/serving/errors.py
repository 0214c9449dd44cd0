"""The error of a served model: a gRPC status code and the text that goes with it."""

from __future__ import annotations

import re
from typing import Any

from mmkeras.errors import MmkerasError, without_graph

# gRPC's canonical codes by name; TensorFlow numbers its errors alike.
STATUS_CODES = {
    "OK": 0,
    "CANCELLED": 1,
    "UNKNOWN": 2,
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "OUT_OF_RANGE": 11,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "DATA_LOSS": 15,
    "UNAUTHENTICATED": 16,
}
_ASSERTED = re.compile(r"assertion failed: \[([^\[\]]* [^\[\]]*)\]")
STATUS_NAMES = {number: name for name, number in STATUS_CODES.items()}


class ServingError(MmkerasError):
    """A request that a model server refused, on either side of the wire.

    Args:
        code: a key of `STATUS_CODES`, for example `"NOT_FOUND"`.
        details: the server's own text, to the letter; programs may depend on it.
        request: what was asked of whom, put before the text where the error is shown; empty on the server's side.

    Attributes:
        reason: the text for people: TensorFlow Serving's without what it quotes of the model's graph. It is what the
            error shows.

    Example:
        >>> ServingError("NOT_FOUND", "Servable not found for request: Latest(nope)").code
        'NOT_FOUND'
    """

    def __init__(self, code: str, details: str, request: str = "") -> None:
        if code not in STATUS_CODES:
            raise ValueError(f"Expected code to be one of {sorted(STATUS_CODES)}. Received: code={code!r}")
        self.code = code
        self.details = details
        self.request = request
        self.reason = without_graph(details)
        # What an assertion of the model's says, where it says nothing else.
        if told := _ASSERTED.fullmatch(self.reason):
            self.reason = told[1]
        super().__init__(f"{request} failed: {code}: {self.reason}" if request else f"{code}: {self.reason}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.details, self.request)
