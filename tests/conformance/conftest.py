"""Fixtures on disk, a server with default flags for the whole run, and a way to start others."""

import os
from pathlib import Path

import pytest

from .asking import available, wait_for
from .fixture_models import write_models
from .server import KIND, models_config, running_server, start_server

SERVED = {"dense": "all {}", "plain": "latest {}", "multi": "latest {}", "rows": "latest {}", "vocabulary": "latest {}"}
VERSIONS = {"dense": [2, 1], "plain": [1], "multi": [1], "rows": [1], "vocabulary": [1]}
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
        server, loads = running_server(), bool(os.environ.get("MMKERAS_SERVER_MODELS"))
        if loads:
            server.reload(request.getfixturevalue("start_config"), 120)
    else:
        server, loads = start_server(tmp_path_factory.mktemp("server"), request.getfixturevalue("start_config")), True
    try:
        _wait_for_all_versions(server)
        if loads:
            # A label needs its version to be available before.
            server.reload(request.getfixturevalue("default_config"), 120)
        yield server
    finally:
        server.stop()


def _wait_for_all_versions(server):
    """Return once every version of the fixtures is available: the original answers when the newest of each model is."""
    try:
        wait_for(lambda: all(available(server, name) == versions for name, versions in VERSIONS.items()), 60)
    except AssertionError:
        found = {name: available(server, name) for name in VERSIONS}
        raise RuntimeError(
            f"Expected the models and versions {VERSIONS} on the server. Received: {found}. With MMKERAS_SERVER, "
            "MMKERAS_SERVER_MODELS has them written and loaded"
        ) from None


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
