"""What a run tells of its model before the first step."""

import pytest

from mmkeras.training import Recipe, Run, train
from mmkeras.training.before_training import before_training_line
from mmkeras.training.log import read_log

from .interrupted_runs import interrupt


def test_the_line_has_both_directions_in_percent():
    measured = {"image_to_text_recall@1": 0.3, "text_to_image_recall@1": 0.251, "image_to_text_recall@5": 0.5}
    both = {"image_to_text_recall@10": 1.0, "text_to_image_recall@10": 0.0}
    assert before_training_line(measured) == "Before training: R@1 30.0 / 25.1"
    assert before_training_line(measured | both) == "Before training: R@1 30.0 / 25.1, R@10 100.0 / 0.0"
    by_category = {"image_to_text_map": 0.123, "text_to_image_map": 0.2}
    assert before_training_line(by_category) == "Before training: mAP 12.3 / 20.0"


@pytest.mark.slow
def test_a_run_that_begins_with_another_begins_where_that_one_ended(tiny_run, small_preset, tmp_path, capsys):
    """With the same dev split its recall before training is what the other one logged at the end of its last epoch."""
    settings = [f"preset={small_preset}", "limit=60", "epochs=1", "batch_size=32", "deterministic=false"]
    recipe = Recipe.load("glyphs_tiny", [*settings, f"initial_weights={tiny_run.folder}"])
    run = Run.create(tmp_path / "run", "glyphs_tiny", recipe)
    train(run, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    place = next(place for place, line in enumerate(lines) if line.startswith("Before training: R@1 "))
    assert place < next(place for place, line in enumerate(lines) if line.startswith("Epoch 1/1"))
    last, before = read_log(tiny_run.file("log.csv"))[-1], Run(run.folder).info["before_training"]
    assert before_training_line(before) == lines[place]
    for direction in ("image_to_text", "text_to_image"):
        assert before[f"{direction}_recall@1"] == pytest.approx(last[f"val_{direction}_recall@1"])
        assert before[f"{direction}_recall@1"] <= before[f"{direction}_recall@5"] <= before[f"{direction}_recall@10"]


def test_a_resumed_run_keeps_what_it_measured_at_its_beginning(create_run, monkeypatch, capsys):
    run = interrupt(create_run("run"), monkeypatch, 0, 8)
    before = run.info["before_training"]
    capsys.readouterr()
    train(run, verbose=2)
    assert "Before training" not in capsys.readouterr().out
    assert Run(run.folder).info["before_training"] == before and set(before) >= {"image_to_text_recall@1"}
