"""The glyphs, drawn once a test session into a cache folder of its own."""

import pytest


@pytest.fixture(scope="session")
def glyph_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("glyph cache")


@pytest.fixture(scope="session")
def glyphs(glyph_cache):
    from mmkeras.data import Glyphs

    return Glyphs(glyph_cache)
