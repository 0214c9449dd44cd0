"""Exports declared as imports below `if TYPE_CHECKING:`, and done at the first use of a name."""

import importlib
import subprocess
import sys

import pytest

INIT = """
from typing import TYPE_CHECKING
from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from . import tools as tools
    from .heavy import Heavy as Heavy
    from .heavy import lift as lift
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A fresh package `lazily` with a heavy module and a sub-package, as it is before any use."""
    folder = tmp_path / "lazily"
    (folder / "tools").mkdir(parents=True)
    (folder / "__init__.py").write_text(INIT)
    (folder / "heavy.py").write_text("class Heavy: pass\n\ndef lift(): return 'lifted'\n")
    (folder / "tools" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("lazily")
    for name in [name for name in sys.modules if name.partition(".")[0] == "lazily"]:
        del sys.modules[name]


def test_a_module_is_imported_at_the_first_use_of_its_name(package):
    assert package.__all__ == dir(package) == ["Heavy", "lift", "tools"]
    assert {name for name in sys.modules if name.startswith("lazily.")} == set()
    assert package.lift() == "lifted"
    assert "lazily.heavy" in sys.modules and "lazily.tools" not in sys.modules
    assert package.tools is sys.modules["lazily.tools"]


def test_an_unknown_name_is_answered_with_those_there_are(package):
    with pytest.raises(AttributeError, match=r"'lazily' has no attribute 'Heawy'; it has \['Heavy', 'lift', 'tools'\]"):
        package.Heawy  # noqa: B018


@pytest.mark.parametrize("statement", ["import numpy", "from lazily.heavy import Heavy", "Heavy = 3"])
def test_what_declares_no_export_is_refused(tmp_path, statement):
    folder = tmp_path / "wrongly"
    folder.mkdir()
    (folder / "__init__.py").write_text(INIT.replace("from .heavy import lift as lift", statement))
    done = subprocess.run([sys.executable, "-c", "import wrongly"], cwd=tmp_path, capture_output=True, text=True)
    assert f"Received: '{statement}' on line 8" in done.stderr
