"""The error of a served model: a gRPC status code and the text that goes with it."""

from __future__ import annotations

from typing import Any

from mmkeras.errors import MmkerasError

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
STATUS_NAMES = {number: name for name, number in STATUS_CODES.items()}


class ServingError(MmkerasError):
    """A request that a model server refused, on either side of the wire.

    Args:
        code: a key of `STATUS_CODES`, for example `"NOT_FOUND"`.
        details: the server's own text; clients may depend on it.
        request: what was asked of whom, put before the text where the error is shown; empty on the server's side.

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
        super().__init__(f"{request} failed: {code}: {details}" if request else f"{code}: {details}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.details, self.request)
