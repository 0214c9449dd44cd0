import json
import shutil

import keras
import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.evaluation.report.run_report import evaluate_run, untrained_model
from mmkeras.metrics.measures import UNTRAINED, untrained_measures
from mmkeras.training import Run


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy of `tiny_run`, with a preset of its own."""
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_run.folder, folder)
    preset = shutil.copy(tiny_run.recipe.preset, tmp_path / "own.json")
    run = Run(folder)
    run.update(settings={**run.info["settings"], "preset": str(preset)})
    return run


def test_the_untrained_model_stands_beside_the_trained_one(run, tiny_model):
    metrics = evaluate_run(run, model=tiny_model).metrics
    written = json.loads(run.file("metrics.json").read_text())
    assert written == {"data": "glyphs/dev", **metrics}
    before = {f"{UNTRAINED}{measure.name}" for measure in untrained_measures() if measure.name in metrics}
    before.add("untrained_modality_probe_std")
    assert before == {key for key in metrics if key.startswith(UNTRAINED)}
    assert {"untrained_modality_probe", "untrained_mmd2_p", "untrained_rsum"} <= before
    assert metrics["untrained_centroid_gap"] != metrics["centroid_gap"]
    report = run.file("report.html").read_text(encoding="utf-8")
    assert '<th scope="col">Untrained</th>' in report
    again = evaluate_run(run, model=tiny_model).metrics
    assert again == metrics


def test_a_preset_that_is_gone_leaves_the_column_out(run, tiny_model, tmp_path):
    (tmp_path / "own.json").unlink()
    metrics = evaluate_run(run, model=tiny_model).metrics
    assert "modality_probe" in metrics
    assert not [key for key in metrics if key.startswith(UNTRAINED)]
    report = run.file("report.html").read_text(encoding="utf-8")
    assert "There is no column of the untrained model: Expected a preset" in report
    assert "own.json" in report and '<th scope="col">Untrained</th>' not in report


def test_the_untrained_model_is_that_of_the_seed(run, tiny_model):
    keras.config.set_dtype_policy("mixed_bfloat16")
    models = [untrained_model(run.recipe, tiny_model) for _ in range(2)]
    assert keras.config.dtype_policy().name == "mixed_bfloat16"  # as it was; the recipe's is for the model alone
    assert models[0].image_encoder.dtype_policy.name == "float32"
    for one, other, trained in zip(*(each.get_weights() for each in (*models, tiny_model)), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.shape == trained.shape
    assert models[0].text_preprocessor is tiny_model.text_preprocessor


def test_a_preset_that_changed_builds_another_model(run, tiny_model, tmp_path):
    preset = json.loads((tmp_path / "own.json").read_text())
    preset["image_encoder"]["widths"] = [8, 24]
    (tmp_path / "own.json").write_text(json.dumps(preset))
    with pytest.raises(MmkerasError, match="own.json has changed since the run"):
        untrained_model(run.recipe, tiny_model)
    preset["image_encoder"]["widths"] = "wide"
    (tmp_path / "own.json").write_text(json.dumps(preset))
    assert "untrained_rsum" not in evaluate_run(run, model=tiny_model).metrics
