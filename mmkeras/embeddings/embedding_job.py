"""`EmbeddingJob`: a corpus, a model and a folder; in this process, or shard by shard on an engine."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from mmkeras.atomic import replacing_file
from mmkeras.embeddings.corpus import Corpus
from mmkeras.embeddings.embedding_summary import EmbeddingSummary, summary_of
from mmkeras.embeddings.encoder_settings import EncoderSettings
from mmkeras.embeddings.part import list_parts
from mmkeras.embeddings.plan import Plan, read_rows, write_plan
from mmkeras.embeddings.shard_embedding import BATCH, embed_shard, is_finished
from mmkeras.embeddings.shard_worker import ShardWorker
from mmkeras.errors import MmkerasError
from mmkeras.progress import Progress
from mmkeras.serving.versions import latest_version, version_folder

SIGNATURE = "encode_image_tolerant"
ROWS_PER_SHARD = 10_000
FORGOTTEN_AFTER = 86_400  # seconds, after which what a killed process left half written is removed


@dataclasses.dataclass(frozen=True)
class EmbeddingJob:
    """All embeddings of a source, as Parquet files in a folder, one a shard.

    A job that was cut off, by a kill or a full disk, goes on when it is run again: files that are there are passed
    over. Jobs of one source, model and `rows_per_shard` may run side by side, each as another worker. A folder holds
    the embeddings of one source, space, signature and version; anything else in it is an error that names the file.

    Args:
        model: a model's folder, of which the newest version embeds, or a version's own; with a server the model's name
            there, or such a path that ends with it.
        source: path of a file or folder in any layout of `mmkeras.data.layouts`.
        to: the folder of the files; made where missing.
        images: where the pictures lie; by default where the layout says.
        signature: name of the signature. One over `text` embeds all captions.
        server: `HOST:PORT` of gRPC, or a URL; empty where the SavedModel is loaded into this process.
        version: of the model; `None` is the newest.
        worker: which of the `workers` this is, from 0: it embeds shards whose number divided by `workers` leaves it.
        workers: how many share the work.
        rows_per_shard: rows of a file; the last one may have fewer.
        batch: rows that the model is given at a time, at most.
        thumbnails: whether a small picture to be looked at is kept beside each embedding.
        outside: whether names of pictures may lead out of `images`, see `FolderStore`.

    Raises:
        MmkerasError: an argument is not what is expected, a model or a source that is not there.

    Example:
        >>> EmbeddingJob("savedmodels/photos", "captions.csv", "embeddings", images="photos").run().rows
        8000
    """

    model: str | os.PathLike[str]
    source: str | os.PathLike[str]
    to: str | os.PathLike[str]
    images: str | os.PathLike[str] | None = None
    signature: str = SIGNATURE
    server: str = ""
    version: int | None = None
    worker: int = 0
    workers: int = 1
    rows_per_shard: int = ROWS_PER_SHARD
    batch: int = BATCH
    thumbnails: bool = False
    outside: bool = False

    def __post_init__(self) -> None:
        for name, value in (("rows_per_shard", self.rows_per_shard), ("batch", self.batch), ("workers", self.workers)):
            if value < 1:
                raise MmkerasError(f"Expected {name} to be at least 1. Received: {name}={value!r}")
        if not 0 <= self.worker < self.workers:
            raise MmkerasError(
                f"Expected worker to be a number from 0 to {self.workers - 1}, of {self.workers} workers. "
                f"Received: worker={self.worker!r}"
            )
        if os.path.lexists(self.to) and not os.path.isdir(self.to):
            raise MmkerasError(f"Expected a folder for the embeddings. Received: {self.to}, which is a file")
        self.encoder_settings()
        Corpus(self.source)
        list_parts(self.to)

    def encoder_settings(self) -> EncoderSettings:
        """Return which model embeds, by its version's absolute path or by its name on the server."""
        path = Path(self.model)
        if not self.server:
            folder = latest_version(path) if self.version is None else version_folder(path, self.version)
            return EncoderSettings(os.path.abspath(folder), self.signature)
        version = self.version
        if path.name.isascii() and path.name.isdecimal() and path.parent.name:
            version, path = int(path.name) if version is None else version, path.parent
        return EncoderSettings(path.name, self.signature, self.server, version)

    def run(self) -> EmbeddingSummary:
        """Embed in this process, one shard after the other.

        Raises:
            MmkerasError: what a shard in the folder is of another space or source; the source, the model or the folder
                cannot be used; a server that went away. What is finished stays.
        """
        with Progress("Loading the model"):
            encoder = self.encoder_settings().open()
        try:
            with _unnamed_file() as stream:
                corpus = Corpus(self.source, self.images, encoder.modality, self.outside)
                plan = self._plan(corpus, stream, tempfile.gettempdir())
                waiting = [shard for shard in plan.shards if not self._is_finished(shard, encoder)]
                done = sum(shard.rows for shard in plan.shards) - sum(shard.rows for shard in waiting)
                started = time.monotonic()
                unit = "picture" if encoder.modality == "image" else "text"
                with Progress(f"Embedding {unit}s", sum(s.rows for s in plan.shards), unit, done=done) as bar:
                    for shard in waiting:
                        rows = read_rows(stream, shard, plan.columns)
                        embed_shard(
                            shard, rows, plan.columns, encoder, self.to, self.thumbnails, self.batch, bar.advance
                        )
        finally:
            encoder.close()
        return summary_of(self.to, plan, corpus, len(waiting), sum(s.rows for s in waiting), started)

    def run_on_beam(self, flags: Sequence[str]) -> EmbeddingSummary:
        """Embed on an engine of Apache Beam: a shard is an element, which its worker embeds and writes itself.

        Workers see the source, the model and the folder under the same paths. They read rows from a file beside the
        embeddings, `.plan-...`, which is removed at the end.

        Args:
            flags: options of Beam, `["--runner", "FlinkRunner", "--flink_master", "localhost:8081"]`.

        Raises:
            MmkerasError: as `run`; the pipeline failed; Apache Beam is not installed.
        """
        from mmkeras.embeddings.beam_pipeline import run_pipeline

        settings = self.encoder_settings()
        with Progress("Loading the model"):
            encoder = settings.opened()
        # Workers of one job must not take two versions where a server goes on to another one meanwhile.
        settings = dataclasses.replace(settings, version=int(encoder.version) if self.server else None)
        corpus = Corpus(self.source, self.images, encoder.modality, self.outside)
        folder = os.path.abspath(self.to)
        with _named_file(folder) as file:
            with _closing(open(file, "wb")) as stream:
                plan = self._plan(corpus, stream, folder)
            waiting = [shard for shard in plan.shards if not self._is_finished(shard, encoder)]
            worker = ShardWorker(settings, str(file), folder, plan.columns, self.thumbnails, self.batch)
            started = time.monotonic()
            with Progress("Embedding on Beam"):
                run_pipeline(waiting, worker, flags)
        return summary_of(folder, plan, corpus, len(waiting), sum(s.rows for s in waiting), started)

    def _is_finished(self, shard, encoder):
        return is_finished(shard, encoder, self.to, self.thumbnails)

    def _plan(self, corpus: Corpus, stream: BinaryIO, place: str) -> Plan:
        try:
            plan = write_plan(corpus, stream, self.rows_per_shard, self.worker, self.workers)
        except OSError as error:
            raise MmkerasError(
                f"The rows of {self.source} could not be kept in {place}: {error.strerror or error}"
            ) from error
        _remove_unfinished(Path(self.to))
        for file in list_parts(self.to):
            if not file.stem.endswith(f"-of-{plan.count:05}"):
                raise MmkerasError(
                    f"{file} is of another number of shards: expected {plan.count}, of {plan.rows:,} rows with "
                    f"{self.rows_per_shard:,} a shard. Nothing was overwritten; embed into another folder, or with the "
                    "source and --rows-per-shard of before"
                )
        return plan


@contextlib.contextmanager
def _unnamed_file() -> Iterator[BinaryIO]:
    """A file that is gone with the process, however it ends."""
    with _closing(tempfile.TemporaryFile(prefix="mmkeras-")) as stream:
        yield stream


@contextlib.contextmanager
def _closing(stream):
    """Close a file; where the disk is full, what it still holds fails a second time, and was told before."""
    try:
        yield stream
    finally:
        with contextlib.suppress(OSError):
            stream.close()


@contextlib.contextmanager
def _named_file(folder):
    """A path in a folder, which workers elsewhere open; removed at the end."""
    file = Path(folder) / f".plan-{secrets.token_hex(8)}"
    with replacing_file(file):
        pass  # the folder is made, and can be written
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.unlink()


def _remove_unfinished(folder):
    """Remove what processes that were killed have left, a day after."""
    for pattern in (".tmp-*.parquet", ".plan-*"):
        for file in folder.glob(pattern):
            with contextlib.suppress(OSError):
                if file.stat().st_mtime < time.time() - FORGOTTEN_AFTER:
                    file.unlink()
