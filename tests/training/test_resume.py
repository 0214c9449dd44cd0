"""A run that was cut off ends, once resumed, with the weights, random states and log of one that was not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.training import Recipe, Run, callbacks, train

from .interrupted_runs import RANDOM, arrays, assert_equal_runs, interrupt, saved_step


@pytest.mark.parametrize(
    "cuts",
    [
        # (epoch, batch) of the cut, step of the last checkpoint, rows in the log
        [((0, 8), 5, 0), ((1, None), 20, 2)],
        pytest.param([((0, 2), None, 0), ((1, 0), 12, 1), ((2, None), 35, 3)], marks=pytest.mark.slow),
    ],
    ids=["within-epochs", "before-any-checkpoint-and-between-epochs"],
)
def test_cut_off_again_and_again_a_run_ends_as_if_it_had_not_been(create_run, monkeypatch, determinism, cuts):
    """A cut without a batch comes at the end of its epoch: after its row in the log, before its checkpoint."""
    whole = create_run("whole", *RANDOM)
    train(whole, verbose=0)
    run = create_run("cut", *RANDOM)
    for (epoch, batch), step, rows in cuts:
        run = interrupt(run, monkeypatch, epoch, batch)
        assert saved_step(run.folder) == (step or 0)
        assert len(callbacks.read_log(run.file("log.csv"))) == rows
    before = run.info["training_seconds"]  # of the epochs that ended: none, or the first
    train(run, verbose=0)
    assert run.finished
    assert_equal_runs(run, whole)
    assert 0 <= before < run.info["training_seconds"]
    assert run.info["parameters"] == whole.info["parameters"]


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"classifier_steps": 2, "objective": "fooling", "gradient_penalty": 0.1},
    ],
    ids=["joint", "alternating"],
)
@pytest.mark.slow
def test_an_adversarial_run_resumes_with_its_schedule_and_every_optimizer(
    create_run, monkeypatch, determinism, small_preset, tmp_path, form
):
    """Cut within the ramp of the reversal's strength; the classifier has an optimizer of its own in the second form."""
    preset = json.loads(Path(small_preset).read_text())
    preset |= {
        "model": "AdversarialBackprop",
        "arguments": {"adversary": {"classifier_hidden": [8], "classifier_dropout": 0.2, **form}},
    }
    file = tmp_path / "adversarial.json"
    file.write_text(json.dumps(preset))
    settings = [f"preset={file}", "targets=category", "batch_size=8", "reversal_ramp=1.0", *RANDOM]
    whole = create_run("whole", *settings)
    train(whole, verbose=0)
    run = interrupt(create_run("cut", *settings), monkeypatch, epoch=1, batch=2)
    assert saved_step(run.folder) > 0
    train(run, verbose=0)
    assert_equal_runs(run, whole)
    strengths = [row["reversal_strength"] for row in callbacks.read_log(run.file("log.csv"))]
    assert 0 < strengths[0] < strengths[1] < strengths[2]
    roles = {key.split("/")[1] for key in arrays(run.file("checkpoint.npz")) if key.startswith("optimizers/")}
    assert roles == ({"encoders", "classifier"} if form else {"encoders"})
    model = run.load_model()
    assert float(model.adversary.gradient_reversal.strength) == pytest.approx(strengths[-1])


GAME = """
[[stages]]
name = "features"
epochs = 1
trains = ["image_encoder", "text_encoder"]
[[stages]]
name = "game"
epochs = 2
trains = ["autoencoder", "discriminators"]
warmup_steps = 0
decay = "halving"
halving_epochs = 1
adam_beta_1 = 0.5
"""


@pytest.mark.slow
def test_a_cross_modal_game_resumes_with_all_six_optimizers(
    create_run, monkeypatch, determinism, small_preset, tmp_path
):
    """Cut in the training of the features, and again in the game upon them."""
    preset = json.loads(Path(small_preset).read_text())
    preset |= {
        "model": "CMGAN",
        "arguments": {"autoencoder": {"units": 16, "dropout": 0.5}, "discriminators": {"hidden": 8}},
    }
    file = tmp_path / "game.json"
    file.write_text(json.dumps(preset))
    settings = [f"preset={file}", "targets=category", "batch_size=4", *RANDOM[1:]]
    runs = []
    for name in ("whole", "cut"):
        run = create_run(name, *settings)
        run.update(settings={**run.info["settings"], "epochs": 3, "stages": tomllib.loads(GAME)["stages"]})
        runs.append(Run(run.folder))
    whole, cut = runs
    train(whole, verbose=0)
    for epoch, batch in ((0, 6), (2, 6)):
        cut = interrupt(cut, monkeypatch, epoch, batch)
        assert saved_step(cut.folder) % 8 == 5 or saved_step(cut.folder) > 0
    train(cut, verbose=0)
    assert_equal_runs(cut, whole)
    rows = callbacks.read_log(whole.file("log.csv"))
    assert [row["stage"] for row in rows] == ["features", "game", "game"]
    assert rows[2]["learning_rate"] == pytest.approx(rows[1]["learning_rate"] / 2)
    keys = [key for key in arrays(whole.file("checkpoint.npz")) if key.startswith("optimizers/")]
    assert len({key.split("/")[1] for key in keys}) == 6


STAGES = """
[[stages]]
name = "triplet"
epochs = 1
trains = ["image_encoder", "text_encoder"]
arguments = {negatives = "sum", adversary.weight = 0.0}
learning_rate = 3e-3
final_learning_rate = 1.5e-3

[[stages]]
name = "classifier"
epochs = 1
trains = ["modality_classifier"]

[[stages]]
name = "joint"
epochs = 2
arguments = {negatives = "hardest", adversary.weight = 0.3}
reversal_ramp = 0.5
"""


@pytest.fixture
def staged_recipe(small_preset, tmp_path):
    """A function of the adversary's arguments that gives the settings of a run in three stages, 12 steps an epoch."""

    def staged_recipe(**arguments):
        preset = json.loads(Path(small_preset).read_text())
        adversary = {"classifier_hidden": [8], "classifier_dropout": 0.2}
        preset |= {"model": "ModalityInvariant", "arguments": {"adversary": adversary | arguments}}
        file = tmp_path / "staged.json"
        file.write_text(json.dumps(preset))
        settings = tomllib.loads(STAGES) | {"preset": str(file), "limit": 32, "batch_size": 32, "checkpoint_steps": 5}
        return Recipe.from_settings(settings | {"augment_shift": 2, "select": "best"})

    return staged_recipe


@pytest.mark.parametrize(
    "arguments, cuts",
    [
        # (epoch, batch) of the cut, step of the last checkpoint; an epoch without a batch ends before its checkpoint
        pytest.param({}, [((0, None), 10), ((1, 0), 12), ((2, 6), 30)], marks=pytest.mark.slow),
        pytest.param(
            {"classifier_steps": 2, "objective": "fooling"}, [((1, 8), 20), ((2, 0), 24)], marks=pytest.mark.slow
        ),
    ],
    ids=["joint", "alternating"],
)
def test_a_run_in_stages_resumes_within_and_between_them(
    tmp_path, staged_recipe, monkeypatch, determinism, arguments, cuts
):
    recipe = staged_recipe(**arguments)
    whole = Run.create(tmp_path / "whole", "staged", recipe)
    train(whole, verbose=0)
    run = Run.create(tmp_path / "cut", "staged", recipe)
    for (epoch, batch), step in cuts:
        run = interrupt(run, monkeypatch, epoch, batch)
        assert saved_step(run.folder) == step
    train(run, verbose=0)
    assert_equal_runs(run, whole)
    rows = callbacks.read_log(run.file("log.csv"))
    assert [row["stage"] for row in rows] == ["triplet", "classifier", "joint", "joint"]
    assert [row["learning_rate"] for row in rows[:1]] == pytest.approx([1.5e-3])


@pytest.mark.slow
def test_another_seed_gives_other_weights(create_run):
    """Otherwise the equalities of this file would say nothing."""
    first, second = (create_run(f"seed{seed}", "epochs=1", f"seed={seed}") for seed in (0, 1))
    for run in (first, second):
        train(run, verbose=0)
    a, b = (arrays(run.file("checkpoint.npz")) for run in (first, second))
    assert not np.array_equal(a["model/0"], b["model/0"])


def test_changed_data_is_refused_on_resuming(create_run, monkeypatch):
    run = interrupt(create_run("run", "epochs=1"), monkeypatch, epoch=0, batch=8)
    before = run.file("checkpoint.npz").read_bytes()
    load_splits = type(run).load_splits

    def changed(*arguments, **reading):
        splits = load_splits(*arguments, **reading)
        splits[0].images[0, 0, 0, 0] ^= 1
        return splits

    monkeypatch.setattr(type(run), "load_splits", changed)
    with pytest.raises(MmkerasError, match="The data glyphs/train changed since the run"):
        train(run, verbose=0)
    assert run.file("checkpoint.npz").read_bytes() == before


def test_a_foreign_or_damaged_checkpoint_is_refused_on_resuming(create_run, monkeypatch, tmp_path):
    run = interrupt(create_run("run", "epochs=1"), monkeypatch, epoch=0, batch=8)
    file = run.file("checkpoint.npz")
    content = arrays(file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(MmkerasError, match=r"checkpoint\.npz is no readable checkpoint"):
        train(run, verbose=0)
    np.savez(file, **{**content, "model/0": np.zeros((1, 1, 1, 1))})
    with pytest.raises(MmkerasError, match=r"checkpoint\.npz is no checkpoint of this model: .* has shape"):
        train(run, verbose=0)


STEPS_PER_EPOCH = 45  # of glyphs_tiny, 120 pictures and batches of 32

# The command, in a process that kills itself at the end of a step: nothing of it is flushed, closed or told.
KILLED_AT = """
import os, signal, sys
from mmkeras.cli import main
from mmkeras.training.callbacks import Checkpoint
on_train_batch_end, steps = Checkpoint.on_train_batch_end, []
def end_of_batch(self, batch, logs=None):
    on_train_batch_end(self, batch, logs)
    steps.append(batch)
    if len(steps) == {step}:
        os.kill(os.getpid(), signal.SIGKILL)
Checkpoint.on_train_batch_end = end_of_batch
main(sys.argv[1:])
"""


def run_command(*arguments, killed_at=None):
    """Run `mmkeras train`, and return what it printed; with `killed_at` it is killed after so many steps."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join(sys.path)}
    start = ["-m", "mmkeras.cli"] if killed_at is None else ["-c", KILLED_AT.format(step=killed_at)]
    done = subprocess.run(
        [sys.executable, *start, "train", *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
    )
    assert done.returncode == (0 if killed_at is None else -signal.SIGKILL), done.stdout
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings, killed_at, saved",
    [
        # The recipe's own preset, in the first epoch; token_dropout is on in it.
        (["limit=120", "epochs=2", "batch_size=32", "checkpoint_steps=3"], 8, 6),
        # All random parts, the best epoch, in the second epoch.
        (["limit=120", "epochs=6", "batch_size=32", "checkpoint_steps=4", "augment_shift=2", "select=best"], 59, 56),
    ],
    ids=["first-epoch", "best-second-epoch"],
)
def test_killed_in_an_epoch_and_resumed_the_weights_are_equal(tmp_path, small_preset, settings, killed_at, saved):
    if "select=best" in settings:
        settings = [*settings, f"preset={small_preset}"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    run_command("glyphs_tiny", *settings, "--out", killed, killed_at=killed_at)
    assert saved_step(killed) == saved
    assert not Run(killed).finished

    out = run_command("--resume", killed)
    epoch, epochs = saved // STEPS_PER_EPOCH, Run(killed).recipe.epochs
    assert f"Epoch {epoch + 1}/{epochs}  loss" in out and f"Epoch {epoch}/{epochs}  loss" not in out
    run_command("glyphs_tiny", *settings, "--out", whole)
    assert saved_step(whole) == STEPS_PER_EPOCH * Run(whole).recipe.epochs
    assert_equal_runs(Run(killed), Run(whole))

    # A finished run has nothing to resume; what it holds is not touched.
    model = (whole / "model.keras").read_bytes()
    assert "has finished already; nothing to do" in run_command("--resume", whole)
    assert (whole / "model.keras").read_bytes() == model
    shutil.rmtree(killed)
