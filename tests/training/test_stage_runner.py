"""Stages: each trains what it says, and nothing else moves."""

import json
from pathlib import Path

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.training import Recipe, Run, stage_runner, train

ENCODERS = ["image_encoder", "text_encoder"]


@pytest.fixture
def create_staged(tmp_path, small_preset):
    """A function of stages and of arguments of the adversary that creates a run of seconds, 6 steps an epoch."""

    def create_staged(stages, **arguments):
        preset = json.loads(Path(small_preset).read_text())
        adversary = {"classifier_hidden": [8]} | arguments
        preset |= {"model": "ModalityInvariant", "arguments": {"adversary": adversary}}
        file = tmp_path / "staged.json"
        file.write_text(json.dumps(preset))
        settings = {"preset": str(file), "limit": 32, "batch_size": 64, "deterministic": False, "stages": stages}
        return Run.create(tmp_path / "run", "staged", Recipe.from_settings(settings))

    return create_staged


def weights(model):
    """Trainable and moving values of each part, but for the states of random seeds."""
    return {
        name: [variable.numpy() for variable in part.weights if "seed" not in variable.path]
        for name, part in model.parts.items()
    }


def moved(before, after):
    return {
        name for name in before if any(not np.array_equal(a, b) for a, b in zip(before[name], after[name], strict=True))
    }


@pytest.mark.parametrize(
    "arguments",
    [pytest.param({}, marks=pytest.mark.slow), {"classifier_steps": 2}],
    ids=["joint", "alternating"],
)
def test_a_stage_moves_only_what_it_trains(create_staged, monkeypatch, arguments):
    stages = [
        {"name": "encoders", "epochs": 1, "trains": ENCODERS},
        {"name": "classifier", "epochs": 1, "trains": ["modality_classifier"]},
        {"name": "text", "epochs": 1, "trains": ["text_encoder"]},
        {"name": "all", "epochs": 1},
    ]
    found = []
    fit = stage_runner.StageRunner._fit

    def watched(self, stage, *arguments):
        before = weights(self.model)
        fit(self, stage, *arguments)
        found.append(moved(before, weights(self.model)))

    monkeypatch.setattr(stage_runner.StageRunner, "_fit", watched)
    train(create_staged(stages, **arguments), verbose=0)
    everything = {*ENCODERS, "modality_classifier"}
    assert found == [{*ENCODERS}, {"modality_classifier"}, {"text_encoder"}, everything]


def test_a_stage_changes_arguments_and_is_told_on_the_terminal(create_staged, capsys):
    stages = [
        {"name": "sum", "epochs": 1, "arguments": {"negatives": "sum", "adversary": {"weight": 0.0}}},
        {"name": "hardest", "epochs": 1, "arguments": {"negatives": "hardest"}},
    ]
    run = create_staged(stages)
    model = train(run, verbose=2)
    out = capsys.readouterr().out
    assert "Stage 1 of 2: sum\nEpoch 1/2 (sum)  loss " in out
    assert "Stage 2 of 2: hardest\nEpoch 2/2 (hardest)  loss " in out
    assert max(len(line) for line in out.splitlines() if not line.startswith("Note: ")) <= 80
    assert model.negatives == "hardest" and model.adversary.weight == 0.0  # holds from its stage on
    assert run.recipe.epochs == 2 and run.load_model().negatives == "hardest"


def test_a_stage_without_epochs_leaves_its_arguments(create_staged, monkeypatch):
    stages = [
        {"name": "first", "epochs": 0, "trains": ["text_encoder"], "arguments": {"negatives": "sum"}},
        {"name": "second", "epochs": 1, "arguments": {"adversary": {"weight": 0.0}}},
        {"name": "third", "epochs": 0, "arguments": {"margin": 0.7}},
    ]
    fitted, fit = [], stage_runner.StageRunner._fit

    def watched(self, stage, *arguments):
        fitted.append(stage.name)
        fit(self, stage, *arguments)

    monkeypatch.setattr(stage_runner.StageRunner, "_fit", watched)
    run = create_staged(stages)
    model = train(run, verbose=0)
    assert fitted == ["second"] and run.recipe.epochs == 1
    assert (model.negatives, model.adversary.weight, model.margin) == ("sum", 0.0, 0.7)
    assert len(run.file("log.csv").read_text().splitlines()) == 2  # the columns' names and an epoch


@pytest.mark.parametrize(
    "stage, told",
    [
        ({"trains": ["audio_encoder"]}, "Expected parts of ModalityInvariant: image_encoder.* Received: audio_encoder"),
        ({"arguments": {"temperature": 1}}, "that a stage may change: .*Received: temperature=1"),
        ({"arguments": {"negatives": "easy"}}, "Expected negatives to be one of sum, hardest, semi_hard"),
    ],
)
def test_a_stage_that_the_model_does_not_know_is_refused(create_staged, stage, told):
    with pytest.raises(MmkerasError, match=told):
        train(create_staged([{"name": "one", "epochs": 1} | stage]), verbose=0)


def test_collapsed_embeddings_stop_the_run_with_advice(create_staged, monkeypatch):
    compile_stage = stage_runner.StageRunner._compile

    def collapsed(self, stage):
        compile_stage(self, stage)
        for encoder in ENCODERS:  # all embeddings are 0, and stay so
            projection = self.model.parts[encoder].get_layer("projection").kernel
            projection.assign(np.zeros(projection.shape))

    monkeypatch.setattr(stage_runner.StageRunner, "_compile", collapsed)
    run = create_staged([{"name": "hardest", "epochs": 1, "trains": ["modality_classifier"]}])
    told = r'collapsed into one point in epoch 0: triplet_loss 0\.4000, margin 0\.2, .*negatives = "sum" first'
    with pytest.raises(MmkerasError, match=told):
        train(run, verbose=0)
    assert not run.file("log.csv").exists() and not run.file("model.keras").exists()
