"""`mmkeras serve --ui`: the model server, and beside it the page's service, which finds what `mmkeras query` finds."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from mmkeras.query import ask, find_index


@pytest.mark.slow
def test_the_page_stands_beside_the_server_until_both_end(tiny_version, tmp_path):
    folder = tiny_version.parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PATH": str(tmp_path)}  # no stock server
    command = [sys.executable, "-m", "mmkeras.cli", "serve", str(folder), "--port", "0", "--ui", "0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def answer(path, content=None):
        data = None if content is None else json.dumps(content).encode()
        with opener.open(
            urllib.request.Request(url + path, data, {"Content-Type": "application/json"}), timeout=60
        ) as opened:
            return json.load(opened)

    try:
        lines = [process.stdout.readline() for _ in range(3)]
        assert lines[2].startswith("Search page: "), process.stderr.read()
        address, url = re.search(r"gRPC at (\S+?);", lines[0])[1], lines[2].split()[-1]
        info = answer("api/info")
        space = json.loads((tiny_version / "assets.extra" / "space.json").read_text())
        assert (info["model"], info["version"], info["space_id"]) == ("tiny", 1, space["space_id"])
        assert info["scores"] == space["scores"] and info["server"] == address
        text = "greek small letter omega"
        found = answer("api/search", {"text": text, "k": 7})["results"]
        queried = ask(text, find_index(tiny_version, text), address, "tiny", k=7).results
        assert [result["item"] for result in found] == [result.item for result in queried]
        assert [result["score"] for result in found] == pytest.approx([result.score for result in queried], abs=1e-6)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    finally:
        process.kill()
