"""`PartInfo`: what all embeddings of one Parquet file have in common."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

from mmkeras.errors import MmkerasError

Modality: TypeAlias = Literal["image", "text"]

FORMAT = 1
_DIGEST = 64  # characters, of which a message has the first
PART = re.compile(r"part-(\d{5,})-of-(\d{5,})\.parquet")


@dataclasses.dataclass(frozen=True)
class PartInfo:
    """What the schema of a Parquet file of embeddings says of all of them, under keys `mmkeras.*`.

    Args:
        space_id: identity of the embedding space, as the model's signature `describe` answers it.
        dim: D of the embeddings.
        modality: `image` or `text`.
        signature: the signature that embedded them.
        model: name of the model.
        version: of the model, a number in digits; empty where its folder has none.
        source: digest of the rows of the source that the file holds, 64 hexadecimal characters.
    """

    space_id: str
    dim: int
    modality: Modality
    signature: str
    model: str
    version: str
    source: str

    def to_metadata(self) -> dict[bytes, bytes]:
        """Return it as the metadata of an Arrow schema."""
        said = {"format": FORMAT, **dataclasses.asdict(self)}
        return {f"mmkeras.{key}".encode(): str(value).encode() for key, value in said.items()}

    @classmethod
    def of_metadata(cls, where: object, metadata: Mapping[bytes, bytes] | None) -> PartInfo:
        """Return what the metadata of an Arrow schema say.

        Args:
            where: the file, for messages.
            metadata: of its schema.

        Raises:
            MmkerasError: they say nothing of embeddings, or in another format.
        """
        said: dict[str, Any] = {
            key.decode("utf-8", "replace").removeprefix("mmkeras."): value.decode("utf-8", "replace")
            for key, value in (metadata or {}).items()
            if key.startswith(b"mmkeras.")
        }
        form = said.pop("format", None)
        names = [field.name for field in dataclasses.fields(cls)]
        whole = set(names) <= set(said) and said["space_id"] and said["dim"].isdecimal()
        if form != str(FORMAT) or not whole or said["modality"] not in get_args(Modality):
            received = "another Parquet file" if form is None else f"format {form}"
            raise MmkerasError(
                f"{where}: expected embeddings as `mmkeras embed` writes them, in format {FORMAT}. "
                f"Received: {received}{', damaged' if form == str(FORMAT) else ''}"
            )
        return cls(**{name: said[name] for name in names} | {"dim": int(said["dim"])})

    def check(self, where: object, expected: PartInfo) -> None:
        """Compare it with what a file would say that was made now; the model's name alone does not count.

        Args:
            where: the file, for messages.
            expected: what it would say.

        Raises:
            MmkerasError: the file is of another space, signature, version or source.
        """
        for key, what in (
            ("space_id", "another space"),
            ("signature", "another signature"),
            ("version", "another version of the model"),
            ("source", "other rows of the source"),
            ("dim", "another dimension"),
            ("modality", "another modality"),
        ):
            mine, theirs = str(getattr(self, key)), str(getattr(expected, key))
            if mine != theirs:
                mine, theirs = (f"{one[:12]}..." if len(one) == _DIGEST else one for one in (mine, theirs))
                raise MmkerasError(
                    f"{where} is of {what}: expected {key}={theirs!r}. Received: {mine!r}. Nothing "
                    "was overwritten; embed into another folder, or remove the file"
                )


def part_name(number: int, count: int) -> str:
    """Return the name of the file of shard `number`, from 0, of `count`.

    Example:
        >>> part_name(3, 64)
        'part-00003-of-00064.parquet'
    """
    return f"part-{number:05}-of-{count:05}.parquet"
