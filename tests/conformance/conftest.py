"""Fixtures on disk, a server with default flags for the whole run, and a way to start others."""

import os
from pathlib import Path

import pytest

from .asking import states
from .fixture_models import write_models
from .server import KIND, models_config, running_server, start_server

SERVED = {"dense": "all {}", "plain": "latest {}", "multi": "latest {}", "rows": "latest {}", "vocabulary": "latest {}"}
LABELS = {"dense": {"stable": 1, "canary": 2}}

if KIND == "address":

    @pytest.fixture(autouse=True)
    def offline():
        """The server under test may be on another machine."""


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """(folder of the fixtures here, the same as the server sees it)."""
    here, _, there = os.environ.get("MMKERAS_SERVER_MODELS", "").partition(":")
    folder = Path(here) if here else tmp_path_factory.mktemp("conformance")
    if not (folder / "vocabulary").exists():
        write_models(folder)
    return folder, Path(there or folder)


@pytest.fixture(scope="session")
def models_folder(folders):
    return folders[0]


@pytest.fixture(scope="session")
def default_config(folders):
    """Text of the models.config that the default server follows."""
    return models_config(folders[1], SERVED, LABELS)


@pytest.fixture(scope="session")
def start_config(folders):
    """The same without labels, as a server can start with."""
    return models_config(folders[1], SERVED)


@pytest.fixture(scope="session")
def server(tmp_path_factory, request):
    """A server with default flags, REST and the fixtures; shared, so leave it as it was."""
    if KIND == "address":
        server = running_server()
        if os.environ.get("MMKERAS_SERVER_MODELS"):
            server.reload(models_config(request.getfixturevalue("folders")[1], SERVED), 120)
            server.reload(request.getfixturevalue("default_config"), 120)
        elif not all(any(state[1] == "AVAILABLE" for state in states(server, name)) for name in SERVED):
            pytest.skip(
                f"needs the models {', '.join(SERVED)} on the server, or MMKERAS_SERVER_MODELS to load them from"
            )
    else:
        folder = request.getfixturevalue("folders")[1]
        server = start_server(tmp_path_factory.mktemp("server"), models_config(folder, SERVED))
        # A label needs its version to be there before: at the start there is none.
        server.reload(request.getfixturevalue("default_config"))
    yield server
    server.stop()


def _starting(tmp_path_factory):
    started = []

    def start(models, **needs):
        started.append(start_server(tmp_path_factory.mktemp("server"), models, **needs))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def start(tmp_path_factory):
    """A function of (models.config's text, needs of `start_server`): a server that ends with the test."""
    yield from _starting(tmp_path_factory)


@pytest.fixture(scope="module")
def start_for_module(tmp_path_factory):
    """The same, for a server that ends with the module's tests."""
    yield from _starting(tmp_path_factory)
