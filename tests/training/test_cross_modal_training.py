"""A run of `CMGAN` over a file of features: what it takes from the recipe, and what it leaves in the folder."""

import json

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.models import FusedAdam
from mmkeras.training import Recipe, Run, train
from mmkeras.training.log import read_log
from mmkeras.training.run_data import RunData
from mmkeras.training.stage_runner import StageRunner
from mmkeras.training.trainer import build_model

PRESET = {
    "model": "CMGAN",
    "arguments": {"autoencoder": {"units": 4}, "discriminators": {"hidden": 4}, "generator_steps": 2},
    "image_encoder": {"kind": "features", "features": 5, "hidden": [], "embedding_dim": None},
    "text_encoder": {"kind": "features", "features": 3, "hidden": [], "embedding_dim": None},
}
SETTINGS = {
    "targets": "category",
    "epochs": 3,
    "batch_size": 8,
    "learning_rate": 0.01,
    "warmup_steps": 0,
    "decay": "halving",
    "halving_epochs": 2,
    "adam_beta_1": 0.5,
    "weight_decay": 0.0,
    "gradient_clip": 0.0,
    "select": "best",
    "deterministic": False,
}


@pytest.fixture
def create(tmp_path):
    """A function of settings that creates a run over 24 pairs of three categories, 3 steps an epoch."""

    def create(**settings):
        generator = np.random.default_rng(0)
        arrays = {"categories": np.array(["art", "war", "sport"])}
        for split, rows in (("train", 24), ("val", 12)):
            label = np.arange(rows) % 3
            for side, width in (("image", 5), ("text", 3)):
                centres = 3 * np.random.default_rng(width).normal(size=(3, width))
                arrays[f"{side}_{split}"] = (centres[label] + generator.normal(size=(rows, width))).astype("float32")
            arrays[f"label_{split}"] = label + 1
        np.savez(tmp_path / "set.npz", **arrays)
        (tmp_path / "preset.json").write_text(json.dumps(PRESET))
        paths = {"preset": str(tmp_path / "preset.json"), "data": str(tmp_path / "set.npz")}
        return Run.create(tmp_path / "run", "mine", Recipe.from_settings(SETTINGS | paths | settings))

    return create


def test_a_run_over_features(create):
    run = create()
    model = train(run, verbose=0)
    assert [int(model.optimizer.iterations), int(model.optimizers["image_intra"].iterations)] == [18, 9]
    rows = read_log(run.file("log.csv"))
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.01, 0.005, 0.005])  # as each epoch ends
    assert rows[-1]["image_category_loss"] < rows[0]["image_category_loss"]
    assert {"val_map", "loss", "text_generator_loss", "image_inter_discriminator_accuracy"} <= set(rows[0])
    assert run.file("best.npz").exists()  # by val_map
    parameters = run.info["parameters"]
    assert sum(parameters.values()) == model.count_params()
    assert parameters["both_encoders"] == 4 * 4 + 4 + 2 * 4 + 2 * 2 * 4  # kernel, bias, gamma, beta, two statistics
    assert parameters["text_encoder"] == 3 * 4 + 4 + 2 * 4 + 2 * 4
    features = np.ones((2, 3), "float32")
    loaded = Run(run.folder).load_model()
    np.testing.assert_array_equal(loaded.represent_text(features), model.represent_text(features))
    assert loaded.label_names == ("art", "war", "sport")


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_the_recipes_optimizer(create, weight_decay):
    """Halving by epochs, whatever the steps of each optimizer."""
    run = create(weight_decay=weight_decay)
    preset = run.recipe.load_preset()
    encoder = preset.build_image_encoder()
    data = RunData(run, encoder, None)
    model = build_model(preset, data, encoder)
    runner = StageRunner(run, model, data)
    assert runner.steps == 3 and runner.supervision.monitor == "val_map"
    runner._compile(run.recipe.training_stages[0])
    for role, steps in model.roles.items():
        optimizer = model.optimizers[role]
        assert (optimizer.beta_1, optimizer.global_clipnorm) == (0.5, None)
        assert optimizer.weight_decay == (weight_decay or None)
        rates = []
        for batch in (0, 5, 6, 12):
            optimizer.iterations.assign(batch * steps)
            rates.append(float(optimizer.learning_rate))
        assert rates == pytest.approx([0.01, 0.01, 0.005, 0.0025])
    assert type(model.optimizer) is FusedAdam


def test_another_feature_of_a_text_is_other_data(create):
    run = create()
    data, _ = (run.load_data(split, None) for split in ("train", "dev"))
    run.check_data(data)
    run.check_data(data)
    data.texts[3, 1] += 1
    with pytest.raises(MmkerasError, match="changed since the run"):
        run.check_data(data)


def test_it_wants_categories(create):
    with pytest.raises(MmkerasError, match="CMGAN trains on categories. Expected targets to be category"):
        train(create(targets=""), verbose=0)
