"""What becomes of a comparison where PyTorch is not."""

import sys

import pytest

from .installed import import_torch


def test_a_comparison_is_skipped_without_pytorch_and_fails_where_it_was_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    monkeypatch.delenv("MMKERAS_TEST_PYTORCH", raising=False)
    with pytest.raises(pytest.skip.Exception, match="scripts/test.sh --pytorch"):
        import_torch()
    monkeypatch.setenv("MMKERAS_TEST_PYTORCH", "1")
    with pytest.raises(ModuleNotFoundError, match="torch"):
        import_torch()
