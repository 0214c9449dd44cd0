"""Towers of published families compute what transformers computes in PyTorch, of the folders that it writes."""

import json

import keras
import numpy as np
import pytest

from mmkeras.encoders.checkpoints import Checkpoint, published_model

from .installed import import_torch, import_transformers

torch = import_torch()

TINY = {"hidden_size": 12, "intermediate_size": 20, "num_hidden_layers": 2, "num_attention_heads": 2}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), "uint8")
CLIP_TEXT = {**TINY, "vocab_size": 30, "max_position_embeddings": 9, "eos_token_id": 29}
TEXTS = np.array([[27, 5, 0, 7, 29, 29, 29], [27, 3, 29, 1, 2, 4, 29], [27, 1, 2, 0, 4, 5, 29]])


def scattered(model):
    """The model with random weights, biases and norms too, large enough that attention is far from uniform."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def written(model, folder):
    """What our package makes of the folder that transformers writes."""
    model.save_pretrained(folder)
    return published_model(Checkpoint(folder))


def pixels(images, settings):
    scaled = (images / 255.0 - np.array(settings.mean)) / np.array(settings.deviation)
    return torch.tensor(scaled.transpose(0, 3, 1, 2), dtype=torch.float32)


def assert_close(ours, theirs, largest=1e-4):
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape and np.abs(theirs).max() > 0.3
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=largest)


def projected(pooled, projection):
    kernel, bias = projection
    return np.asarray(pooled) @ kernel + (0 if bias is None else bias)


def assert_saved_alike(tower, inputs, folder):
    """A tower that was saved and loaded, and one as a SavedModel of its own graph, say the same."""
    expected = tower(inputs)
    tower.save(folder / "tower.keras")
    loaded = keras.saving.load_model(folder / "tower.keras")
    np.testing.assert_array_equal(loaded(inputs)["tokens"], expected["tokens"])
    assert loaded.padding_counts == tower.padding_counts
    tower.export(folder / "exported", verbose=False)
    served = keras.layers.TFSMLayer(folder / "exported", call_endpoint="serve")(inputs)
    np.testing.assert_allclose(served["embedding"], expected["embedding"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("end_id", [29, 2], ids=["an end id", "the highest id"])
def test_clip(end_id, tmp_path):
    transformers = import_transformers()
    vision = {**TINY, "image_size": 16, "patch_size": 8}
    config = transformers.CLIPConfig(
        text_config={**CLIP_TEXT, "eos_token_id": end_id}, vision_config=vision, projection_dim=5
    )
    theirs = scattered(transformers.CLIPModel(config))
    ours = written(theirs, tmp_path)
    assert (ours.family, ours.loss, ours.logit_bias, ours.sequence_length) == ("clip", "info_nce", None, 9)
    assert ours.temperature == pytest.approx(float(torch.exp(-theirs.logit_scale)), rel=1e-6)
    assert ours.image_preprocessing["height"] == 16 and ours.image_preprocessing["aspect"] == "crop"
    for height, width in ((16, 16), (24, 40)):
        image = ours.image_tower(height, width)(IMAGES[:, :height, :width])
        given = pixels(IMAGES[:, :height, :width], ours.image_settings)
        expected = theirs.vision_model(given, interpolate_pos_encoding=True)
        assert_close(image["tokens"], theirs.vision_model.post_layernorm(expected.last_hidden_state))
        assert_close(image["embedding"], expected.pooler_output)
        features = theirs.get_image_features(given, interpolate_pos_encoding=True).pooler_output
        assert_close(projected(image["embedding"], ours.image_projection), features)

    tower = ours.text_tower()
    text, expected = tower(TEXTS), theirs.text_model(torch.tensor(TEXTS))
    assert_close(text["tokens"], expected.last_hidden_state)
    assert_close(text["embedding"], expected.pooler_output)
    features = theirs.get_text_features(torch.tensor(TEXTS)).pooler_output
    assert_close(projected(text["embedding"], ours.text_projection), features)
    mask = [[True] * 5 + [False] * 2, [True] * 3 + [False] * 4, [True] * 7]
    np.testing.assert_array_equal(tower.mask_of_tokens(TEXTS), mask)
    assert not tower.padding_counts
    assert_saved_alike(tower, TEXTS.astype("int32"), tmp_path)


@pytest.mark.parametrize("vocabulary", [30, 256_000], ids=["siglip", "siglip2"])
def test_siglip(vocabulary, tmp_path):
    transformers = import_transformers()
    # As in so400m at 384 px, patches do not fill the published size: 18 px are two patches and 2 px that nobody sees.
    vision = {**TINY, "image_size": 18, "patch_size": 8}
    text = {**TINY, "vocab_size": vocabulary, "max_position_embeddings": 7, "projection_size": 12}
    theirs = scattered(transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=vision)))
    ours = written(theirs, tmp_path)
    assert (ours.family, ours.loss) == ("siglip" if vocabulary == 30 else "siglip2", "sigmoid")
    assert ours.temperature == pytest.approx(float(torch.exp(-theirs.logit_scale)), rel=1e-6)
    assert ours.logit_bias == pytest.approx(float(theirs.logit_bias), rel=1e-6)
    assert ours.image_projection is None and ours.image_preprocessing["aspect"] == "squash"
    for height, width in ((18, 18), (16, 32)):
        tower = ours.image_tower(height, width)
        given = pixels(IMAGES[:, :height, :width], ours.image_settings)
        expected = theirs.vision_model(given, interpolate_pos_encoding=True)
        assert_close(tower(IMAGES[:, :height, :width])["tokens"], expected.last_hidden_state)
        assert_close(tower(IMAGES[:, :height, :width])["embedding"], expected.pooler_output)
    assert_saved_alike(tower, IMAGES[:, :16, :32].astype("float32"), tmp_path)

    tower = ours.text_tower()
    encoded, expected = tower(TEXTS), theirs.text_model(torch.tensor(TEXTS))
    assert_close(encoded["tokens"], expected.last_hidden_state)
    assert_close(projected(encoded["embedding"], ours.text_projection), expected.pooler_output)
    assert tower.padding_counts and np.all(tower.mask_of_tokens(TEXTS))
    assert_saved_alike(tower, TEXTS.astype("int32"), tmp_path)


@pytest.mark.parametrize("registers", [0, 3])
def test_dinov2(registers, tmp_path):
    """Positions of 5 x 5 patches, shrunk and grown; with registers the kernel widens where they shrink."""
    transformers = import_transformers()
    settings = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2}
    settings |= {"image_size": 40, "patch_size": 8}
    kind = "Dinov2WithRegisters" if registers else "Dinov2"
    settings |= {"num_register_tokens": registers} if registers else {}
    theirs = scattered(getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**settings)))
    ours = written(theirs, tmp_path)
    assert ours.family == "dinov2" and ours.text_tower() is None and ours.temperature is None
    for height, width in ((40, 40), (16, 24), (56, 40)):
        images = np.tile(IMAGES, (1, 2, 1, 1))[:, :height, :width]
        tower = ours.image_tower(height, width)
        expected = theirs(pixels(images, ours.image_settings))
        assert_close(tower(images)["tokens"], expected.last_hidden_state)
        assert_close(tower(images)["embedding"], expected.pooler_output)
    assert_saved_alike(tower, images.astype("float32"), tmp_path)
    # The published classifiers have the model within.
    classifier = getattr(transformers, f"{kind}ForImageClassification")(theirs.config)
    again = written(scattered(classifier), tmp_path / "classifier").image_tower(16, 24)(IMAGES[:, :16, :24])
    inner = getattr(classifier, classifier.base_model_prefix)(pixels(IMAGES[:, :16, :24], ours.image_settings))
    assert_close(again["tokens"], inner.last_hidden_state)


def test_vit(tmp_path):
    transformers = import_transformers()
    config = transformers.ViTConfig(**TINY, image_size=16, patch_size=8)
    for kind in ("ViTModel", "ViTForImageClassification"):
        theirs = scattered(getattr(transformers, kind)(config))
        ours = written(theirs, tmp_path / kind)
        inner = getattr(theirs, "vit", theirs)
        for height, width in ((16, 16), (24, 40)):
            images = IMAGES[:, :height, :width]
            given = pixels(images, ours.image_settings)
            expected = inner(given, interpolate_pos_encoding=True).last_hidden_state
            encoded = ours.image_tower(height, width)(images)
            assert_close(encoded["tokens"], expected)
            assert_close(encoded["embedding"], expected[:, 0])


@pytest.mark.parametrize("activation, pooling", [("gelu", "cls"), ("gelu_new", "mean"), ("relu", None)])
def test_bert(activation, pooling, tmp_path):
    transformers = import_transformers()
    config = transformers.BertConfig(
        **{**TINY, "num_hidden_layers": 3}, vocab_size=30, max_position_embeddings=9, hidden_act=activation
    )
    theirs = scattered(transformers.BertModel(config))
    if pooling:
        (tmp_path / "1_Pooling").mkdir()
        modes = {"pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean"}
        (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    ours = written(theirs, tmp_path)
    ids = np.array([[4, 9, 5, 7, 3], [8, 4, 2, 0, 0], [6, 0, 0, 0, 0]])
    mask = ids != 0
    tokens = theirs(torch.tensor(ids), torch.tensor(mask)).last_hidden_state
    encoded = ours.text_tower()(ids)
    assert_close(np.asarray(encoded["tokens"])[mask], tokens[torch.tensor(mask)], 1e-5)
    weight = torch.tensor(mask)[:, :, None]
    expected = tokens[:, 0] if pooling == "cls" else (tokens * weight).sum(1) / weight.sum(1)
    assert_close(encoded["embedding"], expected, 1e-5)
    # The first blocks alone, and fewer positions.
    theirs.encoder.layer = theirs.encoder.layer[:2]
    fewer = theirs(torch.tensor(ids), torch.tensor(mask)).last_hidden_state
    assert_close(np.asarray(ours.text_tower(5, depth=2)(ids)["tokens"])[mask], fewer[torch.tensor(mask)], 1e-5)


def test_minilm_is_what_transformers_makes_of_it(real_data, tmp_path):
    """The published all-MiniLM-L6-v2 through Keras, a saved file and a SavedModel."""
    transformers = import_transformers()
    folder = real_data / "all_minilm_l6_v2"
    ours, theirs = published_model(Checkpoint(folder)), transformers.BertModel.from_pretrained(folder).eval()
    ids = np.random.default_rng(0).integers(1000, 30_000, (6, 12))
    ids[:, 0], ids[1, 6:], ids[4, 3:] = 101, 0, 0
    mask = ids != 0
    tokens = theirs(torch.tensor(ids), torch.tensor(mask)).last_hidden_state
    tower = ours.text_tower(sequence_length=16)
    encoded = tower(ids)
    assert_close(np.asarray(encoded["tokens"])[mask], tokens[torch.tensor(mask)], 1e-5)
    weight = torch.tensor(mask)[:, :, None]
    sentences = torch.nn.functional.normalize((tokens * weight).sum(1) / weight.sum(1), dim=-1).detach().numpy()
    unit = encoded["embedding"] / np.linalg.norm(encoded["embedding"], axis=-1, keepdims=True)
    np.testing.assert_allclose(unit, sentences, rtol=0, atol=1e-5)
    assert_saved_alike(tower, ids.astype("int32"), tmp_path)


@pytest.mark.slow
def test_base_sizes_are_what_transformers_makes_of_them(tmp_path):
    """CLIP ViT-B/32 and SigLIP base, with the weights that their authors begin with."""
    transformers = import_transformers()
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), "uint8")
    clip, siglip = transformers.CLIPModel(transformers.CLIPConfig()), None
    ours = written(clip.eval(), tmp_path / "clip")
    given = pixels(images, ours.image_settings)
    assert_close(
        projected(ours.image_tower()(images)["embedding"], ours.image_projection),
        clip.get_image_features(given).pooler_output,
    )
    siglip = transformers.SiglipModel(transformers.SiglipConfig()).eval()
    ours = written(siglip, tmp_path / "siglip")
    given = pixels(images, ours.image_settings)
    assert_close(ours.image_tower()(images)["embedding"], siglip.get_image_features(given).pooler_output)
    ids = np.random.default_rng(0).integers(0, 32_000, (2, 64))
    expected = siglip.get_text_features(torch.tensor(ids)).pooler_output
    assert_close(projected(ours.text_tower()(ids)["embedding"], ours.text_projection), expected)
