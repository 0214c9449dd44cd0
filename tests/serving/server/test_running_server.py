"""All parts of a server together: HTTP beside gRPC, batching below both, and metrics of both."""

import json
import re
import sys
import threading
import time
import urllib.request
from concurrent import futures

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import Client, EmbeddedServer

BATCHING = """
max_batch_size { value: 8 } batch_timeout_micros { value: 20000 } num_batch_threads { value: 1 }
max_enqueued_batches { value: 100 }
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "batching.config").write_text(BATCHING)
    (tmp_path / "monitoring.config").write_text('prometheus_config { enable: true path: "/metrics" }')
    return {
        "batching_file": tmp_path / "batching.config",
        "monitoring_file": tmp_path / "monitoring.config",
        "rest_port": 0,
    }


def read(address, path, content=None):
    request = urllib.request.Request(f"http://{address}{path}", content)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as response:
        return response.read().decode()


def test_everything_at_once(toy_path, files):
    with EmbeddedServer(toy_path, **files) as server, Client(server.address, "toy", timeout=20) as client:
        rows = json.loads(read(server.rest_address, "/v1/models/toy:predict", b'{"instances": [[1, 1, 1]]}'))
        assert rows == {"predictions": [[6.0, 6.0]]}
        state = json.loads(read(server.rest_address, "/v1/models/toy"))["model_version_status"][0]
        assert (state["version"], state["state"]) == ("2", "AVAILABLE")
        with futures.ThreadPoolExecutor(8) as pool:
            values = list(pool.map(lambda n: client.encode_text(["x" * n])[0, 0], range(1, 9)))
        assert values == list(range(1, 9))
        with pytest.raises(MmkerasError, match="Task size 9 is larger than maximum input batch size 8"):
            client.predict("", {"x": np.ones([9, 3], np.float32)})
        metrics = read(server.rest_address, "/metrics")
        assert (
            ':tensorflow:serving:request_count{model_name="toy",status="OK"} 10' in metrics
        )  # and the look at the status
        assert ':tensorflow:serving:request_count{model_name="toy",status="INVALID_ARGUMENT"} 1' in metrics
        assert re.search(r'request_latency_count\{model_name="toy",API="Predict",entrypoint="GRPC"\} 8\n', metrics)
        runs = re.search(r"batching_session:processed_batch_size_count\S* (\d+)", metrics)
        assert int(runs[1]) < 9  # some of the nine ran together
    assert server.rest_address is None
    server.stop()


def test_models_that_clients_invent_are_counted_together(toy_path, files):
    with EmbeddedServer(toy_path, **files) as server:
        for model in ("toy", *(f"invented {number}" for number in range(20))):
            with Client(server.address, model, timeout=20, label=None if model == "toy" else f"of {model}") as client:
                with pytest.raises(MmkerasError):
                    client.predict(f"no signature of {model}", {"x": [1.0]})
        lines = [line for line in read(server.rest_address, "/metrics").splitlines() if "request_count{" in line]
    assert lines == [
        ':tensorflow:serving:request_count{model_name="(other)",status="INVALID_ARGUMENT"} 20',
        ':tensorflow:serving:request_count{model_name="toy",status="FAILED_PRECONDITION"} 1',
    ]


@pytest.mark.parametrize("port", ["gRPC", "HTTP"])
def test_a_client_learns_how_many_rows_a_request_may_have(toy_path, port):
    with EmbeddedServer(toy_path, rest_port=0, max_rows=10) as server:
        address = server.address if port == "gRPC" else f"http://{server.rest_address}"
        with Client(address, "toy", timeout=20) as client:  # its own limit is 256
            texts = ["x" * length for length in range(25)]
            assert client.encode_text(texts)[:, 0].tolist() == list(range(25))
            with pytest.raises(MmkerasError, match="Task size 11 is larger than maximum input batch size 10"):
                client.predict("encode_text", {"text": ["a"] * 11})


def test_no_thread_outlives_the_server(toy_path, files):
    before = set(threading.enumerate())
    with EmbeddedServer(toy_path, **files) as server, Client(server.address, "toy", concurrency=8) as client:
        with futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: client.encode_text(["x" * n]), range(1, 40)))
        assert len(set(threading.enumerate()) - before) > 8
    deadline = time.monotonic() + 10
    while left := {thread.name for thread in set(threading.enumerate()) - before}:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def test_what_http_needs_is_looked_for_before_a_model_is_loaded(toy_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "waitress", None)
    monkeypatch.setattr("mmkeras.serving.server.running_server.load_servable", pytest.fail)
    with pytest.raises(MmkerasError, match=r"pip install 'mmkeras\[rest\]'"):
        EmbeddedServer(toy_path, rest_port=0).start()


def test_a_part_that_cannot_begin_leaves_nothing_running(toy_path, tmp_path, files):
    files["batching_file"].write_text("max_batch_size { value: 0 }")
    with pytest.raises(MmkerasError, match="max_batch_size"):
        EmbeddedServer(toy_path, **files).start()
    files["batching_file"].write_text(BATCHING)
    with EmbeddedServer(toy_path, **files) as server:
        port = int(server.rest_address.partition(":")[2])
        for arguments in ({"port": port}, {"rest_port": port}):
            with pytest.raises(MmkerasError, match=rf"Received: port={port}\b"):
                EmbeddedServer(toy_path, **arguments).start()
    with pytest.raises(MmkerasError, match="rest_port with monitoring_file"):
        EmbeddedServer(toy_path, monitoring_file=files["monitoring_file"])
    with pytest.raises(MmkerasError, match="Expected rest_port"):
        EmbeddedServer(toy_path, rest_port=-1)
    with pytest.raises(MmkerasError, match="Expected rest_timeout to be seconds above 0. Received: rest_timeout=0"):
        EmbeddedServer(toy_path, rest_port=0, rest_timeout=0)
