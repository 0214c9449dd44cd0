"""The studies behind the tables in docs/: they start, and what they say of their variants is so."""

import importlib
import subprocess
import sys

import pytest

from mmkeras.training import Recipe


@pytest.fixture
def study(repository, monkeypatch):
    """A function of a study's name that imports it as it is run."""
    monkeypatch.syspath_prepend(str(repository / "scripts" / "studies"))
    return importlib.import_module


@pytest.mark.parametrize(
    "name",
    [
        "studies/adversarial_backprop",
        "studies/modality_invariant",
        "studies/modality_invariant_flickr8k",
        "benchmarks/latency",
    ],
)
def test_the_help_is_told(repository, name):
    command = [sys.executable, str(repository / "scripts" / f"{name}.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "usage:" in done.stdout, done.stderr


def test_every_variant_of_the_stages_has_as_many_epochs_in_all(study):
    module = study("modality_invariant")
    for name, (_, stages, _) in module.VARIANTS.items():
        recipe = Recipe.from_settings({"preset": "modality_invariant_glyphs", "learning_rate": 4e-3, "stages": stages})
        assert recipe.epochs == 10, name


def test_the_plot_joins_variants_that_there_are(study):
    module = study("adversarial_backprop")
    assert {variant for curve in module.CURVES.values() for variant in curve} <= set(module.VARIANTS)


def test_the_table_is_markdown_of_what_was_measured(repository, tmp_path):
    for seed, probe in ((0, 0.6), (1, 0.8)):
        folder = tmp_path / f"A0-seed{seed}"
        folder.mkdir()
        keys = ("modality_probe_linear", "proxy_a_distance", "mmd2", "image_to_text_map", "text_to_image_map")
        metrics = dict.fromkeys((*keys, "image_to_text_recall@10", "image_effective_rank"), 0.5)
        (folder / "dev.json").write_text(str(metrics | {"modality_probe": probe}).replace("'", '"'))
    script = repository / "scripts" / "studies" / "adversarial_backprop.py"
    command = [sys.executable, str(script), "--out", str(tmp_path), "--table"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "| A0: no adversary | 2 | 0.700 ± 0.141 | 0.500 ± 0.000 |" in done.stdout, done.stderr
    assert done.stdout.count("\n| A") == 1
