"""Whether PyTorch is there: what the tests that compare with it begin with."""

import importlib
import os

import pytest

REASON = "PyTorch is not installed (scripts/test.sh --pytorch installs it and runs these cases)"


def import_torch():
    """Return the module `torch`.

    Without it the case or the file that asks is skipped, and where MMKERAS_TEST_PYTORCH is set it fails.
    """
    return _imported("torch", REASON)


def import_transformers():
    """Return the module `transformers`, the published models in PyTorch; without it as `import_torch`."""
    import_torch()
    os.environ["HF_HUB_OFFLINE"] = "1"
    return _imported("transformers", REASON.replace("PyTorch", "transformers"))


def _imported(module, reason):
    if os.environ.get("MMKERAS_TEST_PYTORCH"):
        return importlib.import_module(module)
    return pytest.importorskip(module, reason=reason)
