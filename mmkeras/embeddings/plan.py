"""`Plan`: a source in shards, whose rows lie in one file until somebody embeds them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Iterable
from typing import BinaryIO

from mmkeras.embeddings.column_types import ColumnTypes, as_type
from mmkeras.embeddings.corpus import Corpus
from mmkeras.embeddings.corpus_row import CorpusRow
from mmkeras.embeddings.shard import Shard
from mmkeras.progress import Progress


@dataclasses.dataclass(frozen=True)
class Plan:
    """The shards of a source.

    Args:
        shards: list of those `Shard` that this worker embeds.
        count: of all shards, those of other workers too.
        rows: of the whole source.
        columns: dict from each column of metadata to its type, see `ColumnTypes`.
    """

    shards: list[Shard]
    count: int
    rows: int
    columns: dict[str, str]


def write_plan(corpus: Corpus, stream: BinaryIO, rows_per_shard: int, worker: int = 0, workers: int = 1) -> Plan:
    """Divide a corpus into shards and write the rows of some of them into a file.

    Only the rows of one shard are in memory; a picture takes about a hundred bytes of the file.

    Args:
        corpus: `Corpus`.
        stream: a binary file to write to, from where it stands.
        rows_per_shard: rows of each shard but the last.
        worker: only shards whose number, divided by `workers`, leaves this are written and returned.
        workers: how many share the work.

    Returns:
        `Plan`.

    Raises:
        MmkerasError: the source cannot be read, or has nothing to embed.
    """
    types: ColumnTypes | None = None
    found: list[tuple[int, int, int, int, str]] = []
    rows: list[CorpusRow] = []
    count = number = 0

    def close() -> None:
        nonlocal number
        if number % workers == worker:
            digest = hashlib.sha256()
            for row in rows:
                digest.update(row.identity().encode())
            packed = zlib.compress("\n".join(row.to_json() for row in rows).encode(), 1)
            found.append((number, len(rows), stream.tell(), len(packed), digest.hexdigest()))
            stream.write(packed)
        rows.clear()
        number += 1

    with Progress("Reading the source", None, corpus.modality.replace("image", "picture")) as bar:
        for row in corpus:
            if types is None:  # a layout knows it once its first row is there
                types = ColumnTypes(corpus.untyped)
            types.see(row.metadata)
            rows.append(row)
            count += 1
            bar.advance()
            if len(rows) == rows_per_shard:
                close()
        if rows:
            close()
    stream.flush()
    columns = {} if types is None else types.types()
    shards = [
        Shard(place, number, held, offset, size, _with_columns(digest, columns))
        for place, held, offset, size, digest in found
    ]
    return Plan(shards, number, count, columns)


def read_rows(stream: BinaryIO, shard: Shard, columns: dict[str, str]) -> list[CorpusRow]:
    """Return the rows of a shard, their metadata in the types of the columns.

    Args:
        stream: the plan's file.
        shard: `Shard`.
        columns: of the `Plan`.
    """
    stream.seek(shard.offset)
    lines = zlib.decompress(stream.read(shard.size)).split(b"\n")
    return list(_typed(map(CorpusRow.of_json, lines), columns))


def _typed(rows: Iterable[CorpusRow], columns):
    for row in rows:
        row.metadata = {name: as_type(value, columns[name]) for name, value in row.metadata.items()}
        yield row


def _with_columns(digest, columns):
    """A file's columns follow from all rows of the source, those of other shards too."""
    return hashlib.sha256((digest + json.dumps(columns, sort_keys=True)).encode()).hexdigest()
