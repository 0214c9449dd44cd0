"""The suite's ways to a server of one's own, tried on the embedded server: by its address, and as a binary."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from .conftest import SERVED
from .fixture_models import write_half, write_models
from .server import KIND, free_ports, models_config

HERE = Path(__file__).parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(KIND != "embedded", reason="tries the ways to ask a server, and is asked of one already"),
]

OPEN = """
import sys, time
from mmkeras.serving import EmbeddedServer
path, port, rest_port, folder = sys.argv[1:]
options = {"allow_reload_config": [folder], "max_rows": None, "max_text_bytes": None}
with EmbeddedServer(path, port=int(port), rest_port=int(rest_port), **options) as server:
    print("gRPC at", server.address, flush=True)
    time.sleep(600)
"""


def suite(*arguments, **environment):
    """The suite in a process of its own: (exit code, its output)."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=HERE.parent.parent, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def serve(tmp_path):
    """A function of the command line's arguments that starts `mmkeras serve`; it ends with the test.

    With `reloads_from`, a folder, the server is what serving/README.md says of one that is to load models of the suite.
    """
    port, rest_port = free_ports(2)
    (tmp_path / "no binaries").mkdir()
    started = []

    def serve(*arguments, reloads_from=None):
        command = [sys.executable, "-m", "mmkeras.cli", "serve", *map(str, arguments)]
        command += ["--port", str(port), "--rest-port", str(rest_port)]
        if reloads_from:
            command = [sys.executable, "-c", OPEN, *map(str, (*arguments, port, rest_port, reloads_from))]
        environment = {**os.environ, "PATH": str(tmp_path / "no binaries")}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        started.append(process)
        assert "gRPC at" in process.stdout.readline()
        return f"127.0.0.1:{port},{rest_port}"

    yield serve
    for process in started:
        process.terminate()
        process.communicate(timeout=20)


def test_by_address(serve, tmp_path):
    """Most of the suite: what needs a server of its own is skipped."""
    write_half(tmp_path / "half" / "1", 1)
    models = tmp_path / "models"
    address = serve(tmp_path / "half", reloads_from=models)
    code, output = suite(str(HERE), MMKERAS_SERVER=address, MMKERAS_SERVER_MODELS=str(models))
    assert code == 0, output
    passed, skipped = (int(output.rpartition(f" {word}")[0].split()[-1]) for word in ("passed", "skipped"))
    assert passed > 200 and passed > 2 * skipped, output


def test_by_address_all_versions_are_waited_for(serve, tmp_path):
    write_models(tmp_path / "models")
    later = tmp_path / "later"
    shutil.move(tmp_path / "models" / "dense" / "1", later)
    (tmp_path / "models.config").write_text(models_config(tmp_path / "models", SERVED))
    address = serve("--config", tmp_path / "models.config")

    def publish():
        time.sleep(3)
        later.rename(tmp_path / "models" / "dense" / "1")

    thread = threading.Thread(target=publish)
    thread.start()
    code, output = suite(f"{HERE / 'test_metadata_status_reload.py'}::test_status", MMKERAS_SERVER=address)
    thread.join()
    assert code == 0 and "1 passed" in output, output


def test_as_a_binary(tmp_path):
    """A few starts, of every kind of end: the binary is started for each."""
    binary = tmp_path / "bin" / "a_model_server"
    binary.parent.mkdir()
    binary.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "embedded_binary.py"}" "$@"\n')
    binary.chmod(0o755)
    tests = [
        "test_versions_labels_warmup.py::test_moving_a_label",
        "test_versions_labels_warmup.py::test_a_model_that_fails_at_the_start",
        "test_monitoring_health_tls.py::test_models_config_is_read_again",
        "test_monitoring_health_tls.py::test_mutual_tls",
        "test_batching.py::test_requests_that_arrive_together_run_together",
    ]
    environment = {"MMKERAS_SERVER_BINARY": binary.name, "PATH": f"{binary.parent}{os.pathsep}{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(HERE.parent.parent)
    code, output = suite(*(str(HERE / test) for test in tests), **environment)
    assert code == 0 and f"{len(tests)} passed" in output, output


def test_a_binary_that_is_not_there():
    test = f"{HERE / 'test_predict.py'}::test_response"
    code, output = suite(test, MMKERAS_SERVER_BINARY="/nowhere/tensorflow_model_server")
    assert code == 1
    assert (
        "MMKERAS_SERVER_BINARY=/nowhere/tensorflow_model_server: expected the path or the name of a program" in output
    )
