"""A run folder says what was trained, on what and with which versions, and refuses what does not fit it."""

import dataclasses
import json
import shutil
from importlib import metadata

import numpy as np
import pytest
from PIL import Image

import mmkeras
from mmkeras.data import PairedData
from mmkeras.errors import MmkerasError
from mmkeras.training import Recipe, Run


@pytest.fixture
def recipe():
    return Recipe.load("glyphs_tiny", ["seed=7"])


@pytest.fixture
def run(tmp_path, recipe):
    return Run.create(tmp_path / "run", "glyphs_tiny", recipe)


@pytest.fixture
def data():
    return PairedData(
        name="toy",
        images=np.arange(12, dtype=np.float32).reshape(3, 4),
        texts=["a", "b", "c"],
        image_id=np.arange(3),
        text_image_id=np.arange(3),
        pairs=np.array([[0, 0], [1, 1], [2, 2]], np.int32),
    )


def test_run_json_tells_settings_seed_and_versions(run, recipe):
    info = json.loads(run.file("run.json").read_text())
    assert info["format"] == 2
    assert info["recipe"] == "glyphs_tiny"
    assert info["settings"] == dataclasses.asdict(recipe)
    assert info["settings"]["seed"] == 7
    assert info["mmkeras"] == mmkeras.__version__
    for library in ("tensorflow", "keras", "tensorflow-text", "numpy"):
        assert info["versions"][library] == metadata.version(library)
    assert info["finished"] is False
    assert Run(run.folder).recipe == recipe


def test_an_empty_folder_is_taken_and_a_used_one_is_not(tmp_path, recipe):
    (tmp_path / "empty").mkdir()
    Run.create(tmp_path / "empty", "r", recipe)
    used = tmp_path / "used"
    used.mkdir()
    (used / "notes.txt").write_text("mine")
    with pytest.raises(MmkerasError, match="used is not empty. Resume it with --resume, or choose another"):
        Run.create(used, "r", recipe)
    with pytest.raises(MmkerasError, match="notes.txt is not empty"):
        Run.create(used / "notes.txt", "r", recipe)
    assert [file.name for file in used.iterdir()] == ["notes.txt"]


def test_a_run_of_another_format_is_refused_with_what_to_do(run):
    run.update(format=1, mmkeras="9.9.9")
    with pytest.raises(MmkerasError) as caught:
        Run(run.folder)
    told = f"has format 1, written by mmkeras 9.9.9; mmkeras {mmkeras.__version__} reads format 2. Use that version"
    assert told in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_run_json_is_named(run, content):
    run.file("run.json").write_bytes(content)
    with pytest.raises(MmkerasError, match=r"run\.json is damaged"):
        Run(run.folder)


def test_what_is_no_run_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path, tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(MmkerasError, match="is no run folder: it has no run.json"):
            Run(folder)


@pytest.mark.parametrize("part", ["images", "texts", "image_id", "text_image_id", "pairs"])
def test_changed_data_is_refused(run, data, part):
    run.check_data(data)
    run.check_data(data)
    value = getattr(data, part)
    changed = [*value[:-1], "d"] if part == "texts" else value[::-1].copy()
    with pytest.raises(MmkerasError, match="The data toy changed since the run .* Restore the data"):
        Run(run.folder).check_data(dataclasses.replace(data, **{part: changed}))
    Run(run.folder).check_data(data)


def test_an_unfinished_run_has_no_model(run):
    with pytest.raises(MmkerasError, match="has not finished. Finish it with: mmkeras train --resume"):
        run.load_model()


def test_a_damaged_model_is_named(tiny_run, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(tiny_run.folder, folder)
    file = folder / "model.keras"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(MmkerasError, match=r"model\.keras is no readable model"):
        Run(folder).load_model()
    file.unlink()
    with pytest.raises(MmkerasError, match=r"model\.keras is no readable model"):
        Run(folder).load_model()


def test_discard_removes_only_a_folder_without_results(run):
    run.file("log.csv").write_text("epoch\n")
    run.discard()
    assert Run(run.folder)
    run.file("log.csv").unlink()
    run.discard()
    assert not run.folder.exists()


@pytest.fixture
def moved(tmp_path, monkeypatch):
    """A function that begins a run with some settings in a folder `here`, and reads it from the folder `there`."""
    for name in ("here", "there"):
        (tmp_path / name / "photos").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")

    def moved(**settings):
        run = Run.create("run", "r", Recipe(**{"preset": "dual_encoder_glyphs"} | settings))
        monkeypatch.chdir(tmp_path / "there")
        return Run(tmp_path / "here" / run.folder).recipe

    return moved


@pytest.mark.parametrize(
    "data", ["captions.csv", "shards/*.tar", "shards/{00..04}.tar", "tars/0.tar", "*.tar", "pictures.zip/in", "photos"]
)
def test_paths_are_those_of_the_folder_in_which_the_run_began(tmp_path, moved, data):
    for folder in ("here", "there"):  # files of the same names in the other folder are others
        (tmp_path / folder / "shards").mkdir()
        (tmp_path / folder / "captions.csv").write_text("")
        (tmp_path / folder / "pictures.zip").write_bytes(b"")
    assert moved(data=data, image_folder=data).data == str(tmp_path / "here" / data)


@pytest.mark.parametrize("data", ["glyphs", "tfds:coco_captions"])
def test_names_are_no_paths(moved, data):
    assert moved(data=data).data == data


def test_a_preset_is_no_folder_of_its_name(tmp_path, moved):
    assert moved(data="photos", preset="photos", backbone="https://tfhub.dev/x").preset == "photos"


def test_what_is_gone_where_the_run_began_is_looked_for_here(tmp_path, moved):
    (tmp_path / "there" / "captions.csv").write_text("")
    recipe = moved(data="captions.csv", image_folder="pictures")
    assert recipe.data == "captions.csv" and recipe.image_folder == str(tmp_path / "here" / "pictures")


def test_a_change_of_the_data_is_told_of_any_split(tmp_path):
    for grey, name in enumerate(("a", "b", "c", "d")):
        Image.new("RGB", (4, 4), (grey, 0, 0)).save(tmp_path / f"{name}.png")
    lines = ["image,caption,split", *(f"{name}.png,{name},train" for name in "abc"), "d.png,d,test"]
    (tmp_path / "c.csv").write_text("\n".join(lines))
    run = Run.create(tmp_path / "run", "r", Recipe(preset="dual_encoder_glyphs", data=str(tmp_path / "c.csv")))
    assert run.changed_data() == ""
    run.check_data(run.source.train)
    assert Run(run.folder).changed_data() == ""
    content = (tmp_path / "d.png").read_bytes()
    (tmp_path / "d.png").write_bytes(content + b"x")
    assert "c.csv changed since the run began" in Run(run.folder).changed_data()
    (tmp_path / "d.png").write_bytes(content)
    assert Run(run.folder).changed_data() == ""
    (tmp_path / "c.csv").write_text("\n".join([*lines[:-1], "d.png,D,test"]))
    assert Run(run.folder).changed_data() != ""
