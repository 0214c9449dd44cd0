"""`CorpusEncoder`: a signature of an exported model, asked for batch after batch, in which some rows may fail."""

from __future__ import annotations

import abc
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mmkeras.embeddings.part_info import Modality, PartInfo
from mmkeras.errors import MmkerasError
from mmkeras.serving.errors import ServingError

INPUTS: dict[str, Modality] = {"image_bytes": "image", "text": "text"}
STRICT = "encode_image"  # which says of a picture what is wrong with it
NORM_TOLERANCE = 1e-3
_TOO_MANY_ROWS = re.compile(r"Task size \d+ is larger than maximum input batch size (\d+)")
_TOO_LARGE = "larger than max"  # how gRPC ends its word of a message over its limit


class CorpusEncoder(abc.ABC):
    """Embeds pictures or texts; a subclass asks the model. Several threads may ask it.

    Args:
        signature: name of the signature.
        signatures: the model's, a dict from a name to (list of input names, list of output names).
        where: the model, for messages.

    Attributes:
        modality: `image` or `text`, by the signature's input.
        space_id: identity of the space.
        dim: D.
        model: the model's name.
        version: its version in digits; empty where there is none.
        in_flight: how many batches the model works on at a time.

    Raises:
        MmkerasError: there is no such signature, or one that embeds neither encoded pictures nor texts.
    """

    in_flight: ClassVar[int] = 1
    space_id: str
    dim: int
    model: str
    version: str

    def __init__(self, signature: str, signatures: dict[str, tuple[list[str], list[str]]], where: str) -> None:
        self.signature, self.where = signature, where
        able = {name: given[0] for name, (given, told) in signatures.items() if _embeds(name, given, told)}
        if signature not in able:
            raise MmkerasError(
                f"{where}: expected a signature that embeds encoded pictures or texts, one of "
                f"{', '.join(sorted(able)) or 'none'}. Received: signature={signature!r}"
            )
        if "describe" not in signatures:
            raise MmkerasError(f"{where} has no signature describe, which says its embedding space: no mmkeras export")
        self.input = able[signature]
        self.modality = INPUTS[self.input]
        self._tolerant = "valid" in signatures[signature][1]
        self._has_strict = self._tolerant and STRICT in able
        self._most_rows: int | None = None

    @abc.abstractmethod
    def call(self, signature: str, name: str, values: NDArray[np.object_]) -> dict[str, NDArray[Any]]:
        """Return the outputs of a signature.

        Args:
            signature: its name.
            name: of its input.
            values: object array (N,) of bytes.

        Raises:
            ServingError: with the code of what failed.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of what it holds."""

    def info(self, source: str) -> PartInfo:
        """Return what a file of embeddings of rows with the digest `source` says of them."""
        return PartInfo(self.space_id, self.dim, self.modality, self.signature, self.model, self.version, source)

    def encode(self, contents: Sequence[bytes]) -> tuple[NDArray[np.float32], list[str | None]]:
        """Embed encoded pictures, or texts in UTF-8.

        Args:
            contents: N of them.

        Returns:
            float32 (N, D) of unit norm, and N errors, `None` of a row that was embedded.

        Raises:
            MmkerasError: embeddings of another dimension or norm.
            ServingError: what is wrong is not a row.
        """
        embeddings = np.zeros((len(contents), self.dim), np.float32)
        errors: list[str | None] = [None] * len(contents)
        if len(contents):
            values = np.empty(len(contents), object)
            values[:] = contents
            self._encode(values, np.arange(len(contents)), embeddings, errors)
        return embeddings, errors

    def _encode(self, values, rows, embeddings, errors):
        """Embed some rows; where they fail together, by halves, so that each row fails for itself."""
        if self._most_rows is not None and len(rows) > self._most_rows:
            for start in range(0, len(rows), self._most_rows):
                self._encode(values, rows[start : start + self._most_rows], embeddings, errors)
            return
        try:
            outputs = self.call(self.signature, self.input, values[rows])
        except ServingError as error:
            if not _is_of_rows(error):
                raise
            if (told := _TOO_MANY_ROWS.search(error.details)) and 0 < int(told[1]) < len(rows):
                self._most_rows = int(told[1])
                self._encode(values, rows, embeddings, errors)
            elif len(rows) == 1:
                errors[rows[0]] = _reason(error)
            else:
                for half in np.array_split(rows, 2):
                    self._encode(values, half, embeddings, errors)
            return
        found = outputs["embedding"].astype(np.float32, copy=False)
        if found.shape != (len(rows), self.dim):
            raise MmkerasError(
                f"{self.where}, {self.signature}: expected embeddings of shape ({len(rows)}, {self.dim}). "
                f"Received: {found.shape}"
            )
        valid = outputs["valid"].astype(bool) if self._tolerant else np.ones(len(rows), bool)
        for row in rows[~valid]:
            errors[row] = self._why(values[row : row + 1])
        finite = np.isfinite(found).all(axis=1)
        for row in rows[valid & ~finite]:
            errors[row] = "the model's embedding holds NaN or infinity"
        right = valid & finite
        self._check_norms(found[right])
        embeddings[rows[right]] = found[right]

    def _why(self, value):
        """What is wrong with a picture: the tolerant signature only says that something is."""
        if self._has_strict:
            try:
                self.call(STRICT, "image_bytes", value)
            except ServingError as error:
                if not _is_of_rows(error):
                    raise
                return _reason(error)
        return "no picture that can be decoded"

    def _check_norms(self, found):
        norms = np.linalg.norm(found, axis=1)
        if (off := np.abs(norms - 1) > NORM_TOLERANCE).any():
            raise MmkerasError(
                f"{self.where}, {self.signature}: expected embeddings of unit norm, of which products are cosines. "
                f"Received: one of norm {norms[off][0]:.4g}"
            )


def _embeds(name, given, told):
    return name != "serving_default" and len(given) == 1 and given[0] in INPUTS and "embedding" in told


def _reason(error):
    """What is wrong with a row that was asked for alone."""
    return error.reason.removeprefix("row 0: ")


def _is_of_rows(error):
    """Whether an error is about what was sent: the same rows would fail again, and others would not."""
    return error.code == "INVALID_ARGUMENT" or _TOO_LARGE in error.details
