"""`serve` with a `tensorflow_model_server` on the PATH, for which a small program stands in."""

import json
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from mmkeras.cli import main
from mmkeras.errors import MmkerasError
from mmkeras.serving import stock_server
from mmkeras.serving.launch import serve
from mmkeras.serving.stock_server import BINARY, StockServer

from .launching import start, write_configs

# Of every start, whatever is served.
ALWAYS = [
    "--grpc_max_threads=256",
    "--allow_version_labels_for_unavailable_models=true",
    "--enable_grpc_healthcheck_service=true",
    "--enable_profiler=false",
]


class StandIn:
    """A `tensorflow_model_server` on the PATH, `stand_in_server.py`, and two ports that it may have."""

    def __init__(self, folder, monkeypatch):
        self.log = folder / "stand_in.log"
        binary = folder / "bin" / "tensorflow_model_server"
        binary.parent.mkdir()
        # Through a shell: the path of a Python may hold a space, which a first line "#!..." does not survive.
        binary.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).with_name("stand_in_server.py")}" "$@"\n'
        )
        binary.chmod(0o755)
        monkeypatch.setenv("PATH", str(binary.parent), prepend=os.pathsep)
        self._monkeypatch = monkeypatch
        self.does()
        probes = [socket.create_server(("", 0)) for _ in range(2)]
        self.port, self.rest_port = (probe.getsockname()[1] for probe in probes)
        for probe in probes:
            probe.close()

    def does(self, **told):
        """Tell it what to do, as its docstring says."""
        self._monkeypatch.setenv("STAND_IN", json.dumps({"log": str(self.log), **told}))

    def lines(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def flags(self):
        return json.loads(self.lines()[0])


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    return StandIn(tmp_path, monkeypatch)


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_tensorflow_model_server_is_preferred(stand_in, toy_path, number):
    stand_in.does(says=["loading", "loaded"])
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # where these tests run under nohup, it is ignored
    process = start(base_path=os.path.relpath(toy_path), name="toy", port=stand_in.port, rest_port=stand_in.rest_port)
    signal.signal(signal.SIGHUP, before)
    try:
        line, query = process.stdout.readline(), process.stdout.readline()
        wait_for(lambda: stand_in.lines()[1:] == ["open"])
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert stand_in.lines()[2:] == ["terminated"]
    assert stand_in.flags() == [
        f"--port={stand_in.port}",
        "--model_name=toy",
        f"--model_base_path={toy_path}",
        f"--rest_api_port={stand_in.rest_port}",
        *ALWAYS,
    ]
    assert line.startswith("TensorFlow Serving (") and f"gRPC at 127.0.0.1:{stand_in.port} and HTTP at " in line
    assert "it listens on all other addresses of this machine too" in line
    assert f"--model toy --server 127.0.0.1:{stand_in.port}" in query
    assert "loading\nloaded\n" in errors and "listens on all addresses of this machine" in errors


def test_the_announcement_waits_for_the_ports(stand_in, toy_path):
    stand_in.does(seconds=1.0)
    process = start(base_path=str(toy_path), port=stand_in.port, rest_port=stand_in.rest_port)
    try:
        wait_for(stand_in.lines)
        assert "TensorFlow Serving" in process.stdout.readline()
        for port in (stand_in.port, stand_in.rest_port):
            socket.create_connection(("127.0.0.1", port)).close()
        process.terminate()
        process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0


def test_a_signal_before_the_ports_are_open(stand_in, toy_path):
    stand_in.does(seconds=60)
    process = start(base_path=str(toy_path), port=stand_in.port)
    try:
        wait_for(stand_in.lines)
        process.terminate()
        output, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, output) == (0, "")
    assert stand_in.lines()[1:] == ["terminated"]


def test_a_binary_that_does_not_hear(stand_in, toy_path, monkeypatch):
    stand_in.does(deaf=True)
    monkeypatch.setattr(stock_server, "_END_SECONDS", 0.2)
    with StockServer(shutil.which(BINARY), toy_path, "toy", stand_in.port) as server:
        assert server.wait_until_open(lambda: False)
    assert server.exit_code() == 128 + signal.SIGKILL


def test_the_wait_for_a_start_that_takes_long_is_told(stand_in, toy_path, monkeypatch, caplog):
    stand_in.does(seconds=1.0)
    monkeypatch.setattr(stock_server, "_PATIENCE_SECONDS", 0.2)
    with StockServer(shutil.which(BINARY), toy_path, "toy", stand_in.port) as server:
        assert server.wait_until_open(lambda: False)
    assert "opened no port yet: it loads its models, or waits for a folder" in caplog.text


def test_a_port_for_http_that_stays_closed(stand_in, toy_path, monkeypatch):
    stand_in.does(no_http=True)
    monkeypatch.setattr(stock_server, "_HTTP_SECONDS", 0.2)
    with pytest.raises(MmkerasError, match=f"port {stand_in.port} and not port {stand_in.rest_port} for HTTP"):
        serve(toy_path, "toy", stand_in.port, stand_in.rest_port)
    assert stand_in.lines()[-1] == "terminated"


def test_files_become_the_flags_of_tensorflow_model_server(stand_in, toy_path, tmp_path):
    files = write_configs(tmp_path, toy_path)
    ports = {"port": stand_in.port, "rest_port": stand_in.rest_port}
    process = start(socket_path=str(tmp_path / "socket"), **ports, **files)
    try:
        line, query = process.stdout.readline(), process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert stand_in.flags() == [
        f"--port={stand_in.port}",
        f"--rest_api_port={stand_in.rest_port}",
        f"--model_config_file={files['config_file']}",
        f"--batching_parameters_file={files['batching_file']}",
        f"--monitoring_config_file={files['monitoring_file']}",
        f"--grpc_socket_path={tmp_path / 'socket'}",
        "--enable_batching=true",
        "--model_config_file_poll_wait_seconds=1",
        *ALWAYS,
    ]
    assert f"gRPC at unix:{tmp_path / 'socket'} and HTTP at 127.0.0.1:{stand_in.rest_port}; it listens" in line
    assert f"--model NAME --server 127.0.0.1:{stand_in.port}" in query


def test_files_that_are_not_there_and_nothing_or_too_much_to_serve(stand_in, toy_path, tmp_path):
    with pytest.raises(MmkerasError, match="batching_file to be a file. Received: .*gone.config"):
        serve(toy_path, batching_file=tmp_path / "gone.config")
    config = write_configs(tmp_path, toy_path)["config_file"]
    for arguments in ({}, {"base_path": toy_path, "config_file": config}):
        with pytest.raises(MmkerasError, match="savedmodels/NAME, or a models.config"):
            serve(**arguments)
    assert stand_in.lines() == []


@pytest.mark.parametrize(("exit_code", "handed_on"), [(255, 255), (1, 1), (0, 2)])
def test_a_binary_that_ends_at_the_start(stand_in, toy_path, capsys, exit_code, handed_on):
    said = ["loading", "", "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: {{{...}}}"]
    stand_in.does(says=said, exit_code=exit_code)
    assert main(["serve", str(toy_path), "--port", str(stand_in.port)]) == handed_on
    out, err = capsys.readouterr()
    assert (out, err.splitlines()) == (
        "",
        [
            *said,
            f"mmkeras: error: tensorflow_model_server ended by itself with exit code {exit_code}. Its last lines:",
            "  loading",
            f"  {said[-1]}",
        ],
    )


def test_a_binary_that_ends_later(stand_in, toy_path, capsys):
    stand_in.does(lives=0.3)
    assert main(["serve", str(toy_path), "--port", str(stand_in.port)]) == 7
    out, err = capsys.readouterr()
    assert out.startswith("TensorFlow Serving")
    assert "ended by itself with exit code 7. Its last lines:\n  It said nothing" in err


def test_a_binary_that_is_killed(stand_in, toy_path):
    process = start(base_path=str(toy_path), port=stand_in.port)
    try:
        process.stdout.readline()
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGKILL)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert "ended by itself by signal 9 (Killed)" in errors


def test_a_binary_that_is_no_program(stand_in, toy_path, tmp_path):
    (tmp_path / "bin" / BINARY).write_bytes(b"\x7fELF of another machine")
    with pytest.raises(
        MmkerasError, match="tensorflow_model_server to be a program that runs. Received: .*Exec format"
    ):
        serve(toy_path, "toy", stand_in.port)


def test_ports_that_the_binary_cannot_have(stand_in, toy_path):
    for arguments, told in (
        ({"port": 0}, "port above 0 .* port=0"),
        ({"port": 8500, "rest_port": 0}, "port above 0 .* rest_port=0"),
        ({"port": 8500, "rest_port": 8500}, "a port of its own for HTTP"),
        ({"port": 70000}, "number from 0 to 65535"),
    ):
        with pytest.raises(MmkerasError, match=told):
            serve(toy_path, "toy", **arguments)
    # Whatever address has it: the binary wants the port on all of them.
    with socket.create_server(("127.0.0.2", stand_in.port)):
        with pytest.raises(
            MmkerasError, match=f"free on all addresses of this machine. Received: port={stand_in.port}"
        ):
            serve(toy_path, "toy", stand_in.port)
    assert stand_in.lines() == []


@pytest.mark.parametrize(
    ("path", "told"), [("/nowhere/at/all", "Could not find base path"), ("FOLDER", "No versions of servable m found")]
)
def test_a_models_config_for_which_the_binary_would_wait_without_end(stand_in, tmp_path, path, told):
    config = tmp_path / "models.config"
    path = path.replace("FOLDER", str(tmp_path))
    config.write_text(
        f'model_config_list {{ config {{ name: "m" base_path: "{path}" model_platform: "tensorflow" }} }}'
    )
    with pytest.raises(MmkerasError, match=told):
        serve(config_file=config, port=stand_in.port)
    assert stand_in.lines() == []


def test_a_missing_model_is_told_before_anything_starts(stand_in, tmp_path):
    with pytest.raises(MmkerasError, match="nowhere"):
        serve(tmp_path / "nowhere", "toy", stand_in.port)
    assert stand_in.lines() == []
