"""Roles and their optimizers, six of `CMGAN`: how they come from one, and that files and checkpoints hold them all."""

import json

import keras
import numpy as np
import pytest

from mmkeras.models import CMGAN, RepeatedSteps
from mmkeras.training.checkpoint import load_checkpoint, save_checkpoint

from ..model_checks import config_text, no_user_warning
from .test_cm_gan import build, feature_batch, same, train

ROLES = ["image_generator", "text_generator", "image_intra", "text_intra", "image_inter", "text_inter"]


def test_compile_makes_six_optimizers_of_one():
    model = build(generator_steps=3)
    model.compile()
    assert list(model.optimizers) == ROLES and model.optimizers["image_generator"] is model.optimizer
    assert len({id(optimizer) for optimizer in model.optimizers.values()}) == 6
    for role, optimizer in model.optimizers.items():
        assert (type(optimizer).__name__, float(optimizer.learning_rate), optimizer.beta_1) == (
            "FusedAdam",
            pytest.approx(1e-3),
            0.5,
        )
        moved = {id(variable) for variable in model.variables_of(role)}
        assert optimizer.built and {id(v) for v in optimizer._trainable_variables} == moved
    train(model, feature_batch(), steps=2)
    steps = [int(optimizer.iterations) for optimizer in model.optimizers.values()]
    assert steps == [6, 6, 2, 2, 2, 2]


def test_a_schedule_counts_batches_for_all_of_them():
    model = build(generator_steps=3)
    halving = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5, staircase=True)
    model.compile(keras.optimizers.AdamW(halving, weight_decay=0.1, beta_1=0.5))
    for batches, rate in ((0, 0.1), (1, 0.1), (2, 0.05), (3, 0.05), (4, 0.025)):
        for role, optimizer in model.optimizers.items():
            optimizer.iterations.assign(batches * model.roles[role])
            assert float(optimizer.learning_rate) == pytest.approx(rate), (role, batches)
    again = build(generator_steps=3)
    again.compile_from_config(json.loads(json.dumps(model.get_compile_config())))
    schedules = [optimizer._learning_rate for optimizer in again.optimizers.values()]
    assert [type(schedule).__name__ for schedule in schedules] == ["RepeatedSteps"] * 2 + ["ExponentialDecay"] * 4
    assert type(schedules[0]) is RepeatedSteps and type(schedules[0].schedule).__name__ == "ExponentialDecay"
    excluded = model.optimizers["text_inter"]._use_weight_decay
    assert excluded(model.discriminators.text_inter.logit.kernel)
    assert not excluded(model.discriminators.text_inter.logit.bias)


@pytest.mark.parametrize("policy", ["float32", pytest.param("mixed_float16", marks=pytest.mark.slow)])
def test_a_loaded_model_goes_on_as_if_it_had_not_been_away(tmp_path, policy):
    keras.config.set_dtype_policy(policy)
    model, batch = build(), feature_batch()
    model.compile(keras.optimizers.Adam(1e-2, beta_1=0.5))
    train(model, batch)
    keras.config.set_dtype_policy("float32")
    with no_user_warning():
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is CMGAN and config_text(loaded) == config_text(model)
    assert loaded.autoencoder.image_encoder_2 is loaded.autoencoder.text_encoder_2
    shared = [encoder.get_layer("shared_encoder") for encoder in (loaded.image_encoder, loaded.text_encoder)]
    assert shared == [loaded.autoencoder.image_encoder_2] * 2
    pairs = [(model, loaded), *((model.optimizers[role], loaded.optimizers[role]) for role in ROLES)]
    for one, other in pairs:
        assert len(one.variables) == len(other.variables) > 2
        for a, b in zip(one.variables, other.variables, strict=True):
            np.testing.assert_array_equal(a, b)
    one, other = train(model, batch), train(loaded, batch)
    assert one == pytest.approx(other, rel=1e-5)
    np.testing.assert_allclose(loaded.represent_image(batch["image"]), model.represent_image(batch["image"]), rtol=1e-4)


def test_a_checkpoint_holds_all_six_and_training_goes_on_to_equal_weights(tmp_path):
    whole, resumed = build(), build()
    whole.compile()
    for seed in range(3):
        train(whole, feature_batch(seed))
        if seed == 0:
            save_checkpoint(tmp_path / "checkpoint.npz", whole, 1)
    with np.load(tmp_path / "checkpoint.npz") as archive:
        assert {key.rpartition("/")[0] for key in archive} == {
            "model",
            "metrics",
            "",
            *(f"optimizers/{r}" for r in ROLES),
        }
    resumed.compile()
    assert load_checkpoint(tmp_path / "checkpoint.npz", resumed) == 1
    for seed in (1, 2):
        train(resumed, feature_batch(seed))
    assert same([v.numpy() for v in whole.variables], [v.numpy() for v in resumed.variables])


def test_every_loss_is_scaled_under_mixed_float16():
    keras.config.set_dtype_policy("mixed_float16")
    model = build()
    model.compile(keras.optimizers.SGD(0.0))
    for optimizer in model.optimizers.values():
        assert type(optimizer).__name__ == "LossScaleOptimizer"
        assert type(optimizer.inner_optimizer).__name__ == "SGD"
    mixed = train(model, feature_batch())
    assert all(float(one.scale_loss(1.0)) == 2.0**15 for one in model.optimizers.values())  # and no step was refused
    assert [int(optimizer.inner_optimizer.iterations) for optimizer in model.optimizers.values()] == [1] * 6
    assert model.represent_text(feature_batch()["text"]).dtype == np.float32
    keras.config.set_dtype_policy("float32")
    other = build()
    other.compile(keras.optimizers.SGD(0.0))
    losses = {name: value for name, value in train(other, feature_batch()).items() if name.endswith("loss")}
    assert {name: mixed[name] for name in losses} == pytest.approx(losses, rel=2e-2)
