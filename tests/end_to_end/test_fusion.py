"""A system with a fusion encoder, one command after another."""

import csv
import json

import pytest

from .commands import SIGNATURE_OUTPUTS

pytestmark = pytest.mark.slow


def test_a_system_with_a_fusion_encoder_goes_the_same_way(mmkeras, tmp_path):
    """`match` is its matching head, in Keras and in the server alike."""
    settings = ("limit=150", "batch_size=32", "epochs=1")
    mmkeras("train", "glyphs_soft_mask", *settings, "--out", "runs/soft")
    row = next(csv.DictReader((tmp_path / "runs" / "soft" / "log.csv").open()))
    assert {"contrastive_loss", "matching_loss", "soft_matching_loss", "language_loss"} <= set(row)
    assert "re-ranked" not in mmkeras("evaluate", "runs/soft", "--k-test", "0")
    out = mmkeras("evaluate", "runs/soft", "--k-test", "8")
    metrics = json.loads((tmp_path / "runs" / "soft" / "metrics.json").read_text())
    costs = metrics["reranked_rsum"] < metrics["rsum"]
    assert "re-ranked" in out and ("makes the results worse" in out) is costs
    mmkeras("export", "runs/soft", "--to", "savedmodels/soft")
    extra = tmp_path / "savedmodels" / "soft" / "1" / "assets.extra"
    card = (extra / "model_card.md").read_text()
    assert "soft masks" in card and "8 re-ranked" in card and ("where --rerank says so" in card) is costs
    assert json.loads((extra / "space.json").read_text())["rerank"] == (0 if costs else 16)
    # What it learnt is where another training begins.
    mmkeras("train", "glyphs_soft_mask", *settings, "initial_weights=runs/soft", "--out", "runs/tuned")
    with mmkeras.served("savedmodels/soft") as address:
        parity = mmkeras("parity", "savedmodels/soft", *address)
        assert parity.count("equal") == SIGNATURE_OUTPUTS and "match" in parity
        results = json.loads(mmkeras("query", "exclamation mark", "--json", "--rerank", "16", *address))["results"]
        matches = [result["match"] for result in results]
        assert len(matches) == 5 and matches == sorted(matches, reverse=True)
        plain = json.loads(mmkeras("query", "exclamation mark", "--json", "--rerank", "0", *address))["results"]
        assert len(plain) == 5 and "match" not in plain[0]
