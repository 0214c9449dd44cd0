"""A year of operation in one case: pictures come and go, a new model comes, and nothing mixes two spaces.

The commands are those of docs/keeping-up.md.
"""

import csv
import shutil
import time

import pytest
from PIL import Image

from mmkeras.cli import main
from mmkeras.data import Glyphs
from mmkeras.search import EmbeddingIndex
from mmkeras.serving import Client, EmbeddedServer

pytestmark = pytest.mark.slow

CONFIG = """
model_config_list {{ config {{
  name: "photos" base_path: "{folder}" model_platform: "tensorflow"
  model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
  version_labels {{ key: "stable" value: {stable} }}
}} }}
"""


@pytest.fixture
def place(tmp_path, monkeypatch, tiny_run, tiny_version, small_preset):
    """A folder with captions.csv, pictures of two days, and a model of two versions, trained with two seeds."""
    from mmkeras.export import export_run
    from mmkeras.training import Recipe, Run, train

    monkeypatch.chdir(tmp_path)
    data = Glyphs().split("dev").first_texts(40)
    lines = []
    for day, rows in (("monday", range(25)), ("tuesday", range(25, 40))):
        (tmp_path / day).mkdir()
        for row in rows:
            image, text = data.pairs[row]
            Image.fromarray(data.images[image].squeeze()).convert("RGB").save(tmp_path / day / f"{day}-{row}.png")
            lines.append((f"{day}/{day}-{row}.png", data.texts[text], "dev"))
    with open("captions.csv", "w", newline="") as file:
        csv.writer(file).writerows([("image", "caption", "split"), *lines])
    settings = [f"preset={small_preset}", "limit=60", "epochs=1", "batch_size=32", "deterministic=false", "seed=1"]
    run = Run.create(tmp_path / "runs" / "second", "glyphs_tiny", Recipe.load("glyphs_tiny", settings))
    train(run, verbose=0)
    shutil.copytree(tiny_version, tmp_path / "savedmodels" / "photos" / "1")
    export_run(run, tmp_path / "savedmodels" / "photos")
    return tmp_path


@pytest.fixture
def told(capsys):
    """A function of a command that checks its exit code and returns what it printed."""

    def run(*arguments, code=0):
        capsys.readouterr()
        returned = main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        assert returned == code, shown.out + shown.err
        return shown.out + shown.err

    return run


def test_pictures_come_and_go_and_then_a_new_model(place, told):
    # Day by day: what is new is embedded into a folder of its own, and added.
    told("embed", "savedmodels/photos/1", "monday", "--to", "embeddings/monday")
    told("index", "build", "embeddings/monday", "--to", "index")
    told("embed", "savedmodels/photos/1", "tuesday", "--to", "embeddings/tuesday")
    told("index", "add", "index", "embeddings/tuesday")
    assert "tuesday-25.png" in told("index", "add", "index", "embeddings/tuesday", code=2)  # twice is told
    told("index", "remove", "index", "monday-0.png", "monday-1.png")
    told("index", "compact", "index")
    before = EmbeddingIndex("index")
    assert len(before) == 38 and "monday-0.png" not in before.ids

    # A new version: checked, compared, embedded by it, and an index of its own.
    told("parity", "savedmodels/photos/2")
    verdict = told("gate", "savedmodels/photos", "--data", "captions.csv", "--tolerance", "600")
    assert "Version 2 is no worse than version 1" in verdict and "one space" not in verdict
    for day in ("monday", "tuesday"):
        told("embed", "savedmodels/photos/2", day, "--to", f"embeddings-2/{day}")
    assert "space" in told("index", "add", "index", "embeddings-2/monday", code=2)
    told("index", "build", "embeddings-2/monday", "--to", "index-2")
    told("index", "add", "index-2", "embeddings-2/tuesday")
    assert "space" in told("index", "merge", "index", "index-2", code=2)
    assert len(EmbeddingIndex("index")) == 38  # whatever was refused changed nothing

    # The label moves; whoever still has the other index is told, and gets no wrong answer.
    config = place / "models.config"
    folder = place / "savedmodels" / "photos"
    config.write_text(CONFIG.format(folder=folder, stable=1))
    with EmbeddedServer(config_file=config, poll_seconds=0.05) as server:

        def ask(index, code=0):
            own = ("--server", server.address, "--model", "photos", "--label", "stable", "--index", index)
            return told("query", "latin small letter a", *own, "-k", "3", code=code)

        with Client(server.address, "photos", label="stable", timeout=20) as client:
            deadline = time.monotonic() + 60
            while client.space_id() != before.space_id:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert ".png" in ask("index") and "cannot be compared" in ask("index-2", code=2)
            config.write_text(CONFIG.format(folder=folder, stable=2))
            while client.space_id() == before.space_id:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert ".png" in ask("index-2") and "cannot be compared" in ask("index", code=2)
