import pytest

from .commands import Commands


@pytest.fixture
def mmkeras(tmp_path, repository):
    """`Commands` in an empty folder."""
    return Commands(tmp_path, repository)
