"""`serve` finds the server that the machine has, and ends with exit code 0 when it is told to."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from concurrent import futures

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import Client
from mmkeras.serving.launch import serve

SERVE = "import sys, json; from mmkeras.serving.launch import serve; sys.exit(serve(**json.loads(sys.argv[1])))"
FAKE = """import json, signal, sys, time
def end(*_):
    open({log!r}, "a").write("terminated\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
open({log!r}, "w").write(json.dumps(sys.argv[1:]) + "\\n")
if "--model_name=fails" in sys.argv:
    sys.exit(255)
time.sleep(60)
"""


@pytest.fixture
def fake_binary(tmp_path, monkeypatch):
    """A `tensorflow_model_server` on the PATH that records its flags; the file it writes."""
    log = tmp_path / "flags.json"
    binary = tmp_path / "bin" / "tensorflow_model_server"
    binary.parent.mkdir()
    program = tmp_path / "fake.py"
    program.write_text(FAKE.format(log=str(log)))
    # Through a shell: the path of a Python may hold a space, which a first line "#!..." does not survive.
    binary.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}" "$@"\n')
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(binary.parent), prepend=os.pathsep)
    return log


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
    monkeypatch.setattr("mmkeras.serving.launch._run_binary", lambda *arguments: started.append(arguments))
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


def start(**arguments):
    return subprocess.Popen(
        [sys.executable, "-c", SERVE, json.dumps(arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def test_tensorflow_model_server_is_preferred(fake_binary, toy_path):
    relative = os.path.relpath(toy_path)
    process = start(base_path=relative, name="toy", port=8500, rest_port=8501)
    try:
        wait_for(lambda: fake_binary.exists() and fake_binary.read_text().endswith("\n"))
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    flags, end = fake_binary.read_text().splitlines()
    assert json.loads(flags) == [
        "--port=8500",
        "--model_name=toy",
        f"--model_base_path={toy_path}",
        "--rest_api_port=8501",
    ]
    assert end == "terminated"
    assert "TensorFlow Serving" in output and "127.0.0.1:8500" in output
    assert "--model toy --server 127.0.0.1:8500" in output


def write_configs(folder, model_path):
    """A models.config, a batching.config and a monitoring.config; {argument of serve: path}."""
    contents = {
        "config_file": f'model_config_list {{ config {{ name: "half" base_path: "{model_path}" '
        'model_platform: "tensorflow" } }',
        "batching_file": "max_batch_size { value: 8 } batch_timeout_micros { value: 1000 }",
        "monitoring_file": 'prometheus_config { enable: true path: "/metrics" }',
    }
    for argument, content in contents.items():
        (folder / argument).write_text(content)
    return {argument: str(folder / argument) for argument in contents}


def test_files_become_the_flags_of_tensorflow_model_server(fake_binary, toy_path, tmp_path):
    files = write_configs(tmp_path, toy_path)
    process = start(port=8500, rest_port=8501, socket_path=str(tmp_path / "socket"), **files)
    try:
        wait_for(lambda: fake_binary.exists() and fake_binary.read_text().endswith("\n"))
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert json.loads(fake_binary.read_text().splitlines()[0]) == [
        "--port=8500",
        "--rest_api_port=8501",
        f"--model_config_file={files['config_file']}",
        f"--batching_parameters_file={files['batching_file']}",
        f"--monitoring_config_file={files['monitoring_file']}",
        f"--grpc_socket_path={tmp_path / 'socket'}",
        "--enable_batching=true",
    ]
    assert f"gRPC at unix:{tmp_path / 'socket'} and HTTP at 127.0.0.1:8501" in output
    assert "--model NAME --server 127.0.0.1:8500" in output


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


def test_files_that_are_not_there_and_nothing_or_too_much_to_serve(fake_binary, toy_path, tmp_path):
    with pytest.raises(MmkerasError, match="batching_file to be a file. Received: .*gone.config"):
        serve(toy_path, batching_file=tmp_path / "gone.config")
    config = write_configs(tmp_path, toy_path)["config_file"]
    for arguments in ({}, {"base_path": toy_path, "config_file": config}):
        with pytest.raises(MmkerasError, match="savedmodels/NAME, or a models.config"):
            serve(**arguments)
    assert not fake_binary.exists()


def test_a_server_that_ends_by_itself_is_an_error(fake_binary, toy_path):
    with pytest.raises(MmkerasError, match="exit code 255"):
        serve(toy_path, "fails", 8500)
    with pytest.raises(MmkerasError, match="port above 0 .* port=0"):
        serve(toy_path, "toy", 0)
    with pytest.raises(MmkerasError, match="port above 0 .* rest_port=0"):
        serve(toy_path, "toy", 8500, 0)


def test_a_missing_model_is_told_before_anything_starts(fake_binary, tmp_path):
    with pytest.raises(MmkerasError, match="nowhere"):
        serve(tmp_path / "nowhere", "toy", 8500)
    assert not fake_binary.exists()


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
