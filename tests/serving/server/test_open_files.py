"""How many connections a port may hold follows from the limit of open files, which `serve` raises as far as it may."""

import resource

import pytest

from mmkeras.serving import launch
from mmkeras.serving.server.open_files import connection_limit, raise_file_limit


@pytest.fixture
def limits(monkeypatch):
    """This process's limits as a list of soft and hard one, which a test sets."""
    limits = [1024, 4096]
    monkeypatch.setattr(resource, "getrlimit", lambda which: tuple(limits))

    def setrlimit(which, values):
        if values[0] > 20_000 and limits[1] == resource.RLIM_INFINITY:
            raise ValueError("current limit exceeds maximum limit")  # as macOS does
        limits[:] = values

    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    return limits


@pytest.mark.parametrize(
    ("soft", "hard", "raised"), [(1024, 4096, 4096), (1024, 1024, 1024), (1024, 10**6, 20_256), (10**6, 10**6, 10**6)]
)
def test_the_limit_is_raised_as_far_as_it_is_needed_and_allowed(limits, soft, hard, raised):
    limits[:] = soft, hard
    assert raise_file_limit() == raised
    assert limits == [raised, hard]


def test_a_system_that_allows_less_than_it_tells_is_left_as_it_is(limits):
    limits[:] = 1024, resource.RLIM_INFINITY
    assert raise_file_limit() == 1024
    assert limits == [1024, resource.RLIM_INFINITY]


@pytest.mark.parametrize(
    ("soft", "ports", "connections"),
    [(1024, 1, 768), (1024, 2, 384), (300, 2, 100), (10**6, 2, 10_000), (resource.RLIM_INFINITY, 1, 10_000)],
)
def test_ports_share_what_the_rest_leaves(limits, soft, ports, connections):
    limits[:] = soft, soft
    assert connection_limit(ports) == connections


def test_serve_says_when_there_are_few(limits, caplog):
    launch._allow_many_connections(ports=2)
    assert limits == [4096, 4096] and caplog.records == []
    limits[:] = 1024, 1024
    launch._allow_many_connections(ports=2)
    (record,) = caplog.records
    assert "no more than 1024 files, enough for 384 clients of a port" in record.getMessage()
