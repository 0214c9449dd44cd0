"""A data set as the model of a preset reads it."""

import json

import pytest
from PIL import Image

from mmkeras.data import read
from mmkeras.models.preset import Preset
from mmkeras.preprocessing import TextPreprocessor
from mmkeras.training.checked_data import checked_data


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("MMKERAS_CACHE", str(tmp_path / "cache"))
    lines = []
    for number, split in enumerate(("train", "restval", "val")):
        Image.new("RGB", (9, 9 + number)).save(tmp_path / f"{number}.png")
        lines.append({"image": f"{number}.png", "split": split, "captions": [f"words of {split} alone"]})
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return read(tmp_path / "c.jsonl")


@pytest.mark.parametrize(
    ("split", "learnt"), [("train", "a"), ("train+restval", "ab"), ("all", "abc"), ("validation", "c")]
)
def test_the_tokenizer_learns_from_the_split_that_is_trained_on(data, monkeypatch, split, learnt):
    seen = []
    train = TextPreprocessor.train
    monkeypatch.setattr(TextPreprocessor, "train", lambda texts, **more: seen.extend(texts) or train(texts, **more))
    findings = checked_data(data, Preset.load("dual_encoder_glyphs"), split)
    texts = {"a": "words of train alone", "b": "words of restval alone", "c": "words of val alone"}
    assert seen == [texts[one] for one in learnt]
    assert findings.captions.sequence_length == 18


def test_the_preset_says_how_large_a_picture_may_be(data):
    settings = Preset.load("dual_encoder_glyphs").settings
    settings["image_preprocessor"]["max_pixels"] = 90
    findings = checked_data(data, Preset.load(settings))
    assert [problem.what for problem in findings.problems if problem.count] == ["1 picture is too large"]
    assert checked_data(data, Preset.load(settings), decode=False).problems == []


def test_a_preset_over_features_of_texts_has_no_tokenizer(data):
    settings = Preset.load("dual_encoder_glyphs").settings
    del settings["text_preprocessor"], settings["image_preprocessor"]
    assert checked_data(data, Preset.load(settings)).captions.ids is None
