"""What `mmkeras tflite` writes, what parity says of it, and presets that are checked before training."""

import json
import shutil

import numpy as np
import pytest

from mmkeras.cli import main
from mmkeras.console import print_device
from mmkeras.errors import MmkerasError
from mmkeras.export.tflite import check_preset, export_tflite
from mmkeras.export.tflite.card import device_card
from mmkeras.export.tflite.golden import EDGES
from mmkeras.export.tflite.release import _index_measured
from mmkeras.models import Preset, list_presets
from mmkeras.on_device import ModelFile
from mmkeras.parity import check_device_parity
from mmkeras.search import IndexWriter

KINDS = ("ids", "mediapipe", "text")
FILES = ["image_encoder_dynamic_pixels.tflite", *(f"text_encoder_dynamic_{kind}.tflite" for kind in KINDS)]


def test_the_folder_is_whole(tiny_device, tiny_version, tiny_model):
    space = json.loads((tiny_version / "assets.extra" / "space.json").read_text())["space_id"]
    described = json.loads((tiny_device / "device.json").read_text())
    assert sorted(described["files"]) == FILES and described["left_out"] == {}
    card = (tiny_device / "card.md").read_text()
    for name, file in described["files"].items():
        model = ModelFile(tiny_device / name)
        assert model.settings["space_id"] == described["space_id"] == space
        assert file["bytes"] == (tiny_device / name).stat().st_size and name in card
        assert file["cosine"]["least"] > 0.998 and file["median_milliseconds"] > 0 and file["operators"]
    assert (tiny_device / "tokenizer.model").read_bytes() == tiny_model.text_preprocessor.model
    assert ModelFile(tiny_device / "text_encoder_dynamic_ids.tflite").tokenizer == tiny_model.text_preprocessor.model


def test_a_file_that_answers_otherwise_is_not_recommended(tiny_device, capsys):
    described = json.loads((tiny_device / "device.json").read_text())
    assert "Do not take" not in device_card(described)
    described["files"]["text_encoder_dynamic_ids.tflite"]["cosine"]["least"] = 0.856
    told = "Do not take text_encoder_dynamic_ids.tflite: its least cosine with Keras is 0.856, below 0.99."
    assert told in device_card(described)
    print_device(tiny_device, described)
    assert told in " ".join(capsys.readouterr().out.split())


def test_the_index_is_described(tiny_device):
    described = json.loads((tiny_device / "device.json").read_text())["index"]
    rows = len(np.load(tiny_device / "golden.npz")["text"])
    assert described["precision"] == "int8" and described["k"] == 10 and described["queries"] == rows - len(EDGES)
    assert described["items"] * 16 * 4 <= described["float32_bytes"] and described["queries"] > 50
    assert described["bytes"] < 0.4 * described["float32_bytes"]
    assert 0.8 < described["recall"] <= 1
    segment = tiny_device / "index" / "segment-1"
    assert not list(segment.glob("text_*")) and not (segment / "pictures.zip").exists()  # which no device reads
    card = (tiny_device / "card.md").read_text()
    assert f"a search in it finds {described['recall']:.4f}" in card and f"{described['float32_bytes']:,}" in card


def test_the_recall_of_an_index_is_that_of_its_pictures(tmp_path):
    pictures = np.float32([[1, 0], [0, 1], [0.6, 0.8]])
    items = [{"id": row, "text": ""} for row in range(3)]
    IndexWriter("s", "int8").write(tmp_path / "i", items, image_embeddings=pictures)
    found = _index_measured(tmp_path / "i", "int8", pictures, pictures[:2])
    sizes = {"bytes": 128 + 3 * 2 + 128 + 3 * 4, "float32_bytes": 3 * 2 * 4}
    assert found == {"precision": "int8", "items": 3, "k": 3, "queries": 2, "recall": 1, **sizes}


def test_parity_can_be_read_in_80_columns(tiny_device, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["parity", str(tiny_device)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert "*_encoder_*.tflite output rows off by cosine".split() in lines
    rows = {tuple(line[:3]): line[-1] for line in lines if line and line[0] in ("text", "image")}
    outputs = {("text", f"dynamic_{kind}", "embedding") for kind in KINDS} | {("text", "dynamic_ids", "token_ids")}
    outputs |= {("image", "dynamic_pixels", output) for output in ("embedding", "pixels")}
    assert rows == dict.fromkeys(outputs, "equal")


def test_parity_passes_for_what_was_written_and_for_nothing_else(tiny_device, tmp_path, capsys):
    comparisons = check_device_parity(tiny_device)
    assert all(c.passed for c in comparisons) and len(comparisons) == 6
    assert {c.rows for c in comparisons} == {16 + 4, 60 + len(EDGES)}
    folder = tmp_path / "device"
    shutil.copytree(tiny_device, folder)
    with np.load(folder / "golden.npz") as golden:
        arrays = dict(golden)
    arrays["embedding"][2] = np.roll(arrays["embedding"][2], 1)
    arrays["pixels"][2, 3, 4] ^= 2
    np.savez(folder / "golden.npz", **arrays)
    assert main(["parity", str(folder)]) == 1
    assert capsys.readouterr().out.count("DIFFERS") == 4
    (folder / "golden.npz").write_bytes(b"PK")
    assert main(["parity", str(folder)]) == 2
    assert "no readable golden examples" in capsys.readouterr().err


def test_a_folder_that_exists_is_left_alone(tiny_run, tiny_model, tmp_path):
    with pytest.raises(MmkerasError, match="exists already"):
        export_tflite(tiny_run, tmp_path, model=tiny_model)
    assert list(tmp_path.iterdir()) == []


def test_the_command_takes_a_run_or_a_preset(capsys, tmp_path):
    for arguments in ([], ["run"], ["run", "--out", "x", "--check", "dual_encoder_glyphs"], ["--out", "x"]):
        assert main(["tflite", *arguments]) == 2
        assert "either RUN with --out DIR, --web DIR or both, or --check PRESET" in capsys.readouterr().err
    assert main(["tflite", str(tmp_path), "--out", str(tmp_path / "x")]) == 2
    assert "is no run folder" in capsys.readouterr().err


def test_presets_over_features_are_refused_before_training(capsys):
    assert main(["tflite", "--check", "cm_gan_wikipedia"]) == 2
    assert "which takes feature vectors" in capsys.readouterr().err


def test_a_preset_is_checked_before_training(small_preset):
    assert sorted(check_preset(small_preset)) == sorted([*KINDS, "pixels"])


# Over features, or upon published networks that are named where they are trained.
NOT_CHECKED = {"cm_gan_wikipedia", "cm_gan_wikipedia_narrow", "photos_pretrained", "pretrained_pair"}


@pytest.mark.slow
@pytest.mark.parametrize("preset", sorted(set(list_presets()) - NOT_CHECKED))
def test_every_preset_of_texts_converts(preset):
    checked = check_preset(preset)
    assert not any("TFText" in name for name in checked["ids"])
    pictures = Preset.load(preset).image_encoder["kind"]
    assert ("pixels" in checked) == (pictures != "hub")


def test_mediapipe_reads_the_file_and_agrees(tiny_device):
    pytest.importorskip("mediapipe", reason="needs MediaPipe: pip install 'mmkeras[mediapipe]'")
    text = pytest.importorskip("mediapipe.tasks.python.text", reason="this MediaPipe has no text tasks")
    with np.load(tiny_device / "golden.npz") as golden:
        texts, expected = [t[:-1].decode() for t in golden["text"][:20].tolist()], golden["embedding"][:20]
    with text.TextEmbedder.create_from_model_path(
        str(tiny_device / "text_encoder_dynamic_mediapipe.tflite")
    ) as embedder:
        received = np.stack([embedder.embed(one).embeddings[0].embedding for one in texts])
    assert np.sum(received * expected, axis=1).min() > 0.999
