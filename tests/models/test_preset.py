import json

import numpy as np
import pytest

import mmkeras.models
from mmkeras.errors import MmkerasError
from mmkeras.models import list_presets, load_preset
from mmkeras.models.preset import preset_image_preprocessor, preset_text_preprocessor, with_backbone
from mmkeras.preprocessing import StringPreprocessor, TextPreprocessor

from ..encoders.hub_modules import write_pictures, write_sentences
from .conftest import PRESET, TEXTS

LARGE = {"soft_mask_base"}  # twice ViT-B/16 and BERT-base: 1.7 GB of weights


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in list_presets()]
)
def test_every_preset_builds_and_embeds(name, text_preprocessor, tmp_path):
    settings = load_preset(name)
    assert settings["description"]
    system = getattr(mmkeras.models, settings["model"])
    categories = {"label_names": ("one", "two")} if "categories" in system.supervision else {}
    preset = name
    if settings["image_encoder"].get("handle") == "":  # its user names the backbone
        preset = with_backbone(name, write_pictures(tmp_path, 224, 224))
        preset["image_encoder"]["output_key"] = "vector"
    of_text_features = settings["text_encoder"]["kind"] == "features"
    model = system.from_preset(preset, text_preprocessor=None if of_text_features else text_preprocessor, **categories)
    texts = np.ones((1, settings["text_encoder"].get("features", 0)), "float32")
    embedding = model.encode_text(texts if of_text_features else ["latin small letter a"])
    arguments, encoder = settings.get("arguments", {}), settings["text_encoder"]
    assert embedding.shape == (1, arguments.get("representation_dim", encoder["embedding_dim"]))
    np.testing.assert_allclose(np.linalg.norm(embedding), 1, rtol=1e-5)
    preprocessor = preset_image_preprocessor(name)
    shape = (settings["image_encoder"].get("features"),) if preprocessor is None else preprocessor.output_shape
    assert model.image_encoder.input.shape[1:] == shape


def test_the_large_preset_is_as_albef():
    settings = load_preset("soft_mask_base")
    arguments, image, text = (settings[key] for key in ("arguments", "image_encoder", "text_encoder"))
    vit = {"patch": 16, "depth": 12, "token_width": 768, "heads": 12, "mlp_ratio": 4, "embedding_dim": 256}
    assert image == {"kind": "vit", **vit} and preset_image_preprocessor(settings).output_shape == (256, 256, 3)
    bert = {"width": 768, "depth": 6, "heads": 12, "mlp_ratio": 4, "embedding_dim": 256, "dropout": 0.1}
    assert text == {"kind": "bert", **bert}
    assert (settings["text_preprocessor"]["vocabulary_size"], arguments["fusion_depth"]) == (30522, 6)
    assert text["depth"] + arguments["attention_block"] == 8  # of twelve, from 0: the block that grounding looks at
    assert (arguments["queue_size"], arguments["momentum"], arguments["alpha"]) == (65536, 0.995, 0.4)


def test_a_preset_may_be_a_name_a_file_or_a_dict(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({**PRESET, "description": "Größe"}), "utf-8")
    assert load_preset(file)["description"] == "Größe"
    assert load_preset(str(file))["image_encoder"] == PRESET["image_encoder"]
    assert load_preset(PRESET) == PRESET
    assert load_preset("dual_encoder_glyphs")["model"] == "DualEncoder"


def test_an_unknown_preset_is_told_which_there_are():
    with pytest.raises(MmkerasError, match=r"Expected a preset \(.*dual_encoder_glyphs.*preset='dual_encoder_glyph'"):
        load_preset("dual_encoder_glyph")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"model": ', "is no valid JSON"),
        ("[]", "expected an object. Received: list"),
        ('{"model": "DualEncoder"}', "lacks image_encoder, text_encoder"),
        (json.dumps({**PRESET, "text_encodr": {}}), "unknown setting text_encodr"),
        (json.dumps({**PRESET, "image_encoder": {"widths": [4]}}), "lacks the kind of its image_encoder"),
    ],
)
def test_a_file_that_is_no_preset_is_refused(tmp_path, text, message):
    file = tmp_path / "wrong.json"
    file.write_text(text)
    with pytest.raises(MmkerasError, match=message):
        load_preset(file)


def test_a_dict_is_checked_as_a_file_is():
    with pytest.raises(MmkerasError, match="lacks model"):
        load_preset({key: value for key, value in PRESET.items() if key != "model"})


def test_an_unknown_setting_of_the_preprocessor_is_named():
    with pytest.raises(MmkerasError, match="image_preprocessor does not take these settings: .*colour"):
        preset_image_preprocessor({**PRESET, "image_preprocessor": {"height": 8, "width": 8, "colour": True}})


def test_a_preset_over_features_has_no_image_preprocessor():
    assert preset_image_preprocessor({key: PRESET[key] for key in PRESET if key != "image_preprocessor"}) is None


def test_the_text_preprocessor_learns_a_tokenizer_unless_it_hands_strings_on():
    learnt = preset_text_preprocessor(PRESET, TEXTS)
    assert type(learnt) is TextPreprocessor
    assert learnt.sequence_length == 6
    named = {**PRESET, "text_preprocessor": {"kind": "sentencepiece", "vocabulary_size": 60, "sequence_length": 6}}
    assert preset_text_preprocessor(named, TEXTS).get_config() == learnt.get_config()
    strings = {**PRESET, "text_preprocessor": {"kind": "strings", "lower": True}}
    preprocessor = preset_text_preprocessor(strings, None)  # there is nothing to learn
    assert type(preprocessor) is StringPreprocessor
    assert preprocessor.get_config() == {"lower": True, "strip": False}
    assert preprocessor(["A Dog "]).numpy().tolist() == [b"a dog "]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "string"}, "kind of sentencepiece or strings. Received: kind='string'"),
        ({"kind": "strings", "vocabulary_size": 60}, "text_preprocessor does not take these settings: .*vocabulary"),
        ({"vocabulary_size": 60, "lower": True}, "text_preprocessor does not take these settings: "),
        ({"kind": "strings", "strip": "yes"}, "Expected a bool. Received: strip='yes'"),
    ],
)
def test_settings_that_a_text_preprocessor_does_not_take_are_refused(settings, message):
    with pytest.raises(MmkerasError, match=message):
        preset_text_preprocessor({**PRESET, "text_preprocessor": settings}, TEXTS)


def test_a_preset_without_a_text_preprocessor_says_so():
    without = {key: PRESET[key] for key in PRESET if key != "text_preprocessor"}
    with pytest.raises(MmkerasError, match="lacks text_preprocessor, the tokenizer's settings"):
        preset_text_preprocessor(without, TEXTS)


def test_a_preset_of_a_sentence_encoder_takes_strings(tmp_path):
    preset = {
        **PRESET,
        "text_preprocessor": {"kind": "strings", "lower": True},
        "text_encoder": {"kind": "hub", "handle": write_sentences(tmp_path), "hidden": [], "embedding_dim": 8},
    }
    model = mmkeras.models.DualEncoder.from_preset(preset, texts=TEXTS)
    upper, lower, other = model.encode_text(["TWO DOGS", "two dogs", "a dog"])
    np.testing.assert_array_equal(upper, lower)
    assert abs(other - lower).max() > 0.01
    token_ids = {**preset, "text_preprocessor": PRESET["text_preprocessor"]}
    with pytest.raises(MmkerasError, match="Expected a StringPreprocessor before a text encoder of kind 'hub'"):
        mmkeras.models.DualEncoder.from_preset(token_ids, texts=TEXTS)
