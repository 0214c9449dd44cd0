"""Several devices of one machine: two logical CPUs, in a process of their own."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.training import Recipe, Run
from mmkeras.training.data_sizes import sized
from mmkeras.training.devices import Devices, training_devices
from mmkeras.training.log import read_log
from mmkeras.training.one_machine import check_one_machine
from mmkeras.training.trainer import train

from .interrupted_runs import RANDOM, arrays, assert_equal_runs, saved_step


def train_on(count, *folders, repository):
    """What the program `on_logical_devices` printed, a line a run."""
    command = [sys.executable, "-m", "tests.training.on_logical_devices", str(count), *map(str, folders)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_run_on_two_devices_resumes_exactly_and_measures_what_one_does(
    create_run, small_preset, tmp_path, repository
):
    preset = json.loads(Path(small_preset).read_text())
    plain = tmp_path / "plain.json"  # without what is drawn for each row of a device
    for encoder in ("image_encoder", "text_encoder"):
        preset[encoder] |= {key: 0.0 for key in preset[encoder] if "dropout" in key}
    plain.write_text(json.dumps(preset))
    whole, cut = (create_run(name, *RANDOM, "devices=2") for name in ("whole", "cut"))
    one, two = (
        create_run(name, *RANDOM, f"preset={plain}", "learning_rate=1e-4", f"devices={name}") for name in ("one", "all")
    )
    odd = create_run("odd", "batch_size=31", "devices=all")
    folders = [run.folder for run in (whole, one, two, odd)]
    told = train_on(2, f"{cut.folder}:8", cut.folder, *folders, repository=repository)
    assert told[:5] == ["cut off", *["trained"] * 4]
    assert "as a multiple of 2: 30 or 32. Received: batch_size=31" in told[5]
    whole, cut, one, two = (Run(run.folder) for run in (whole, cut, one, two))
    assert_equal_runs(cut, whole)
    assert [run.info["devices"]["count"] for run in (whole, one, two)] == [2, 1, 2]
    for row, other in zip(*(read_log(run.file("log.csv")) for run in (one, two)), strict=True):
        # Sums in another order differ by rounding, which Adam's first steps make as large as its rate: a small one.
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-3)
        assert row["val_loss"] == pytest.approx(other["val_loss"], rel=1e-2)  # recalls follow it, glyph by glyph
        assert row["learning_rate"] == other["learning_rate"]
    rows = read_log(one.file("log.csv"))
    assert rows[-1]["loss"] < 0.95 * rows[0]["loss"]  # of which the tolerance is a fiftieth
    model = two.load_model()  # on one device
    assert model.encode_text(["GREEK SMALL LETTER OMEGA"]).shape[0] == 1
    assert saved_step(two.folder) == saved_step(one.folder)


def staged(run, stages, **settings):
    """The same run with stages; each is a dict."""
    recipe = dataclasses.asdict(run.recipe) | settings
    recipe |= {"stages": stages, "epochs": sum(stage["epochs"] for stage in stages)}
    run.update(settings=dataclasses.asdict(Recipe.from_settings(recipe)))
    return Run(run.folder)


def presets(small_preset, folder):
    """Files of a small preset of each system but `DualEncoder`, with every random part on."""
    small = json.loads(Path(small_preset).read_text())
    block = {"depth": 1, "heads": 2, "embedding_dim": 8, "initializer_range": None, "dropout": 0.1, "batch_norm": True}
    adversary = {"classifier_hidden": [8], "classifier_dropout": 0.2, "classifier_steps": 2, "objective": "fooling"}
    systems = {
        "ModalityInvariant": {"arguments": {"adversary": adversary}},
        "AdversarialBackprop": {"arguments": {"adversary": adversary}},
        "CMGAN": {
            "arguments": {
                "autoencoder": {"units": 16, "dropout": 0.5},
                "discriminators": {"hidden": 8},
                "generator_steps": 2,
            }
        },
        "SoftMask": {
            "arguments": {
                "fusion": {"depth": 2, "heads": 2, "attention_block": 0, "initializer_range": None},
                "teacher": {"queue_size": 96, "alpha_ramp_steps": 24, "momentum": 0.9},
            },
            "image_encoder": {"kind": "vit", "patch": 16, "token_width": 8, **block},
            "text_encoder": {"kind": "bert", "width": 8, **block},
        },
    }
    files = {system: folder / f"{system}.json" for system in systems}
    for system, own in systems.items():
        files[system].write_text(json.dumps({**small, "model": system, **own}))
    return files


@pytest.mark.slow
def test_every_system_resumes_exactly_on_two_devices(create_run, small_preset, tmp_path, repository):
    """Cut within the last stage: of the game that of the game, of adapters that of the network, read from pixels."""
    files, pairs = presets(small_preset, tmp_path), {}
    encoders = ["image_encoder", "text_encoder"]
    stages = {
        "CMGAN": [
            {"name": "features", "epochs": 1, "trains": encoders},
            {"name": "game", "epochs": 1, "trains": ["autoencoder", "discriminators"]},
        ],
        "tuned": [
            {"name": "heads", "epochs": 1, "trains": encoders},
            {"name": "network", "epochs": 1, "trains": [*encoders, "image_backbone"]},
        ],
    }
    own = {
        "CMGAN": ["targets=category", "batch_size=8"],
        "AdversarialBackprop": ["targets=category", "batch_size=8", "patience=1"],
        "SoftMask": ["recompute=true", "augment_distortion=colour"],
        "tuned": ["precision=mixed_float16", "augment_shift=0"],
    }
    for system in (*files, "tuned"):
        given = [*RANDOM, "epochs=2", "devices=2", *own.get(system, ())]
        given += [f"preset={files[system]}"] if system in files else []
        pair = [create_run(f"{system}-{name}", *given) for name in ("whole", "cut")]
        if system in stages:
            lora = {"lora_rank": 2, "recompute": True} if system == "tuned" else {}
            pair = [staged(run, stages[system], **lora) for run in pair]
        pairs[system] = pair
    steps = {"CMGAN": 6, "AdversarialBackprop": 6}
    folders = []
    for system, (whole, cut) in pairs.items():
        folders += [whole.folder, f"{cut.folder}:{steps.get(system, 19)}", cut.folder]
    assert train_on(2, *folders, repository=repository) == ["trained", "cut off", "trained"] * len(pairs)
    for system, (whole, cut) in pairs.items():
        one, other = (arrays(run.file("checkpoint.npz")) for run in (whole, cut))
        assert set(one) == set(other)
        assert [key for key in one if not np.array_equal(one[key], other[key], equal_nan=True)] == [], system
        assert whole.file("log.csv").read_text() == cut.file("log.csv").read_text(), system


def test_without_gpus_all_is_the_one_cpu_that_there_is(create_run, capsys):
    run = create_run("all", "devices=all", "epochs=1")
    train(run, verbose=2)
    assert "Devices: TensorFlow shows no GPU; one CPU trains" in capsys.readouterr().out
    assert run.info["devices"] == {"count": 1, "kind": "CPU", "models": ["CPU"]}


def test_a_run_goes_on_with_as_many_devices_as_it_began_with(create_run):
    run = create_run("begun")
    run.check_devices({"count": 2, "kind": "GPU", "models": ["NVIDIA L4"]})
    with pytest.raises(MmkerasError, match=r"began with 2 for its devices, and would go on with 1: .* start a new run"):
        train(Run(run.folder), verbose=0)
    older = create_run("older")  # by a version that knew one device only
    older.update(data_digest="0123")
    older.check_devices({"count": 1, "kind": "CPU", "models": ["CPU"]})
    with pytest.raises(MmkerasError, match="began with 1 for its devices, and would go on with 2"):
        older.check_devices({"count": 2, "kind": "GPU", "models": ["NVIDIA L4"]})


def test_more_devices_than_there_are_are_refused():
    assert training_devices("one").names == training_devices("1").names == ("CPU:0",)
    with pytest.raises(MmkerasError, match="Expected devices to be 1 at most: TensorFlow shows CPU:0. Received: .*=2"):
        training_devices("2")


@pytest.mark.parametrize("devices", ["", "two", "0", "-1", "1.5"])
def test_a_number_that_is_none_is_refused(devices):
    with pytest.raises(MmkerasError, match="Expected devices to be one, all or a number of 1 or more. Received: "):
        Recipe.load("glyphs_tiny", [f"devices={devices}"])


@pytest.mark.parametrize("size, near", [(1, "3"), (31, "30 or 33")])
def test_a_batch_is_dealt_out_evenly(size, near):
    devices = Devices(("GPU:0", "GPU:1", "GPU:2"), "GPU")
    devices.check_batch_size(30)
    with pytest.raises(MmkerasError, match=f"as a multiple of 3: {near}. Received: batch_size={size}"):
        devices.check_batch_size(size)


@pytest.mark.parametrize("pairs, devices, batch", [(8_000, 1, 128), (8_000, 3, 126), (8_000, 8, 128), (20, 8, 8)])
def test_a_batch_size_that_is_left_to_the_data_is_a_multiple(pairs, devices, batch):
    recipe = Recipe.load("photos", ["data=captions.csv"])
    assert sized(recipe, pairs, devices).batch_size == batch


def test_several_machines_are_refused(monkeypatch, create_run):
    cluster = {"cluster": {"worker": ["one:1", "two:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    with pytest.raises(MmkerasError, match=r"Expected one machine: .*keras#20329.* Received: 2 in TF_CONFIG"):
        train(create_run("cluster"), verbose=0)
    monkeypatch.setenv("TF_CONFIG", "worker")
    with pytest.raises(MmkerasError, match="Expected TF_CONFIG in the environment as JSON. Received: 'worker'"):
        check_one_machine()
    cluster["cluster"] = {"chief": ["one:1"], "evaluator": ["two:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    check_one_machine()
