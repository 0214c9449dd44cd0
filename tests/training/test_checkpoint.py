"""A checkpoint holds every variable that training changes, and loads into nothing but the same model."""

import zipfile

import keras
import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.training import load_checkpoint, save_checkpoint
from mmkeras.training.checkpoint import metric_states, restore_metric_states


def small_model(units=4):
    """Compiled, built, with every kind of state: moving statistics, random states, optimizer slots, metrics."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(units),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.AdamW(0.1), "mse", metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    return model


def train(model, first, steps):
    """Train some steps, each on data that follows from its number."""
    for step in range(first, first + steps):
        random = np.random.default_rng(step)
        model.train_on_batch(random.normal(size=(8, 3)), random.normal(size=(8, 1)))


def state_of(model):
    states = {f"model {v.path}": v for v in model.variables}
    states.update({f"optimizer {v.path}": v for v in model.optimizer.variables})
    states.update({f"metric {position} {v.path}": v for position, v in enumerate(model.metrics_variables)})
    return {key: variable.numpy() for key, variable in states.items()}


def test_every_variable_comes_back_and_training_goes_on_as_if_nothing_had_been(tmp_path):
    file = tmp_path / "checkpoint.npz"
    model = small_model()
    train(model, 0, 3)
    before = state_of(model)
    assert any("seed_generator_state" in key for key in before)
    assert any("moving_mean" in key for key in before)
    assert any("velocity" in key for key in before) and any("iteration" in key for key in before)
    assert any(key.startswith("metric") and value > 0 for key, value in before.items())
    save_checkpoint(file, model, 3)
    train(model, 3, 3)
    ended = state_of(model)

    assert load_checkpoint(file, model) == 3
    after = state_of(model)
    assert set(after) == set(before)
    assert [key for key in before if not np.array_equal(before[key], after[key])] == []

    train(model, 3, 3)
    again = state_of(model)
    assert [key for key in ended if not np.array_equal(ended[key], again[key])] == []


def test_a_second_model_of_the_process_takes_the_checkpoint_of_the_first(tmp_path):
    file = tmp_path / "checkpoint.npz"
    first, second = small_model(), small_model()
    train(first, 0, 2)
    train(second, 5, 1)  # its metrics exist too, and hold something else
    save_checkpoint(file, first, 2)
    load_checkpoint(file, second)
    for a, b in zip(state_of(first).values(), state_of(second).values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_metric_states_survive_a_reset():
    model = small_model()
    train(model, 0, 2)
    states = metric_states(model)
    model.reset_metrics()
    assert not any(np.any(state) for state in metric_states(model))
    restore_metric_states(model, states)
    for a, b in zip(states, metric_states(model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_checkpoint_of_another_model_leaves_the_model_as_it_was(tmp_path):
    save_checkpoint(tmp_path / "wide.npz", small_model(units=5), 1)
    plain = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    plain.compile("sgd", "mse")
    plain.optimizer.build(plain.trainable_variables)
    save_checkpoint(tmp_path / "shallow.npz", plain, 1)
    model = small_model()
    save_checkpoint(tmp_path / "own.npz", model, 1)
    with np.load(tmp_path / "own.npz") as own:
        np.savez(tmp_path / "more.npz", **own, **{"model/99": np.zeros(1)})
    before = state_of(model)
    for name, told in (
        ("wide.npz", r"kernel has shape \(3, 5\), the model's \(3, 4\)"),
        ("shallow.npz", "it lacks .*batch_normalization"),
        ("more.npz", "the model has no model/99"),
    ):
        with pytest.raises(MmkerasError, match=f"{name} is no checkpoint of this model: .*{told}"):
            load_checkpoint(tmp_path / name, model)
    after = state_of(model)
    assert [key for key in before if not np.array_equal(before[key], after[key])] == []


def test_a_damaged_checkpoint_is_told_and_named(tmp_path):
    model = small_model()
    whole = tmp_path / "whole.npz"
    save_checkpoint(whole, model, 1)
    content = whole.read_bytes()
    cut = tmp_path / "cut.npz"
    # At each of these lengths NumPy and zipfile raise another kind of error.
    for length in (0, 1, 100, len(content) // 2, len(content) - 1):
        cut.write_bytes(content[:length])
        with pytest.raises(MmkerasError, match=r"cut\.npz is no readable checkpoint"):
            load_checkpoint(cut, model)
    flipped = bytearray(content)
    with zipfile.ZipFile(whole) as archive:
        offset = archive.getinfo("model/0.npy").header_offset
    flipped[offset + 200] ^= 1
    cut.write_bytes(flipped)
    with pytest.raises(MmkerasError, match="is no readable checkpoint: .*CRC"):
        load_checkpoint(cut, model)
    with open(cut, "wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(MmkerasError, match="is no readable checkpoint"):
        load_checkpoint(cut, model)
    with open(cut, "wb") as stream:
        np.savez(stream, other=np.zeros(3))
    with pytest.raises(MmkerasError, match="is no checkpoint: it has no step"):
        load_checkpoint(cut, model)
    with pytest.raises(MmkerasError, match=r"There is no checkpoint .*missing\.npz"):
        load_checkpoint(tmp_path / "missing.npz", model)


def test_a_checkpoint_that_cannot_be_written_keeps_the_last_one(tmp_path, monkeypatch):
    model = small_model()
    file = tmp_path / "checkpoint.npz"
    save_checkpoint(file, model, 1)
    before = file.read_bytes()

    def full(stream, **arrays):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(MmkerasError, match=r"checkpoint\.npz could not be written: No space left on device"):
        save_checkpoint(file, model, 2)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
