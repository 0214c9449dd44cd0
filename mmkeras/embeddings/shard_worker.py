"""`ShardWorker`: what embeds one shard on a worker of an engine."""

from __future__ import annotations

import dataclasses

from mmkeras.embeddings.encoder_settings import EncoderSettings
from mmkeras.embeddings.plan import read_rows
from mmkeras.embeddings.shard import Shard
from mmkeras.embeddings.shard_embedding import BATCH, embed_shard


@dataclasses.dataclass(frozen=True)
class ShardWorker:
    """Embeds a shard and writes its file, in any process that sees the same paths.

    The SavedModel is loaded once a process. A worker needs TensorFlow with tensorflow-text, or a server, and beside
    pyarrow the modules of `mmkeras-client` alone.

    Args:
        settings: which model embeds.
        plan_file: path of the rows.
        folder: where the files go.
        columns: dict from each column of metadata to its type.
        thumbnails: whether a small picture is kept of each.
        batch: rows that the model is given at a time, at most.

    Example:
        >>> ShardWorker(settings, "embeddings/.plan-1", "embeddings", {})(shard)
        'part-00000-of-00002.parquet'
    """

    settings: EncoderSettings
    plan_file: str
    folder: str
    columns: dict[str, str]
    thumbnails: bool = False
    batch: int = BATCH

    def __call__(self, shard: Shard) -> str:
        """Return the name of the shard's file, which is there then."""
        with open(self.plan_file, "rb") as stream:
            rows = read_rows(stream, shard, self.columns)
        embed_shard(shard, rows, self.columns, self.settings.opened(), self.folder, self.thumbnails, self.batch)
        return shard.name
