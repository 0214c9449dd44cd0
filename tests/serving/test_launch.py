"""`serve` finds the server that the machine has, and ends with exit code 0 when it is told to."""

import json
import re
import signal
import time
import urllib.request
from concurrent import futures

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import Client
from mmkeras.serving.launch import serve

from .launching import start, write_configs


def test_what_comes_before_loading_is_called_once_nothing_is_wrong(tmp_path, monkeypatch):
    class Called(Exception):
        pass

    def before_loading():
        raise Called

    monkeypatch.setenv("PATH", str(tmp_path))  # no tensorflow_model_server
    with pytest.raises(MmkerasError, match="Expected base_path to be a model's folder"):
        serve(tmp_path / "model", before_loading=before_loading)
    (tmp_path / "model" / "1").mkdir(parents=True)
    with pytest.raises(MmkerasError, match="Expected port to be a number"):
        serve(tmp_path / "model", port=70000, before_loading=before_loading)
    with pytest.raises(Called):
        serve(tmp_path / "model", port=0, before_loading=before_loading)


def test_limits_reach_the_embedded_server_and_the_other_has_none(tmp_path, monkeypatch, caplog, toy_path):
    limits = {"max_rows": 0}
    started = []
    monkeypatch.setattr("mmkeras.serving.launch._run_binary", lambda *arguments: started.append(arguments) or 0)
    monkeypatch.setattr("mmkeras.serving.launch.shutil.which", lambda name: None)
    with pytest.raises(
        MmkerasError, match="Expected max_rows to be an int of at least 1 or None. Received: max_rows=0"
    ):
        serve(toy_path, port=0, limits=limits)
    assert (started, caplog.text) == ([], "")
    monkeypatch.setattr("mmkeras.serving.launch.shutil.which", lambda name: "/bin/tensorflow_model_server")
    assert serve(toy_path, port=1, limits=limits) == 0
    assert len(started) == 1
    assert "tensorflow_model_server bounds neither rows nor texts" in caplog.text


def test_the_embedded_server_takes_the_same_files(half_plus_two_path, tmp_path):
    path = tmp_path / "s"
    process = start(port=0, rest_port=0, socket_path=str(path), **write_configs(tmp_path, half_plus_two_path))
    try:
        line = process.stdout.readline()
        http = re.search(r"HTTP at (\S+);", line)[1]
        with urllib.request.urlopen(f"http://{http}/metrics") as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"http://{http}/v1/models/half") as answer:
            assert json.load(answer)["model_version_status"][0]["state"] == "AVAILABLE"
        assert f" and gRPC at unix:{path} and HTTP" in line
        with Client(f"unix:{path}", "half") as client:
            assert client.status()[0]["state"] == "AVAILABLE"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, errors


def test_the_embedded_server_is_the_fallback(half_plus_two_path):
    process = start(base_path=str(half_plus_two_path), name="half", port=0, rest_port=0)
    try:
        lines = [process.stdout.readline() for _ in range(2)]
        assert lines[0].startswith("EmbeddedServer"), process.stderr.read()
        address, rest_address = re.findall(r"127\.0\.0\.1:\d+", lines[0])
        with Client(address, "half") as client:
            assert client.predict("", {"x": [2.0]})["y"].tolist() == [3.0]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{rest_address}/v1/models/half", timeout=20) as response:
            assert json.load(response)["model_version_status"][0]["state"] == "AVAILABLE"
        assert lines[1].strip() == f'mmkeras query "a text, or the path of a picture" --model half --server {address}'
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0


def test_sigterm_lets_running_requests_end(toy_path):
    process = start(base_path=str(toy_path), name="toy", port=0)
    try:
        address = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())[0]
        with Client(address, "toy") as client, futures.ThreadPoolExecutor(1) as pool:
            seconds = -time.monotonic()
            client.predict("slow", {"steps": np.int32(10_000)})
            seconds += time.monotonic()
            # For about two seconds, however fast this machine is.
            running = pool.submit(client.predict, "slow", {"steps": np.int32(20_000 / seconds)})
            time.sleep(0.5)
            assert not running.done()
            process.send_signal(signal.SIGTERM)
            assert running.result()["total"] > 0
        process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0


def test_signal_handlers_are_given_back(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "broken" / "1").mkdir(parents=True)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(MmkerasError, match="did not become available"):
        serve(tmp_path / "broken", "broken", 0)
    assert signal.getsignal(signal.SIGTERM) is before
