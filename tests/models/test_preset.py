import json

import numpy as np
import pytest

import mmkeras.models
from mmkeras.errors import MmkerasError
from mmkeras.models import DualEncoder, Preset, list_presets
from mmkeras.preprocessing import StringPreprocessor, TextPreprocessor

from ..encoders.hub_modules import write_pictures, write_sentences
from ..encoders.published_folders import write_bert, write_mobilenet_v2, write_siglip
from ..preprocessing.test_sentencepiece_tokenizer import SIGLIP, learnt_of
from .conftest import PRESET, TEXTS

UPON_PUBLISHED = ("pretrained_pair", "photos_pretrained")  # their users name the networks
LARGE = {"soft_mask_base"}  # twice ViT-B/16 and BERT-base: 1.7 GB of weights


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name
        for name in list_presets()
        if name not in UPON_PUBLISHED
    ],
)
def test_every_preset_builds_and_embeds(name, text_preprocessor, tmp_path):
    preset = Preset.load(name)
    assert preset.description
    system = getattr(mmkeras.models, preset.model)
    categories = {"label_names": ("one", "two")} if "categories" in system.supervision else {}
    # Its user names the backbone, or Keras would download it.
    if preset.image_encoder.get("handle") == "" or preset.image_encoder.get("weights") == "imagenet":
        preset = preset.with_backbone(write_pictures(tmp_path, 224, 224))
        preset.image_encoder["output_key"] = "vector"
    of_text_features = preset.text_encoder["kind"] == "features"
    model = system.from_preset(preset, text_preprocessor=None if of_text_features else text_preprocessor, **categories)
    texts = np.ones((1, preset.text_encoder.get("features", 0)), "float32")
    embedding = model.encode_text(texts if of_text_features else ["latin small letter a"])
    units = preset.arguments.get("autoencoder", {}).get("units")
    assert embedding.shape == (1, units or preset.text_encoder["embedding_dim"])
    np.testing.assert_allclose(np.linalg.norm(embedding), 1, rtol=1e-5)
    preprocessor = preset.build_image_preprocessor()
    shape = (preset.image_encoder.get("features"),) if preprocessor is None else preprocessor.output_shape
    assert model.image_encoder.input.shape[1:] == shape


@pytest.mark.parametrize("name", UPON_PUBLISHED)
def test_a_preset_upon_published_networks_builds_once_they_are_named(name, tmp_path):
    preset = Preset.load(name)
    if name == "pretrained_pair":
        siglip = write_siglip(tmp_path / "siglip", vocabulary=1000, tokenizer=learnt_of(SIGLIP))
        named = preset.with_pair(str(siglip))
        assert named.checkpoints == [str(siglip)]
    else:
        networks = [write_mobilenet_v2(tmp_path / part) for part in ("one", "two")]
        bert = write_bert(tmp_path / "bert", vocabulary=6)
        (bert / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\n")
        (bert / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
        named = preset.with_backbone("+".join(map(str, networks))).with_text_backbone(str(bert))
        assert named.checkpoints == [*map(str, networks), str(bert)]
        named.image_preprocessor.update(height=32, width=32)
    with pytest.raises(MmkerasError, match="Expected a published model"):
        preset.build_text_preprocessor(["a"])
    tokenizer = named.build_text_preprocessor(["a b", "b"])
    model = getattr(mmkeras.models, named.model).from_preset(named, text_preprocessor=tokenizer)
    side = model.image_preprocessor.height
    pixels = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), "uint8")
    for embedding in (model.encode_text(["a", "b a"]), model.encode_image(pixels)):
        np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-4)


def test_the_large_preset_is_as_albef():
    preset = Preset.load("soft_mask_base")
    fusion, teacher = (preset.arguments[part] for part in ("fusion", "teacher"))
    image, text = preset.image_encoder, preset.text_encoder
    vit = {"patch": 16, "depth": 12, "token_width": 768, "heads": 12, "mlp_ratio": 4, "embedding_dim": 256}
    assert image == {"kind": "vit", **vit} and preset.build_image_preprocessor().output_shape == (256, 256, 3)
    bert = {"width": 768, "depth": 6, "heads": 12, "mlp_ratio": 4, "embedding_dim": 256, "dropout": 0.1}
    assert text == {"kind": "bert", **bert}
    assert (preset.text_preprocessor["vocabulary_size"], fusion["depth"]) == (30522, 6)
    assert text["depth"] + fusion["attention_block"] == 8  # of twelve, from 0: the block that grounding looks at
    assert (teacher["queue_size"], teacher["momentum"], teacher["alpha"]) == (65536, 0.995, 0.4)


def test_a_preset_may_be_a_name_a_file_or_a_dict(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({**PRESET, "description": "Größe"}), "utf-8")
    assert Preset.load(file).description == "Größe"
    assert Preset.load(str(file)).image_encoder == PRESET["image_encoder"]
    assert Preset.load(PRESET).settings == {**PRESET, "format": 2}
    preset = Preset.load("dual_encoder_glyphs")
    assert preset.model == "DualEncoder" and Preset.load(preset) is preset


def test_an_unknown_preset_is_told_which_there_are():
    with pytest.raises(MmkerasError, match=r"Expected a preset \(.*dual_encoder_glyphs.*preset='dual_encoder_glyph'"):
        Preset.load("dual_encoder_glyph")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"model": ', "is no valid JSON"),
        ("[]", "expected an object. Received: list"),
        ('{"model": "DualEncoder"}', "lacks image_encoder, text_encoder"),
        (json.dumps({**PRESET, "text_encodr": {}}), "unknown setting text_encodr"),
        (json.dumps({**PRESET, "image_encoder": {"widths": [4]}}), "lacks the kind of its image_encoder"),
        (json.dumps({**PRESET, "image_encoder": []}), "expected image_encoder to be of type dict. Received: list"),
        (json.dumps({**PRESET, "format": 1}), "has format 1; this version of mmkeras reads format 2"),
    ],
)
def test_a_file_that_is_no_preset_is_refused(tmp_path, text, message):
    file = tmp_path / "wrong.json"
    file.write_text(text)
    with pytest.raises(MmkerasError, match=message):
        Preset.load(file)


def test_arguments_that_the_system_or_its_part_does_not_take_are_named():
    for arguments, told in (
        ({"initial_temperature": 0.1}, "DualEncoder takes temperature, .*. Received: initial_temperature"),
        ({"temperature": {"least": 0.1}}, "Expected arguments of LearntTemperature: initial, lowest, highest"),
    ):
        with pytest.raises(MmkerasError, match=told):
            DualEncoder.from_preset({**PRESET, "arguments": arguments}, texts=TEXTS)


def test_a_dict_is_checked_as_a_file_is():
    with pytest.raises(MmkerasError, match="lacks model"):
        Preset.load({key: value for key, value in PRESET.items() if key != "model"})


def test_an_unknown_setting_of_the_preprocessor_is_named():
    with pytest.raises(MmkerasError, match="image_preprocessor does not take these settings: .*colour"):
        Preset.load(
            {**PRESET, "image_preprocessor": {"height": 8, "width": 8, "colour": True}}
        ).build_image_preprocessor()


def test_a_preset_over_features_has_no_image_preprocessor():
    without = Preset.load({key: PRESET[key] for key in PRESET if key != "image_preprocessor"})
    assert without.build_image_preprocessor() is None


def test_the_text_preprocessor_learns_a_tokenizer_unless_it_hands_strings_on():
    learnt = Preset.load(PRESET).build_text_preprocessor(TEXTS)
    assert type(learnt) is TextPreprocessor
    assert learnt.sequence_length == 6
    named = {**PRESET, "text_preprocessor": {"kind": "sentencepiece", "vocabulary_size": 60, "sequence_length": 6}}
    assert Preset.load(named).build_text_preprocessor(TEXTS).get_config() == learnt.get_config()
    strings = {**PRESET, "text_preprocessor": {"kind": "strings", "lower": True}}
    preprocessor = Preset.load(strings).build_text_preprocessor(None)  # there is nothing to learn
    assert type(preprocessor) is StringPreprocessor
    assert preprocessor.get_config() == {"lower": True, "strip": False}
    assert preprocessor(["A Dog "]).numpy().tolist() == [b"a dog "]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "string"}, "kind of sentencepiece, strings, published. Received: kind='string'"),
        ({"kind": "strings", "vocabulary_size": 60}, "text_preprocessor does not take these settings: .*vocabulary"),
        ({"vocabulary_size": 60, "lower": True}, "text_preprocessor does not take these settings: "),
        ({"kind": "strings", "strip": "yes"}, "Expected a bool. Received: strip='yes'"),
    ],
)
def test_settings_that_a_text_preprocessor_does_not_take_are_refused(settings, message):
    with pytest.raises(MmkerasError, match=message):
        Preset.load({**PRESET, "text_preprocessor": settings}).build_text_preprocessor(TEXTS)


def test_a_preset_without_a_text_preprocessor_says_so():
    without = {key: PRESET[key] for key in PRESET if key != "text_preprocessor"}
    with pytest.raises(MmkerasError, match="lacks text_preprocessor, the tokenizer's settings"):
        Preset.load(without).build_text_preprocessor(TEXTS)


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


def test_a_tokenizer_that_pads_otherwise_is_for_its_own_tower():
    class Other:
        vocabulary_size, sequence_length, pad_id = 40, 8, 1

    preset = Preset.load("dual_encoder_glyphs")
    with pytest.raises(MmkerasError, match="Expected a tokenizer that pads with id 0: .* Other that pads with 1"):
        preset.build_text_encoder(Other())
