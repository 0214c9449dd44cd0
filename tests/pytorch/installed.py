"""Whether PyTorch is there: what the tests that compare with it begin with."""

import importlib
import os

import pytest

REASON = "PyTorch is not installed (scripts/test.sh --pytorch installs it and runs these cases)"


def import_torch():
    """Return the module `torch`.

    Without it the case or the file that asks is skipped, and where MMKERAS_TEST_PYTORCH is set it fails.
    """
    if os.environ.get("MMKERAS_TEST_PYTORCH"):
        return importlib.import_module("torch")
    return pytest.importorskip("torch", reason=REASON)
