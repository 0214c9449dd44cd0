"""A run over a frozen backbone trains on features, and leaves a model of pictures."""

import dataclasses
import io
import json
import shutil
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mmkeras.cli import main
from mmkeras.encoders import FrozenFeatures
from mmkeras.encoders.image import build_image_encoder
from mmkeras.errors import MmkerasError
from mmkeras.evaluation.report.run_report import evaluate_run
from mmkeras.export import export_run
from mmkeras.parity import check_parity, golden_of, saved_model_predict
from mmkeras.preprocessing import ImagePreprocessor
from mmkeras.training import Recipe, Run, stage_runner, train
from mmkeras.training.log import read_log

from ..encoders.hub_modules import write_pictures
from .interrupted_runs import assert_equal_runs, interrupt

PRESET = {
    "model": "DualEncoder",
    "image_preprocessor": {"height": 4, "width": 6},
    "image_encoder": {"kind": "hub", "output_key": "map", "hidden": [8], "embedding_dim": 8, "dropout": 0.1},
    "text_preprocessor": {"vocabulary_size": 60, "sequence_length": 8},
    "text_encoder": {"kind": "text_cnn", "width": 8, "kernel_sizes": [1, 2], "filters": 8, "embedding_dim": 8},
}
COLOURS = ("red", "green", "blue", "grey", "dark", "pale")


def jpeg(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


def write_captions(folder, layout="jsonl", seed=0):
    """Sixteen pictures for training and twelve for dev, in a zip; returns the captions file."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    records = []
    with zipfile.ZipFile(folder / "pictures.zip", "w") as archive:
        for row in range(28):
            archive.writestr(f"{row}.jpg", jpeg(rng.integers(0, 256, (16, 20, 3), "uint8")))
            captions = [f"a {COLOURS[row % 6]} picture", f"{COLOURS[row % 5]} and {COLOURS[row % 4]}"]
            records.append({"image": f"{row}.jpg", "split": "train" if row < 16 else "val", "captions": captions})
    file = folder / f"captions.{layout}"
    if layout == "jsonl":
        file.write_text("\n".join(map(json.dumps, records)))
    else:
        as_sentences = [
            {"filename": one["image"], "split": one["split"], "sentences": [{"raw": text} for text in one["captions"]]}
            for one in records
        ]
        file.write_text(json.dumps({"images": as_sentences}))
    return file


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a hub module, a preset without a handle, and captions."""
    folder = tmp_path_factory.mktemp("frozen")
    write_pictures(folder)
    (folder / "preset.json").write_text(json.dumps(PRESET))
    write_captions(folder / "toys")
    return folder


def create(folder, place, *settings):
    toys = place / "toys"
    own = [f"preset={place / 'preset.json'}", f"backbone={place / 'pictures'}", f"data={toys / 'captions.jsonl'}"]
    own += [f"image_folder={toys / 'pictures.zip'}", "limit=0", "batch_size=8", "deterministic=false", "epochs=1"]
    return Run.create(folder, "frozen", Recipe.load("glyphs_tiny", [*own, "augment_shift=0", *settings]))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMKERAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def computed(monkeypatch):
    """How many pictures went through a backbone for their features, call by call."""
    counts = []
    features = FrozenFeatures._features

    def counting(self, pixels):
        counts.append(len(pixels))
        return features(self, pixels)

    monkeypatch.setattr(FrozenFeatures, "_features", counting)
    return counts


@pytest.fixture(scope="module")
def finished(place, tmp_path_factory):
    """A finished run, and the cache folder that it left; read them only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMKERAS_CACHE", str(place / "cache"))
        run = create(tmp_path_factory.mktemp("runs") / "frozen", place)
        train(run, verbose=0)
    return run


def test_weights_are_the_same_from_the_cache_and_freshly_computed(finished, place, cache, computed, tmp_path):
    shutil.copytree(place / "cache", cache)
    from_cache = train(create(tmp_path / "cached", place), verbose=0)
    assert computed == []
    assert len(from_cache.weights) > 10
    with np.load(tmp_path / "cached" / "checkpoint.npz") as ours, np.load(finished.file("checkpoint.npz")) as theirs:
        assert set(ours) == set(theirs)
        for key in ours:
            np.testing.assert_array_equal(ours[key], theirs[key], err_msg=key)
    assert Run(tmp_path / "cached").info["data_digest"] == finished.info["data_digest"]


def test_the_trained_model_takes_pictures(finished, place):
    model = finished.load_model()
    assert model.image_encoder.input.shape == (None, 4, 6, 3)
    with zipfile.ZipFile(place / "toys" / "pictures.zip") as archive:
        content = [archive.read(f"{row}.jpg") for row in range(3)]
    assert model.encode_image(content).shape == (3, 8)


def test_a_shift_of_pictures_is_refused(place, cache, tmp_path):
    run = create(tmp_path / "run", place, "augment_shift=2")
    with pytest.raises(MmkerasError, match="Expected augment_shift=0: the backbone is frozen.*augment_shift=2"):
        train(run, verbose=0)
    assert not cache.exists()


@pytest.mark.slow
def test_a_stage_that_trains_the_backbone_reads_pixels(place, cache, computed, tmp_path):
    settings = dataclasses.asdict(create(tmp_path / "one", place).recipe)
    encoders = ["image_encoder", "text_encoder"]
    stages = [
        {"name": "head", "epochs": 1, "trains": encoders},
        {"name": "backbone", "epochs": 1, "trains": [*encoders, "image_backbone"], "learning_rate": 0.01},
    ]
    recipe = Recipe.from_settings(settings | {"epochs": 2, "stages": stages})
    run = Run.create(tmp_path / "stages", "frozen", recipe)
    with pytest.MonkeyPatch.context() as patch:
        shapes = watch_images(patch)
        model = train(run, verbose=0)
    # Of each stage what the validation loss is measured on, and what is trained on.
    assert shapes == [(12, 5), (16, 5), (12, 4, 6, 3), (16, 4, 6, 3)]
    size = PRESET["image_preprocessor"] | {"channels": 3}
    hub = build_image_encoder(**size, **PRESET["image_encoder"], handle=str(place / "pictures")).get_layer("hub")
    before, after = ([variable.numpy() for variable in layer.weights] for layer in (hub, model.parts["image_backbone"]))
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert evaluate_run(run).data.images.shape == (12, 4, 6, 3)  # its features are no longer the cached ones
    assert run.load_model().encode_image(np.zeros((2, 4, 6, 3), np.uint8)).shape == (2, 8)


@pytest.mark.slow
def test_a_backbone_has_a_rate_of_its_own_and_the_run_resumes(place, cache, tmp_path, monkeypatch, determinism):
    """The heads first; then all of it, the network at a hundredth of the rate, cut off within an epoch."""
    settings = dataclasses.asdict(create(tmp_path / "one", place, "deterministic=true").recipe)
    encoders = ["image_encoder", "text_encoder"]
    stages = [
        {"name": "head", "epochs": 1, "trains": encoders},
        {"name": "all", "epochs": 2, "trains": [*encoders, "image_backbone"]},
    ]
    tables = {"optimizers": {"backbones": {"learning_rate": 1e-5}}, "learning_rate": 1e-3, "checkpoint_steps": 1}
    constant = {"decay": "constant", "warmup_steps": 0}
    recipe = Recipe.from_settings(settings | tables | constant | {"epochs": 3, "stages": stages})
    runs = [Run.create(tmp_path / name, "frozen", recipe) for name in ("whole", "cut")]
    train(runs[0], verbose=0)
    run = interrupt(runs[1], monkeypatch, epoch=1, batch=1)
    train(run, verbose=0)
    assert_equal_runs(run, runs[0])
    rows = read_log(run.file("log.csv"))
    assert [row["learning_rate"] for row in rows] == pytest.approx([1e-3] * 3)
    assert [row.get("backbones_learning_rate") for row in rows] == [None, *[pytest.approx(1e-5)] * 2]


def test_a_rate_for_backbones_that_no_stage_trains_is_refused(place, cache, tmp_path):
    settings = dataclasses.asdict(create(tmp_path / "one", place).recipe)
    recipe = Recipe.from_settings(settings | {"optimizers": {"backbones": {"learning_rate": 1e-5}}})
    with pytest.raises(MmkerasError, match="backbones reaches nothing: no stage trains a pretrained network"):
        train(Run.create(tmp_path / "run", "frozen", recipe), verbose=0)


def test_a_backbone_is_not_trained_without_its_encoder(place, cache, tmp_path):
    settings = dataclasses.asdict(create(tmp_path / "one", place).recipe)
    recipe = Recipe.from_settings(settings | {"stages": [{"name": "one", "epochs": 1, "trains": ["image_backbone"]}]})
    with pytest.raises(MmkerasError, match="Expected image_encoder where its image_backbone is trained"):
        train(Run.create(tmp_path / "run", "frozen", recipe), verbose=0)


def watch_images(patch):
    """The shapes of the pictures that each fit was given, as a list that fills."""
    shapes = []
    batches = stage_runner.SUPERVISION["pairs"].batches

    def watched(data, *arguments, **options):
        shapes.append(data.images.shape)
        return batches(data, *arguments, **options)

    patch.setitem(stage_runner.SUPERVISION, "pairs", stage_runner.SUPERVISION["pairs"]._replace(batches=watched))
    return shapes


@pytest.mark.slow
def test_evaluation_and_export_read_the_features_and_show_the_pictures(finished, place, cache, computed, tmp_path):
    shutil.copytree(place / "cache", cache)
    shutil.copytree(finished.folder, tmp_path / "run")
    run = Run(tmp_path / "run")
    evaluation = evaluate_run(run)
    assert computed == [] and evaluation.data.images.shape == (12, 5)
    assert "untrained_rsum" in evaluation.metrics
    assert "data:image/png;base64," in run.file("report.html").read_text(encoding="utf-8")
    version = export_run(run, tmp_path / "savedmodels" / "frozen")
    assert computed == []
    comparisons = check_parity(golden_of(version), saved_model_predict(version))
    assert {"encode_image", "encode_pixels", "match"} <= {comparison.signature for comparison in comparisons}
    assert all(comparison.passed for comparison in comparisons)
    with zipfile.ZipFile(version / "assets.extra" / "index" / "segment-1" / "pictures.zip") as archive:
        assert len(archive.namelist()) == 28
    with zipfile.ZipFile(place / "toys" / "pictures.zip") as archive:
        content = archive.read("17.jpg")

    served = tf.saved_model.load(str(version)).signatures["encode_image"](image_bytes=tf.constant([content]))
    features = evaluation.image_embeddings[evaluation.data.image_names.index("17.jpg")]
    np.testing.assert_allclose(served["embedding"][0], features, atol=1e-5)


@pytest.mark.slow
def test_other_data_is_evaluated_into_files_of_its_own(finished, place, cache, tmp_path, capsys):
    shutil.copytree(finished.folder, tmp_path / "run")
    run = Run(tmp_path / "run")
    run.file("metrics.json").write_text("{}")
    run.file("report.html").write_text("mine")
    file = write_captions(tmp_path / "pets", "json", seed=1)
    command = ["evaluate", str(run.folder), "--data", str(file), "--split", "val"]
    assert main([*command, "--image-folder", str(file.parent / "pictures.zip")]) == 0
    report = run.file("report-pets-captions-val.html")
    assert f"Report: {report}" in capsys.readouterr().out
    assert "on captions.json/val" in report.read_text(encoding="utf-8")
    metrics = json.loads(run.file("metrics-pets-captions-val.json").read_text())
    assert (metrics["data"], metrics["pictures"], metrics["texts"]) == ("captions.json/val", 12, 24)
    assert "rsum" in metrics and "untrained_rsum" in metrics
    assert (run.file("metrics.json").read_text(), run.file("report.html").read_text()) == ("{}", "mine")
    assert main(command) == 2
    assert "images[16]: the picture 16.jpg is missing" in capsys.readouterr().err
    assert main([*command[:-2], "--split", "test"]) == 2
    assert "has no records of split 'test'; it has dev, train" in capsys.readouterr().err


def test_a_split_to_train_on(place, cache, tmp_path):
    run = create(tmp_path / "run", place, "train_split=train+val")
    preprocessor = ImagePreprocessor(4, 6)
    counts = [len(run.load_data(split, preprocessor).images) for split in ("train", "dev")]
    assert counts == [28, 12]
