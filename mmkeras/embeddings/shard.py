"""`Shard`: some rows of a source, which become one file."""

from __future__ import annotations

import dataclasses

from mmkeras.embeddings.part_info import part_name


@dataclasses.dataclass(frozen=True)
class Shard:
    """Some rows of a source, which become one file: what a worker is told, some hundred bytes.

    Args:
        number: from 0.
        count: of all shards.
        rows: how many it has.
        offset: where they begin in the plan's file, in bytes.
        size: the bytes that they take there.
        source: digest of the rows, and of what the columns of the whole source hold.
    """

    number: int
    count: int
    rows: int
    offset: int
    size: int
    source: str

    @property
    def name(self) -> str:
        """The name of its file."""
        return part_name(self.number, self.count)
