"""Which folder becomes what, and what is refused; what towers compute is compared in tests/pytorch."""

import json

import numpy as np
import pytest

from mmkeras.encoders.checkpoints import Checkpoint, published_model
from mmkeras.encoders.weight_places import fill, norm_places
from mmkeras.errors import MmkerasError

from .folders import BERT, TEXT, TINY, VISION, clip_arrays, write_folder

pytest.importorskip("safetensors.numpy", reason="needs safetensors: pip install 'mmkeras[pretrained]'")
CLIP = {"model_type": "clip", "vision_config": VISION, "text_config": {**TEXT, "eos_token_id": 19}}


def model_of(folder, config, arrays=None, **files):
    return published_model(Checkpoint(write_folder(folder, config, arrays, **files)))


@pytest.mark.parametrize(
    "kind, reason",
    [
        ("distilbert", "MiniLM of model_type 'bert'"),
        ("roberta", "counts its positions"),
        ("siglip2", "NaFlex"),
        ("t5", "'t5'$"),
        (None, "None$"),
    ],
)
def test_other_families_are_refused_by_name(kind, reason, tmp_path):
    families = "bert, clip, dinov2, dinov2_with_registers, siglip, vit"
    with pytest.raises(MmkerasError, match=f"model_type of {families} in .*Received: model_type=.*{reason}"):
        model_of(tmp_path, {"model_type": kind})


def test_a_clip_is_two_towers_with_projections(tmp_path):
    model = model_of(tmp_path, CLIP, clip_arrays())
    image, text = model.image_tower(), model.text_tower(sequence_length=6, depth=1)
    assert image.embedding_dim == text.embedding_dim == 8 and image.takes == "pixels"
    assert (
        image.input.shape == (None, 16, 16, 3) and len(text.blocks) == 1 and text.token_embedding.sequence_length == 6
    )
    kernel, bias = model.image_projection
    np.testing.assert_array_equal(kernel, clip_arrays()["visual_projection.weight"].T)
    assert bias is None and kernel.dtype == "float32"
    assert model.temperature == pytest.approx(np.exp(-clip_arrays()["logit_scale"]))
    larger = model.image_tower(24, 32)
    assert larger.patches.grid == (3, 4)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"vision_model.pre_layrnorm.bias": None}, "Expected pre_layrnorm.bias in vision_model of"),
        ({"vision_model.encoder.layers.2.mlp.fc1.bias": np.zeros(3)}, "no place for encoder.layers.2.mlp.fc1.bias"),
        ({"vision_model.post_layernorm.bias": np.zeros(9)}, r"post_layernorm.bias of shape \(8,\).*Received: \(9,\)"),
        (
            {"vision_model.embeddings.position_embedding.weight": np.zeros((7, 8))},
            r"shape \(5, 8\).*Received: \(7, 8\)",
        ),
        (
            {"vision_model_teacher.x": np.zeros(2), "y": np.zeros(2)},
            "family clip in .* Received: vision_model_teacher.x, y",
        ),
    ],
)
def test_what_does_not_fit_is_told(change, message, tmp_path):
    changed = {**clip_arrays(), **change}
    arrays = {name: np.asarray(value, "float32") for name, value in changed.items() if value is not None}
    model = model_of(tmp_path, CLIP, arrays)
    with pytest.raises(MmkerasError, match=message):
        model.image_tower()


def test_a_partial_load_leaves_an_encoder_as_it_was(tmp_path):
    tower = model_of(tmp_path, CLIP, clip_arrays()).image_tower()
    before = [weight.numpy() for weight in tower.weights]
    places = norm_places("first", tower.norms[0]) + norm_places("last", tower.norms[1])
    arrays = {f"first.{name}": np.zeros(8) for name in ("weight", "bias")}
    for wrong in (arrays, arrays | {"last.weight": np.zeros(8), "last.bias": np.zeros(7)}):
        with pytest.raises(MmkerasError, match="Expected last.bias"):
            fill(places, wrong, "a file")
    for weight, value in zip(tower.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize(
    "ask, message",
    [
        (lambda model: model.image_tower(20, 16), "patches of 8 px fill. Received: height=20, width=16"),
        (lambda model: model.image_tower(0), "Received: height=0, width=16"),
        (lambda model: model.text_tower(0), "Received: sequence_length=0"),
        (lambda model: model.text_tower(10), "sequence_length of 1 to 9.*Received: sequence_length=10"),
        (lambda model: model.text_tower(depth=3), "depth of 1 to 2 blocks.*Received: depth=3"),
        (lambda model: model.text_tower(depth=0), "Received: depth=0"),
    ],
)
def test_more_than_was_published_is_refused(ask, message, tmp_path):
    with pytest.raises(MmkerasError, match=message):
        ask(model_of(tmp_path, CLIP, clip_arrays()))


def test_a_second_dict_of_settings_counts(tmp_path):
    """As in openai/clip-vit-large-patch14, whose first one has what transformers made of it."""
    config = {"model_type": "clip", "text_config": {**TEXT, "hidden_act": "gelu"}, "text_config_dict": TEXT}
    assert model_of(tmp_path, config).text["hidden_act"] == "quick_gelu"
    del config["text_config_dict"]
    assert model_of(tmp_path, config).text["hidden_act"] == "gelu"
    assert model_of(tmp_path, {"model_type": "clip", "text_config_dict": None}).text["hidden_size"] == 512


@pytest.mark.parametrize(
    "config, message",
    [
        ({"model_type": "siglip", "vision_config": {"vision_use_head": False}}, "vision_use_head=True"),
        ({"model_type": "dinov2", **TINY, "use_swiglu_ffn": True}, "use_swiglu_ffn=False: nothing else of the family"),
        ({"model_type": "vit", "qkv_bias": False}, "qkv_bias=True"),
        ({**BERT, "position_embedding_type": "relative_key"}, "position_embedding_type='absolute'"),
        ({**BERT, "pad_token_id": 1}, "pad_token_id=0"),
    ],
)
def test_other_settings_of_a_family_are_refused(config, message, tmp_path):
    with pytest.raises(MmkerasError, match=message):
        model_of(tmp_path, config)


def test_an_unknown_activation_is_refused(tmp_path):
    with pytest.raises(MmkerasError, match="activation of gelu, .* Received: 'swish'"):
        model_of(tmp_path, {**BERT, "hidden_act": "swish"}).text_tower()


def test_siglip_takes_all_its_positions_or_none(tmp_path):
    model = model_of(tmp_path, {"model_type": "siglip", "text_config": TEXT, "vision_config": VISION})
    with pytest.raises(MmkerasError, match="sequence_length of 9: .* Received: sequence_length=8"):
        model.text_tower(8)


# --- BERT and sentence-transformers ---

MODULES = [{"type": f"sentence_transformers.models.{name}"} for name in ("Transformer", "Pooling", "Normalize")]


def test_a_folder_of_sentence_transformers_says_how_it_pools(tmp_path):
    plain = model_of(tmp_path / "plain", BERT)
    assert (plain.pooling, plain.normalised, plain.sequence_length) == ("mean", False, 9)
    (tmp_path / "bge" / "1_Pooling").mkdir(parents=True)
    modes = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "word_embedding_dimension": 8}
    write_folder(tmp_path / "bge", BERT, modules=MODULES, sentence_bert_config={"max_seq_length": 7})
    write_pooling(tmp_path / "bge", modes)
    model = published_model(Checkpoint(tmp_path / "bge"))
    assert (model.pooling, model.normalised, model.sequence_length) == ("class", True, 7)
    write_pooling(tmp_path / "bge", {"pooling_mode": "mean"})
    assert published_model(Checkpoint(tmp_path / "bge")).pooling == "mean"
    write_pooling(tmp_path / "bge", {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True})
    with pytest.raises(MmkerasError, match="Received: cls_token, mean_tokens in 1_Pooling"):
        published_model(Checkpoint(tmp_path / "bge"))
    with pytest.raises(MmkerasError, match="Transformer, Pooling and Normalize. Received: Dense"):
        model_of(tmp_path / "dense", BERT, modules=[*MODULES, {"type": "sentence_transformers.models.Dense"}])


def write_pooling(folder, content):
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(content))


# --- How pictures are made ---

CLIP_PROCESSOR = {
    "crop_size": 224,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 224,
}
DINOV2_PROCESSOR = CLIP_PROCESSOR | {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}
SIGLIP2_PROCESSOR = {"size": {"height": 384, "width": 384}, "resample": 2, "rescale_factor": 0.00392156862745098}


@pytest.mark.parametrize(
    "kind, files, expected",
    [
        ("clip", {}, (224, "crop", "bicubic")),
        ("clip", {"preprocessor_config": CLIP_PROCESSOR}, (224, "crop", "bicubic")),
        ("dinov2", {"preprocessor_config": DINOV2_PROCESSOR}, (224, "crop", "bicubic")),
        ("siglip", {}, (224, "squash", "bicubic")),
        ("siglip", {"preprocessor_config": SIGLIP2_PROCESSOR}, (384, "squash", "bilinear")),
        ("siglip", {"processor_config": {"image_processor": SIGLIP2_PROCESSOR}}, (384, "squash", "bilinear")),
        ("vit", {"preprocessor_config": {"size": 224, "image_mean": [0.1, 0.2, 0.3]}}, (224, "squash", "bilinear")),
    ],
)
def test_pictures_are_made_as_the_folder_says(kind, files, expected, tmp_path):
    model = model_of(tmp_path, {"model_type": kind}, **files)
    size, aspect, method = expected
    arguments = {"height": size, "width": size, "aspect": aspect, "method": method, "antialias": True}
    assert model.image_preprocessing == arguments
    if kind == "vit":
        assert model.image_settings.mean == [0.1, 0.2, 0.3]
    assert model_of(tmp_path / "bert", BERT).image_preprocessing == {}


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"size": {"longest_edge": 224}}, "size of height and width and no crop of it, or a shortest_edge"),
        ({"size": {"height": 256, "width": 256}}, "crop_size={'height': 224, 'width': 224}"),
        ({"do_center_crop": False}, "do_center_crop=False"),
        ({"resample": 5}, "Received: resample=5"),
        ({"do_rescale": False}, "divided by 255"),
        ({"rescale_factor": 1 / 127.5}, "divided by 255"),
    ],
)
def test_pictures_that_cannot_be_made_so_are_refused(settings, message, tmp_path):
    model = model_of(tmp_path, {"model_type": "clip"}, preprocessor_config=CLIP_PROCESSOR | settings)
    with pytest.raises(MmkerasError, match=message):
        model.image_preprocessing  # noqa: B018
