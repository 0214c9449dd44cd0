"""The command `mmkeras embed`."""

import argparse
import re

from mmkeras.console import quiet_tensorflow
from mmkeras.errors import MmkerasError
from mmkeras.printable import printable
from mmkeras.progress import duration, showing_progress


def embed(options: argparse.Namespace) -> None:
    """Embed a corpus and write it as Parquet files, one a shard."""
    if options.engine_flags and not options.runner:
        raise MmkerasError(
            f"Unrecognized arguments: {' '.join(options.engine_flags)}. Flags of Apache Beam go with --runner"
        )
    worker, workers = _worker(options.shard)
    from mmkeras.data.stores.arrow_file import import_pyarrow
    from mmkeras.embeddings import EmbeddingJob

    job = EmbeddingJob(
        options.model,
        options.source,
        options.to,
        options.images,
        options.signature,
        options.server,
        options.version,
        worker,
        workers,
        options.rows_per_shard,
        options.batch,
        options.thumbnails,
        options.pictures_outside,
    )
    import_pyarrow()
    if options.runner:
        from mmkeras.embeddings.beam_pipeline import pipeline_options

        flags = ["--runner", options.runner, *options.engine_flags]
        pipeline_options(flags)
    if not options.server:
        quiet_tensorflow()
    with showing_progress():
        summary = job.run_on_beam(flags) if options.runner else job.run()
    _print(summary, options.to)


def _worker(shard):
    """Which worker of how many."""
    found = re.fullmatch(r"(\d+)/(\d+)", shard)
    if not found or int(found[1]) >= int(found[2]):
        raise MmkerasError(
            f"Expected --shard I/N, a worker's number from 0 to N - 1 and how many there are. Received: {shard!r}"
        )
    return int(found[1]), int(found[2])


def _print(summary, folder):
    if summary.left_out:
        print(printable(f"Left out: {summary.left_out:,} records. The first: {summary.problems[0]}"))
    if summary.failed:
        told = f"Without an embedding: {summary.failed:,} of {summary.rows:,}, column error says why. The first: "
        print(printable(told + summary.first_error))
    there = summary.files - summary.written
    also = f", {there:,} of them were there before" if there else ""
    of = f" of {summary.of_files:,}" if summary.of_files != summary.files else ""
    rate = f"; {duration(summary.seconds)}, {summary.embedded / summary.seconds:,.0f} a second"
    files = f"{summary.files:,}{of} file{'s' * (summary.of_files != 1)}"
    print(f"Embedded: {summary.rows:,} rows in {files}{also}{rate if summary.embedded else ''}\nWritten:  {folder}")
