"""A system with a fusion encoder, in stages, one command after another."""

import csv
import json
import math

import pytest

from .commands import SIGNATURE_OUTPUTS

pytestmark = pytest.mark.slow


def test_a_system_with_a_fusion_encoder_goes_the_same_way(mmkeras, tmp_path):
    """`match` is its matching head, in Keras and in the server alike."""
    settings = ("limit=150", "batch_size=32", "stages.align.epochs=1", "stages.fuse.epochs=1")
    mmkeras("train", "glyphs_soft_mask", *settings, "--out", "runs/soft")
    aligned, *others = csv.DictReader((tmp_path / "runs" / "soft" / "log.csv").open())
    assert [row["stage"] for row in others] == ["fuse", "hard"]
    assert float(aligned["contrastive_loss"]) > 0 and not aligned["matching_loss"]
    losses = ("contrastive_loss", "matching_loss", "soft_matching_loss", "language_loss")
    assert all(float(row[loss]) > 0 for row in others for loss in losses)
    assert "re-ranked" not in mmkeras("evaluate", "runs/soft", "--k-test", "0")
    out = mmkeras("evaluate", "runs/soft", "--k-test", "8")
    metrics = json.loads((tmp_path / "runs" / "soft" / "metrics.json").read_text())
    costs = metrics["reranked_rsum"] < metrics["rsum"]
    assert "re-ranked" in out and ("makes the results worse" in out) is costs
    mmkeras("export", "runs/soft", "--to", "savedmodels/soft")
    extra = tmp_path / "savedmodels" / "soft" / "1" / "assets.extra"
    card = (extra / "model_card.md").read_text()
    assert "soft masks" in card and "8 re-ranked" in card and ("where --rerank says so" in card) is costs
    space = json.loads((extra / "space.json").read_text())
    temperature = space["rerank_temperature"]  # learnt, from .1, which the preset's lowest is too
    assert space["rerank"] == (0 if costs else 16) and 0.1 <= temperature < 0.11
    # What it learnt is where another training begins.
    first_alone = ("stages.fuse.epochs=0", "stages.hard.epochs=0")
    mmkeras("train", "glyphs_soft_mask", *settings, *first_alone, "initial_weights=runs/soft", "--out", "runs/tuned")
    with mmkeras.served("savedmodels/soft") as address:
        parity = mmkeras("parity", "savedmodels/soft", *address)
        assert parity.count("equal") == SIGNATURE_OUTPUTS and "match" in parity
        results = json.loads(mmkeras("query", "exclamation mark", "--json", "--rerank", "16", *address))["results"]
        scores = [math.log(found["match"] / (1 - found["match"])) + found["score"] / temperature for found in results]
        assert len(scores) == 5 and scores == sorted(scores, reverse=True)
        plain = json.loads(mmkeras("query", "exclamation mark", "--json", "--rerank", "0", *address))["results"]
        assert len(plain) == 5 and "match" not in plain[0]
