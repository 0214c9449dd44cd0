"""Runs that begin with published models, by the command line, from their folders to an export."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from mmkeras.cli import main
from mmkeras.errors import MmkerasError
from mmkeras.parity import check_exported
from mmkeras.training import Recipe, Run, train
from mmkeras.training.log import read_log
from mmkeras.training.untrained_run import untrained_run

from ..encoders.published_folders import write_siglip
from ..preprocessing.test_sentencepiece_tokenizer import SIGLIP, learnt_of
from .test_frozen_training import write_captions

COLOURS = {"red": (200, 20, 20), "green": (20, 180, 20), "blue": (20, 20, 200)}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a published pair, captions and a folder a class."""
    folder = tmp_path_factory.mktemp("pairs")
    write_siglip(folder / "siglip", vocabulary=1000, tokenizer=learnt_of(SIGLIP))
    write_captions(folder / "toys")
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / "classes" / name).mkdir(parents=True)
        for row in range(6):
            pixels = np.clip(np.array(colour) + rng.integers(-20, 20, (16, 16, 3)), 0, 255).astype("uint8")
            Image.fromarray(pixels).save(folder / "classes" / name / f"{row}.png")
    return folder


@pytest.fixture
def run_command(place, tmp_path, monkeypatch, capsys):
    """A function that runs a command in a folder of its own and returns its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)

    def run_command(*arguments):
        code = main([str(argument) for argument in arguments])
        return code, "".join(capsys.readouterr())

    return run_command


def data(place):
    return place / "toys" / "captions.jsonl", "--images", place / "toys" / "pictures.zip"


def create(folder, place, pair, epochs):
    captions, _, pictures = data(place)
    settings = [f"pretrained={pair}", f"data={captions}", f"image_folder={pictures}", "batch_size=8"]
    return Run.create(
        folder, "pair", Recipe.load("pretrained_pair", [*settings, f"stages.projections.epochs={epochs}"])
    )


def test_a_pair_is_tuned_evaluated_and_exported(place, run_command, tmp_path):
    code, told = run_command(
        *("train", *data(place), "--from", place / "siglip", "--out", tmp_path / "tuned"),
        *("batch_size=8", "stages.projections.epochs=1", "stages.towers.epochs=1", "select=last"),
    )
    assert code == 0, told
    assert "Before training: R@1" in told and "Stage 2 of 2: towers" in told
    run = Run(tmp_path / "tuned")
    (checkpoint,) = run.info["checkpoints"]
    assert checkpoint["licence"] == "apache-2.0" and set(checkpoint["files"]) == {"config.json", "model.safetensors"}
    model = run.load_model()
    assert model.loss == "sigmoid" and model.text_encoder.padding_counts
    assert [row["stage"] for row in read_log(run.file("log.csv"))] == ["projections", "towers"]
    assert run_command("evaluate", tmp_path / "tuned")[0] == 0
    assert run_command("export", tmp_path / "tuned", "--to", tmp_path / "served" / "tuned")[0] == 0
    card = (tmp_path / "served/tuned/1/assets.extra/model_card.md").read_text()
    assert "the published model `siglip`, under this licence: apache-2.0" in card and "Nothing was trained" not in card
    _, compared = check_exported(tmp_path / "served" / "tuned")
    assert all(comparison.passed for comparison in compared)


def test_frozen_towers_are_run_once_a_text_and_are_what_they_were(place, tmp_path, monkeypatch):
    from mmkeras.encoders import FrozenTexts

    loaded = []
    load = FrozenTexts.load
    monkeypatch.setattr(FrozenTexts, "load", lambda self, texts: loaded.append(len(texts)) or load(self, texts))
    captions, _, pictures = data(place)
    settings = [f"pretrained={place / 'siglip'}", f"data={captions}", f"image_folder={pictures}", "batch_size=8"]
    run = Run.create(
        tmp_path / "run", "pair", Recipe.load("pretrained_pair", [*settings, "stages.projections.epochs=2"])
    )
    model = train(run, verbose=0)
    assert sorted(loaded) == [24, 32]  # dev and train, whatever the epochs
    other = untrained_run(tmp_path / "as it is", str(place / "siglip"), str(captions), str(pictures)).load_model()
    for one, before in zip(model.text_encoder.pretrained.weights, other.text_encoder.pretrained.weights, strict=True):
        np.testing.assert_array_equal(one, before)
    projections = [each.text_encoder.get_layer("projection").kernel.numpy() for each in (model, other)]
    assert np.abs(projections[0] - projections[1]).max() > 1e-4


def test_a_pair_is_measured_and_exported_as_it_is(place, run_command, tmp_path):
    code, told = run_command("evaluate", "--from", place / "siglip", "--data", *data(place), "--split", "all")
    assert code == 0, told
    (folder,) = (tmp_path / "runs").iterdir()
    run = Run(folder)
    assert run.finished and run.info["trained"] is False and not run.file("log.csv").exists()
    assert json.loads(run.file("metrics.json").read_text())["pictures"] == 28
    to = tmp_path / "served" / "pair"
    code, told = run_command("export", "--from", place / "siglip", "--data", *data(place), "--to", to)
    assert code == 0, told
    assert "Nothing was trained: it is the published pair" in (to / "1/assets.extra/model_card.md").read_text()
    _, compared = check_exported(to)
    assert all(comparison.passed for comparison in compared)


def test_pictures_are_classified_by_the_names_of_their_folders(place, run_command, tmp_path):
    templates = ["--templates", "a {} picture", "something {}"]
    code, told = run_command("evaluate", "--from", place / "siglip", "--data", place / "classes", *templates)
    assert code == 0, told
    assert "Zero-shot top-1" in told
    (folder,) = (tmp_path / "runs").iterdir()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["zero_shot_classes"] == 3 and metrics["zero_shot_top@5"] == 1.0
    model, source = Run(folder).load_model(), Run(folder).load_data("dev", None, unread=True)
    files = [place / "classes" / name for name in source.image_names]
    texts = model.encode_text(
        [template.format(name) for name in source.label_names for template in ("a {} picture", "something {}")]
    )
    scores = model.encode_image(files) @ texts.reshape(3, 2, -1).mean(axis=1).T
    scale = np.linalg.norm(texts.reshape(3, 2, -1).mean(axis=1), axis=1)
    right = (scores / scale).argmax(axis=1) == source.label
    assert metrics["zero_shot_top@1"] == pytest.approx(right.mean())


def test_a_checkpoint_that_changed_is_refused_on_resume(place, tmp_path):
    published = shutil.copytree(place / "siglip", tmp_path / "siglip")
    captions, _, pictures = data(place)
    settings = [f"pretrained={published}", f"data={captions}", f"image_folder={pictures}", "batch_size=8"]
    run = Run.create(
        tmp_path / "run", "pair", Recipe.load("pretrained_pair", [*settings, "stages.projections.epochs=1"])
    )
    train(run, verbose=0)
    write_siglip(published, vocabulary=1000, seed=1)
    with pytest.raises(MmkerasError, match=r"is not what the run .* began with: model\.safetensors changed"):
        train(Run(tmp_path / "run"), verbose=0)


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("evaluate", "--from", "siglip"), "Expected the data with --data SOURCE"),
        (("export", "--to", "served/x", "--data", "toys"), "--data and --images go with --from PAIR"),
        (("export", "--to", "served/x", "--from", "siglip"), "Expected the data with --data SOURCE"),
        (("evaluate", "run", "--from", "siglip", "--data", "x"), "Expected a run or --from PAIR"),
        (("evaluate", "--from", "nothing here", "--data", "x"), "Expected the folder of a published pair"),
        (("train", "toys/captions.jsonl", "--from", "siglip", "--text-encoder", "siglip"), "a whole pair, or halves"),
        (("train", "toys/captions.jsonl", "--text-encoder", "nothing here"), "Expected a text encoder as the folder"),
        (("train", "toys/captions.jsonl", "--from", "toys"), "Expected the folder of a published pair"),
    ],
)
def test_what_does_not_go_together_is_told(place, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(place)
    assert main(list(arguments)) == 2
    assert told in capsys.readouterr().err
    assert not (place / "runs").exists()
