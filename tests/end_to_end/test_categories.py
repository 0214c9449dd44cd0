"""The systems of categories, one command after another."""

import json

import pytest

from .commands import SIGNATURE_OUTPUTS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "recipe, settings, told",
    [
        ("glyphs_adversarial_backprop", ("epochs=2", "reversal_ramp=1.0"), "No pairs were used in training."),
        ("glyphs_cm_gan", ("stages.features.epochs=1", "stages.game.epochs=1"), "and with a pair of another one."),
    ],
    ids=["AdversarialBackprop", "CMGAN"],
)
def test_a_system_of_categories_goes_the_same_way(mmkeras, tmp_path, recipe, settings, told):
    """Train, evaluate, export, parity, serve, query: and its signatures name categories."""
    mmkeras("train", recipe, "limit=150", "batch_size=32", *settings, "--out", "runs/tiny")
    assert "map" in mmkeras("evaluate", "runs/tiny").lower()
    metrics = json.loads((tmp_path / "runs" / "tiny" / "metrics.json").read_text())
    assert 0 <= metrics["image_to_text_map"] <= 1
    assert 0 <= metrics["modality_probe"] <= 1 and 0 <= metrics["untrained_modality_probe"] <= 1
    mmkeras("export", "runs/tiny", "--to", "savedmodels/tiny")
    extra = tmp_path / "savedmodels" / "tiny" / "1" / "assets.extra"
    assert told in (extra / "model_card.md").read_text()
    with mmkeras.served("savedmodels/tiny") as address:
        parity = mmkeras("parity", "savedmodels/tiny", *address)
        assert parity.count("equal") == SIGNATURE_OUTPUTS + 8  # two outputs of two signatures a modality
        assert len(json.loads(mmkeras("query", "exclamation mark", "--json", *address))["results"]) == 5
