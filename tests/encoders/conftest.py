import pytest

from .hub_modules import write_pictures, write_sentences


@pytest.fixture
def pictures(tmp_path):
    """The handle of a module of pictures; see `write_pictures`."""
    return write_pictures(tmp_path)


@pytest.fixture
def sentences(tmp_path):
    """The handle of a module of sentences; see `write_sentences`."""
    return write_sentences(tmp_path)
