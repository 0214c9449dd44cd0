"""Shards on an engine of Apache Beam: Flink, Spark, Dataflow, or Beam's own runner on this machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mmkeras.embeddings.shard import Shard
from mmkeras.embeddings.shard_worker import ShardWorker
from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError


def pipeline_options(flags: Sequence[str]) -> Any:
    """Return Beam's `PipelineOptions` of flags, which they are read from when a runner asks for them.

    Raises:
        MissingPartError: Apache Beam is not installed.
    """
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ModuleNotFoundError as error:
        raise MissingPartError("--runner needs Apache Beam", "beam") from error
    return PipelineOptions(list(flags))


def run_pipeline(shards: Sequence[Shard], worker: ShardWorker, flags: Sequence[str]) -> None:
    """Embed shards, each an element that its worker writes itself: no step waits for all of them.

    Args:
        shards: list of `Shard`.
        worker: `ShardWorker`.
        flags: options of Beam, the runner among them.

    Raises:
        MmkerasError: the pipeline failed, with the last line of what the engine says.
    """
    options = pipeline_options(flags)
    import apache_beam

    if not shards:
        return
    try:
        with apache_beam.Pipeline(options=options) as pipeline:
            elements = pipeline | "Shards" >> apache_beam.Create(list(shards))
            # Without it an engine would run what follows where the list was made, one shard after the other.
            _ = elements | "Spread" >> apache_beam.Reshuffle() | "Embed" >> apache_beam.Map(worker)
    except Exception as error:  # whatever the engine raises, it carries what the worker said as a text
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        told = re.sub(r" \[while running '[^']*'\]$", "", said[-1]) if said else type(error).__name__
        raise MmkerasError(f"The pipeline failed: {told}") from error
