"""`mmkeras query --label`: the version that has the label is asked, and the index searched that came with it."""

import json

import pytest

from mmkeras.cli import main

from .search_service.conftest import PlaneModel, write_indexes
from .serving.fake_servers import FakeGrpcServer


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Versions 1 and 2 of "toy", each in a space of its own."""
    for version in (1, 2):
        write_indexes(tmp_path / "savedmodels" / "toy" / str(version), f"space-{version}")
    monkeypatch.chdir(tmp_path)
    model = PlaneModel(versions=[1, 2])
    model.labels = {"stable": 1, "canary": 2}
    with FakeGrpcServer(model) as server:
        yield server


@pytest.mark.parametrize("which", [["--label", "stable"], ["--label", "canary"], ["--version", "1"], []])
def test_a_version_is_asked_with_its_own_index(server, capsys, which):
    assert main(["query", "at 30", "--server", server.address, "--json", *which]) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["id"] == "p3"


@pytest.mark.parametrize(
    ("which", "told"),
    [(["--label", "beta"], "Unrecognized servable version label: beta"), (["--version", "7"], "Received: version=7")],
)
def test_a_version_that_is_not_there(server, capsys, which, told):
    assert main(["query", "at 30", "--server", server.address, *which]) == 2
    assert told in capsys.readouterr().err
