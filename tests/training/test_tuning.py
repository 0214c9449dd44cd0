"""Runs that tune a pretrained network with adapters, and whose blocks are computed again."""

import dataclasses

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.models import Preset
from mmkeras.training import Recipe, Run, train
from mmkeras.training.loading import load_model

from .interrupted_runs import arrays, interrupt
from .small_tower import small_tower

ENCODERS = ["image_encoder", "text_encoder"]


@pytest.fixture
def tower(monkeypatch):
    """The image encoder of every preset is a small vision transformer as a pretrained network."""

    monkeypatch.setattr(Preset, "build_image_encoder", small_tower)


def staged(run, **settings):
    """The same run with two stages: the heads, then the network too."""
    recipe = dataclasses.asdict(run.recipe)
    stages = [
        {"name": "heads", "epochs": 1, "trains": ENCODERS},
        {"name": "all", "epochs": 1, "trains": [*ENCODERS, "image_backbone"]},
    ]
    changed = Recipe.from_settings(recipe | settings | {"stages": stages, "epochs": 2, "augment_shift": 0})
    return Run.create(run.folder.parent / f"{run.folder.name}-staged", "tuned", changed)


@pytest.mark.slow
def test_a_run_with_adapters_resumes_and_leaves_a_plain_model(create_run, tower, monkeypatch, determinism):
    settings = {"lora_rank": 2, "recompute": True, "deterministic": True, "checkpoint_steps": 5}
    settings["optimizers"] = {"backbones": {"learning_rate": 1e-2}}
    whole, cut = (staged(create_run(name), **settings) for name in ("whole", "cut"))
    model = train(whole, verbose=0)
    cut = interrupt(cut, monkeypatch, epoch=1, batch=7)
    train(cut, verbose=0)
    one, other = (arrays(run.file("checkpoint.npz")) for run in (whole, cut))
    assert set(one) == set(other)
    assert [key for key in one if not np.array_equal(one[key], other[key])] == []
    assert whole.file("log.csv").read_text() == cut.file("log.csv").read_text()
    assert not any("lora" in weight.path for weight in model.weights)
    loaded = load_model(whole.folder)
    pictures = np.random.default_rng(0).integers(0, 256, (4, *loaded.image_encoder.input.shape[1:]), "uint8")
    np.testing.assert_allclose(loaded.encode_image(pictures), model.encode_image(pictures), atol=1e-6)


def test_adapters_that_no_stage_trains_are_refused(create_run, tower):
    run = create_run("run", "lora_rank=2", "augment_shift=0")
    stages = [{"name": "heads", "epochs": 1, "trains": ENCODERS}]
    recipe = Recipe.from_settings(dataclasses.asdict(run.recipe) | {"stages": stages, "epochs": 1})
    with pytest.raises(MmkerasError, match="lora_rank reaches nothing: no stage trains a pretrained network"):
        train(Run.create(run.folder.parent / "other", "tuned", recipe), verbose=0)


def test_what_the_encoders_do_not_have_is_told(create_run):
    with pytest.raises(MmkerasError, match="Expected a model with a pretrained network for adapters of rank 4"):
        train(create_run("adapters", "lora_rank=4"), verbose=0)
    with pytest.raises(MmkerasError, match="Expected a model with transformer blocks to compute again"):
        train(create_run("blocks", "recompute=true"), verbose=0)
