"""How much one request may ask for: rows and lengths of texts, looked at before anything is unpacked or run."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from dataclasses import dataclass
from typing import Any

from mmkeras.errors import MmkerasError
from mmkeras.limits import MAX_ROWS, MAX_TEXT_BYTES
from mmkeras.serving.errors import ServingError
from mmkeras.serving.tensors import MAX_REPEATED_BYTES

MAX_MESSAGE_BYTES = 128 * 2**20
# As exports name the input, or the feature of a tf.Example, that is tokenized. Other strings may be pictures.
_TEXT = "text"


@dataclass(frozen=True)
class RequestLimits:
    """The limits that both ports hold requests to; TensorFlow Serving has none.

    A few bytes can promise any number of rows, and what a row costs is the model's memory, which no size of a message
    bounds. The time to tokenize a text grows with its length.

    Args:
        max_rows: the most rows of a request: the first dimension of each of its tensors, or its examples. None for any
            number.
        max_text_bytes: the longest text in bytes, where an input or a feature is named `text`; None for any length.

    Raises:
        MmkerasError: an argument is below 1.

    Example:
        >>> RequestLimits(max_rows=8).check_rows(9, "input text")
        Traceback (most recent call last):
        ServingError: INVALID_ARGUMENT: Task size 9 is larger than maximum input batch size 8 (input text)
    """

    max_rows: int | None = MAX_ROWS
    max_text_bytes: int | None = MAX_TEXT_BYTES

    def __post_init__(self) -> None:
        for name in ("max_rows", "max_text_bytes"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise MmkerasError(f"Expected {name} to be an int of at least 1 or None. Received: {name}={value!r}")

    def check_rows(self, rows: int, where: str) -> None:
        """Refuse more rows than a request may have, in the words of a batching server, from which clients learn it."""
        if self.max_rows is not None and rows > self.max_rows:
            raise ServingError(
                "INVALID_ARGUMENT",
                f"Task size {rows} is larger than maximum input batch size {self.max_rows} ({where})",
            )

    def check_shape(self, alias: str, proto: Any) -> None:
        """Refuse a TensorProto of too many rows by its shape alone."""
        if proto.tensor_shape.dim:
            self.check_rows(proto.tensor_shape.dim[0].size, f"input {alias}")

    def check_texts(self, name: str, values: Iterable[Sized]) -> None:
        """Refuse a text that is too long, where `name` is that of texts."""
        if name != _TEXT or self.max_text_bytes is None:
            return
        for row, value in enumerate(values):
            self._check_text(row, value)

    def check_examples(self, examples: Any, context: bytes) -> None:
        """Refuse tf.Examples that are too many, hold too long a text, or repeat too large a context."""
        self.check_rows(len(examples), "examples")
        if len(context) * (len(examples) - 1) > MAX_REPEATED_BYTES:
            raise ServingError(
                "INVALID_ARGUMENT",
                f"Expected a context that all examples together repeat in at most {MAX_REPEATED_BYTES} bytes. "
                f"Received: {len(context)} bytes for {len(examples)} examples",
            )
        for row, example in enumerate(examples):
            if _TEXT in example.features.feature and self.max_text_bytes is not None:
                for value in example.features.feature[_TEXT].bytes_list.value:
                    self._check_text(row, value)

    def _check_text(self, row, value):
        if len(value) > self.max_text_bytes:
            raise ServingError(
                "INVALID_ARGUMENT",
                f"Expected texts of at most {self.max_text_bytes} bytes. "
                f"Received: {_TEXT} of row {row} has {len(value)} bytes",
            )


DEFAULT_LIMITS = RequestLimits()
NO_LIMITS = RequestLimits(max_rows=None, max_text_bytes=None)
