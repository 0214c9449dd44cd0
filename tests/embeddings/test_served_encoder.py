"""Embedding through a server: the same embeddings, one version for the whole run, and a server that goes away."""

import shutil
import threading
import time

import numpy as np
import pytest

from mmkeras.embeddings import EmbeddingJob, embedding_job, list_parts
from mmkeras.embeddings.served_encoder import ServedEncoder
from mmkeras.errors import MmkerasError
from mmkeras.serving import Client, EmbeddedServer

from ..test_client_distribution import alone, client_files, client_setup  # noqa: F401
from .conftest import COUNT


@pytest.fixture
def job(photos, tmp_path):
    def make(server, **changed):
        given = {"model": "tiny", "source": photos, "to": tmp_path / "to", "server": server, "rows_per_shard": 5}
        return EmbeddingJob(**{**given, **changed})

    return make


@pytest.mark.parametrize("port", ["gRPC", "REST"])
def test_a_server_gives_what_the_savedmodel_gives(job, tiny_version, tiny_server, tmp_path, parquet, photos, port):
    with EmbeddedServer(tiny_version.parent, rest_port=0) as server:
        summary = job(server.address if port == "gRPC" else f"http://{server.rest_address}", batch=2).run()
    assert (summary.rows, summary.failed, summary.files) == (COUNT, 2, 3)
    EmbeddingJob(tiny_version.parent, photos, tmp_path / "here", rows_per_shard=5).run()
    for served, here in zip(list_parts(tmp_path / "to"), list_parts(tmp_path / "here"), strict=True):
        served, here = parquet.read_table(served), parquet.read_table(here)
        assert served.schema.metadata == here.schema.metadata
        assert served.drop_columns(["embedding"]) == here.drop_columns(["embedding"])
        for one, other in zip(served["embedding"].to_pylist(), here["embedding"].to_pylist(), strict=True):
            assert (one is None) == (other is None)
            np.testing.assert_allclose(one or 0, other or 0, atol=1e-5)


def test_texts_and_a_version_in_the_path(job, tiny_server, parquet, tmp_path):
    assert job(tiny_server.address, model="savedmodels/tiny/1", signature="encode_text").run().rows == COUNT
    assert parquet.read_schema(list_parts(tmp_path / "to")[0]).metadata[b"mmkeras.version"] == b"1"
    with pytest.raises(MmkerasError, match="Servable not found for request: Specific\\(tiny, 2\\)"):
        job(tiny_server.address, version=2).run()


def test_no_server_and_no_such_model_are_told(job, tiny_server):
    with pytest.raises(MmkerasError, match="No server answers at 127.0.0.1:1. Is it running"):
        job("127.0.0.1:1").run()
    with pytest.raises(MmkerasError, match="Servable not found"):
        job(tiny_server.address, model="other").run()


def test_a_run_does_not_go_on_to_another_version(tiny_version, tmp_path):
    shutil.copytree(tiny_version, tmp_path / "tiny" / "1")
    with EmbeddedServer(tmp_path / "tiny", poll_seconds=0.1) as server:
        encoder = ServedEncoder(server.address, "tiny", "encode_text", retries=0)
        assert encoder.version == "1" and encoder.encode([b"a"])[1] == [None]
        shutil.copytree(tiny_version, tmp_path / "half")
        (tmp_path / "half").rename(tmp_path / "tiny" / "2")
        with Client(server.address, "tiny") as client:
            deadline = time.monotonic() + 60
            while {one["version"]: one["state"] for one in client.status()}.get(1) != "END":
                assert time.monotonic() < deadline
                time.sleep(0.1)
        with pytest.raises(MmkerasError, match="The version of a run stays the same"):
            encoder.encode([b"a"])
        encoder.close()


@pytest.fixture
def leaving(monkeypatch, tiny_version):
    """A function that returns a server which is away once the first shard is written, for some seconds or for good."""
    running = []

    def start(seconds=None):
        server = EmbeddedServer(tiny_version.parent).start()
        running.append(server)
        port, embed_shard = int(server.address.rpartition(":")[2]), embedding_job.embed_shard

        def come_back():
            time.sleep(seconds)
            running.append(EmbeddedServer(tiny_version.parent, port=port).start())

        def embed_and_leave(*arguments):
            embed_shard(*arguments)
            monkeypatch.setattr(embedding_job, "embed_shard", embed_shard)
            running.pop(0).stop()
            if seconds is not None:
                threading.Thread(target=come_back).start()

        monkeypatch.setattr(embedding_job, "embed_shard", embed_and_leave)
        return server

    yield start
    for server in running:
        server.stop()


def test_a_server_that_went_for_good_is_told_and_the_next_run_goes_on(job, leaving, tiny_server, tmp_path, monkeypatch):
    monkeypatch.setattr(ServedEncoder.__init__, "__defaults__", (None, 1, 20.0))
    with pytest.raises(MmkerasError, match="No server answers at .* Is it running"):
        job(leaving().address).run()
    assert [file.name for file in (tmp_path / "to").iterdir()] == ["part-00000-of-00003.parquet"]
    summary = job(tiny_server.address).run()
    assert (summary.written, summary.rows, summary.failed) == (2, COUNT, 2)


def test_a_server_that_restarts_is_waited_for(job, leaving):
    summary = job(leaving(seconds=2).address).run()
    assert (summary.written, summary.rows, summary.failed) == (3, COUNT, 2)


def test_the_client_alone_embeds_through_a_server(alone, tiny_server, photos, tmp_path, parquet):  # noqa: F811
    code = f"""
import sys
from mmkeras.cli import main
command = ["embed", "tiny", {str(photos)!r}, "--to", {str(tmp_path / "to")!r}, "--server", {tiny_server.address!r}]
code = main(command)
print(code, sorted({{"tensorflow", "keras"}} & set(sys.modules)))
"""
    done = alone("-c", code)
    assert done.stdout.splitlines()[-1:] == ["0 []"], done.stderr
    assert "Embedded: 12 rows in 1 file; " in done.stdout
    assert len(list_parts(tmp_path / "to")) == 1
