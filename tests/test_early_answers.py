"""What the command line answers before it imports TensorFlow, and in which time."""

import json
import os
import subprocess
import sys

import pytest

from .run_folders import write_run

SECONDS = 0.5
PROGRAM = """
import json, sys, time
try:
    from mmkeras.cli import main
    code = main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code
known = ["tensorflow", "keras", "scipy", "sklearn", "matplotlib", "numpy", "rich"]
loaded = [name for name in known if name in sys.modules]
# Of this process alone, from its start, and not of who else uses the machine.
print(json.dumps({"code": code, "loaded": loaded, "seconds": time.process_time()}))
"""


def answer(*arguments, cwd):
    """Run a command in a fresh process; return its exit code, what it loaded, its seconds and what it said."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)
    return {**json.loads(done.stdout.splitlines()[-1]), "said": done.stdout + done.stderr}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with an unfinished run, a finished one and a used folder for devices."""
    folder = tmp_path_factory.mktemp("place")
    write_run(folder / "begun", finished=False)
    write_run(folder / "done")
    (folder / "device").mkdir()
    return folder


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["fly"], ["query"]])
def test_help_and_mistakes_in_arguments_load_no_library(arguments, tmp_path):
    answered = answer(*arguments, cwd=tmp_path)
    assert answered["code"] == (0 if "--" in arguments[-1] else 2)
    assert answered["loaded"] == []
    assert answered["seconds"] < SECONDS


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", "glyphs_tinny"], "Did you mean glyphs_tiny?"),
        (["train", "glyphs_tiny", "epoch=2"], "Did you mean epochs?"),
        (["train", "glyphs_tiny", "epochs=two"], "Expected epochs to be of type int"),
        (["train", "glyphs_tiny", "devices=two"], "Expected devices to be one, all or a number of 1 or more"),
        (["train", "glyphs_tiny", "preset=dual"], "Expected a preset"),
        (["train", "glyphs_tiny", "data=nowhere.jsonl"], "There is no captions file nowhere.jsonl"),
        (["train", "glyphs_tiny", "initial_weights=nothere"], "nothere is no run folder"),
        (["train", "glyphs_tiny", "initial_weights=begun"], "The run begun has not finished"),
        (["train", "glyphs_tiny", "--out", "done"], "done is not empty"),
        (["train", "--resume", "nothere"], "nothere is no run folder"),
        (["train"], "Expected your data (a captions file or a folder of pictures), a RECIPE"),
        (["evaluate", "nothere"], "nothere is no run folder"),
        (["evaluate", "begun"], "The run begun has not finished"),
        (["evaluate", "done", "--image-folder", "pictures"], "A run knows its own data"),
        (["evaluate", "done", "--data", "nowhere.jsonl"], "There is no captions file nowhere.jsonl"),
        (["evaluate", "done", "--split", "val"], "Expected a split of the glyphs: train, dev, test"),
        (["data", "check", "nowhere.jsonl"], "There is no captions file nowhere.jsonl"),
        (["data", "check", "glyphs"], "Expected pictures with captions"),
        (["compare", "done", "nothere"], "nothere is no run folder"),
        (["compare", "done"], "Expected two run folders or more"),
        (["export", "nothere", "--to", "savedmodels/a"], "nothere is no run folder"),
        (["export", "begun", "--to", "savedmodels/a"], "The run begun has not finished"),
        (["export", "done", "--to", "savedmodels/a/1"], "Expected the folder of a model"),
        (["tflite", "nothere", "--out", "new"], "nothere is no run folder"),
        (["tflite", "done", "--out", "device"], "device exists already"),
        (["tflite", "done"], "Expected either RUN with --out DIR, --web DIR or both, or --check PRESET"),
        (["tflite", "done", "--out", "new", "--runtime", "x"], "Expected --web DIR beside --runtime"),
        (["tflite", "done", "--web", "device"], "device exists already"),
        (["tflite", "done", "--web", "new", "--runtime", "x"], "x/litertjs-core-2.5.3.tgz cannot be read"),
        (["tflite", "--check", "dual"], "Expected a preset"),
        (["parity", "nothere"], "Expected base_path to be a model's folder"),
        (["serve", "nothere"], "Expected base_path to be a model's folder"),
        (["serve"], "Expected the folder of a model"),
        (["serve", "--config", "models.config"], "Expected config_file to be a file"),
        (["embed", "nothere", "glyphs.csv", "--to", "new"], "Expected base_path to be a model's folder"),
        (["embed", "a", "nowhere.csv", "--to", "new", "--server", "h:1"], "There is no captions file nowhere.csv"),
        (["embed", "a", "b.csv", "--to", "new", "--shard", "64/64"], "Expected --shard I/N, a worker's number from 0"),
        (["embed", "a", "b.csv", "--to", "new", "--flink_master=h"], "Flags of Apache Beam go with --runner"),
        (["query", "a"], "Which model?"),
        (["query", "a", "--model", "nothere"], "Expected base_path to be a model's folder"),
        (["query", "a", "--model", "a", "--index", "nothere"], "is no index"),
        (["search-server"], "Which model?"),
        (["search-server", "--model", "nothere"], "Expected base_path to be a model's folder"),
        (["search-server", "--model", "a", "--index", "b", "c"], "b is no index"),
        (["serve", "a", "--ui", "--config", "models.config"], "Received: --config"),
        (["serve", "nothere", "--ui", "0"], "Expected base_path to be a model's folder"),
        (["index", "build", "nothere", "--to", "new"], "Expected a folder of Parquet files"),
        (["index", "add", "nothere", "nothere"], "nothere is no index"),
        (["index", "remove", "nothere"], "Expected ids of items"),
        (["index", "merge", "nothere", "nothere"], "nothere is no index"),
        (["index", "compact", "nothere"], "nothere is no index"),
        (["index", "info", "nothere"], "nothere is no index"),
        (["index", "search", "nothere", "--id", "a"], "nothere is no index"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_told_before_tensorflow_is_loaded(place, arguments, told):
    answered = answer(*arguments, cwd=place)
    assert told in answered["said"]
    assert answered["code"] == 2
    assert not {"tensorflow", "keras"} & set(answered["loaded"])
    assert answered["seconds"] < SECONDS


def test_a_cluster_of_several_machines_is_refused_before_tensorflow_is_loaded(place, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["one:1", "two:1"]}}')
    answered = answer("train", "glyphs_tiny", cwd=place)
    assert answered["code"] == 2
    assert "Expected one machine" in answered["said"]
    assert not {"tensorflow", "keras"} & set(answered["loaded"])


def test_a_run_that_has_finished_is_not_trained_again_nor_is_tensorflow_loaded(place):
    answered = answer("train", "--resume", "done", cwd=place)
    assert answered["code"] == 0
    assert "done has finished already" in answered["said"]
    assert "tensorflow" not in answered["loaded"]


def test_a_served_model_is_checked_with_its_ports_before_tensorflow_is_loaded(tmp_path):
    (tmp_path / "model" / "1").mkdir(parents=True)
    (tmp_path / "model" / "1" / "saved_model.pb").write_bytes(b"")
    answered = answer("serve", "model", "--port", 70000, cwd=tmp_path)
    assert "Expected port to be a number from 0 to 65535" in answered["said"]
    assert answered["code"] == 2
    assert "tensorflow" not in answered["loaded"]
