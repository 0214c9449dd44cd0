"""`mmkeras search-server` before a model server, in a process of its own; and what it and `serve --ui` refuse."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from mmkeras.cli import main

from .search_service.conftest import PlaneModel, write_indexes
from .serving.fake_servers import FakeGrpcServer


@pytest.fixture
def place(tmp_path, monkeypatch):
    write_indexes(tmp_path / "savedmodels" / "toy" / "1", "space-1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextlib.contextmanager
def started(*arguments):
    """A process of the command; it is killed at the end where it does not end by itself."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "mmkeras.cli", "search-server", *map(str, arguments)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ask(url, path, content=None):
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as answer:
        body = answer.read()
    return json.loads(body) if body else None


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_until_it_is_told_to_end(place, ending):
    with FakeGrpcServer(PlaneModel()) as server:
        options = ["--server", server.address, "--port", 0, "--feedback", place / "verdicts.jsonl"]
        with started(*options) as process:
            line = process.stdout.readline()
            url = re.fullmatch(r"Search page: (http://127\.0\.0\.1:\d+/)\n", line)[1]
            assert ask(url, "api/info")["model"] == "toy"  # the only one in savedmodels
            assert ask(url, "api/search", {"text": "at 30", "k": 1})["results"][0]["item"]["id"] == "p3"
            ask(url, "api/feedback", {"text": "at 30", "id": "p3", "verdict": 1})
            process.send_signal(ending)
            _, errors = process.communicate(timeout=30)
            assert (process.returncode, errors) == (0, "")
    assert json.loads((place / "verdicts.jsonl").read_text())["image"] == "p3"


def test_without_a_server_it_waits_for_one_and_says_so(place):
    with FakeGrpcServer(PlaneModel()) as server:
        address = server.address
    with started("--server", address, "--port", 0) as process:
        assert process.stdout.readline().startswith("Search page: http://127.0.0.1:")
        assert f"No server answers at {address}" in process.stderr.readline()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["search-server", "--model", "toy", "--port", "70000"], "Expected port to be a number from 0 to 65535"),
        (["search-server", "--host", "256.0.0.1"], "Expected an address of this machine"),
        (["search-server", "--max-upload", "0"], "Expected upload_bytes to be above 0"),
        (["search-server", "--concurrent", "0"], "Expected concurrent to be above 0"),
        (["search-server", "--feedback", "verdicts.txt"], "Expected a file that ends in .jsonl"),
        (["search-server", "--index", "nowhere"], "Expected base_path to be a model's folder"),
        (["serve", "savedmodels/toy", "--ui", "--ssl", "ssl.config"], "Received: --ssl"),
        (["serve", "--config", "models.config", "--ui"], "Received: --config"),
        (["serve", "savedmodels/toy", "--feedback", "a.jsonl"], "Expected --ui beside --feedback"),
        (["serve", "savedmodels/toy", "--ui", "70000"], "Expected port to be a number from 0 to 65535"),
        (["serve", "savedmodels/toy", "--ui", "0", "--feedback", "a.txt"], "Expected a file that ends in .jsonl"),
    ],
)
def test_what_is_refused(place, capsys, arguments, told):
    assert main(arguments) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["search-server"], ["serve", "savedmodels/toy", "--ui"]])
def test_without_the_extra_it_says_what_to_install(place, capsys, monkeypatch, arguments):
    monkeypatch.setattr("mmkeras.search_service.search_server.find_spec", lambda name: None)
    assert main(arguments) == 2
    assert "pip install 'mmkeras[ui]'" in capsys.readouterr().err
