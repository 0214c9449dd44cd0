"""A system in stages, one command after another."""

import csv
import json

import pytest

from .commands import SIGNATURE_OUTPUTS

pytestmark = pytest.mark.slow


def test_a_system_in_stages_goes_the_same_way(mmkeras, tmp_path):
    """Its stages show in the log and the report; what is exported holds nothing of the adversary."""
    stages = ("triplet", "classifier", "joint")
    settings = ("limit=150", "batch_size=32", *(f"stages.{name}.epochs=1" for name in stages))
    out = mmkeras("train", "glyphs_modality_invariant", *settings, "--out", "runs/staged")
    assert all(f"Stage {position} of 3: {name}" in out for position, name in enumerate(stages, 1))
    log = csv.DictReader((tmp_path / "runs" / "staged" / "log.csv").open())
    assert [row["stage"] for row in log] == list(stages)
    mmkeras("evaluate", "runs/staged")
    assert all(name in (tmp_path / "runs" / "staged" / "report.html").read_text() for name in stages)
    mmkeras("export", "runs/staged", "--to", "savedmodels/staged")
    with mmkeras.served("savedmodels/staged") as address:
        assert mmkeras("parity", "savedmodels/staged", *address).count("equal") == SIGNATURE_OUTPUTS
        assert len(json.loads(mmkeras("query", "exclamation mark", "--json", *address))["results"]) == 5
