"""A run of `SoftMask` from training to its export: what is shown of words and of memory, and what is not exported."""

import json

import pytest
import tensorflow as tf

from mmkeras.evaluation.report.run_report import evaluate_run
from mmkeras.export import export_run
from mmkeras.training import Recipe, Run, train

from ..page import Page

SMALL = {"depth": 1, "heads": 2, "embedding_dim": 8, "initializer_range": None}
PRESET = {
    "model": "SoftMask",
    "arguments": {"fusion": {"depth": 2, "heads": 2, "attention_block": 0}, "teacher": {"queue_size": 96}},
    "image_preprocessor": {"height": 32, "width": 32, "aspect": "pad"},
    "image_encoder": {"kind": "vit", "patch": 16, "token_width": 8, **SMALL},
    "text_preprocessor": {"vocabulary_size": 200, "sequence_length": 6},
    "text_encoder": {"kind": "bert", "width": 8, **SMALL},
}


def exported_shapes(version):
    """The shapes of the variables of a SavedModel, sorted."""
    written = tf.train.list_variables(str(version / "variables" / "variables"))
    return sorted(shape for name, shape in written if name.endswith(".ATTRIBUTES/VARIABLE_VALUE"))


@pytest.mark.slow
def test_the_report_shows_words_and_the_export_leaves_teacher_and_queue_behind(tmp_path):
    preset = tmp_path / "soft_mask.json"
    preset.write_text(json.dumps(PRESET))
    settings = [f"preset={preset}", "limit=32", "epochs=1", "batch_size=32", "deterministic=false"]
    run = Run.create(tmp_path / "run", "glyphs_tiny", Recipe.load("glyphs_tiny", settings))
    model = train(run, verbose=0)
    parts = run.info["parameters"]
    assert set(parts) == {"image_encoder", "text_encoder", "rest", "teacher", "queue"}
    assert sum(parts.values()) == model.count_params()

    evaluate_run(run, model=model)
    source = run.file("report.html").read_text(encoding="utf-8")
    page = Page(source).text
    assert "What each word looks at" in page and "with the image that came first in its place" in page
    assert "Queue, for training alone 1,921 " in page  # 2 x 96 x 8 numbers, 2 x 96 x 2 ids and the pointer

    version = export_run(run, tmp_path / "served", model=model)
    card = (version / "assets.extra" / "model_card.md").read_text()
    assert f"| Teacher, for training alone | {parts['teacher']:,} |" in card
    served = (model.image_encoder, model.text_encoder, model.fusion)
    assert exported_shapes(version) == sorted(list(variable.shape) for part in served for variable in part.weights)
