"""Encoders upon published networks: what they make of items, frozen, with a head of their own or the published one."""

import keras
import numpy as np
import pytest

from mmkeras.encoders import pretrained_image_encoder, pretrained_text_encoder
from mmkeras.encoders.checkpoints import Checkpoint, published_model
from mmkeras.encoders.published import pair_arguments, picture_settings
from mmkeras.errors import MmkerasError

from .published_folders import write_bert, write_mobilenet_v2, write_siglip

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), "uint8")
IDS = np.random.default_rng(1).integers(0, 120, (3, 8), "int32")


@pytest.fixture(scope="module")
def siglip(tmp_path_factory):
    return str(write_siglip(tmp_path_factory.mktemp("published") / "siglip"))


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_published_head_gives_the_published_embeddings(siglip):
    """A picture's features are in the shared space of SigLIP; a text's go there by a linear head."""
    published = published_model(Checkpoint(siglip))
    image = pretrained_image_encoder(16, 16, checkpoint=siglip, head="published")
    features = published.image_tower()(PIXELS)["embedding"].numpy()
    np.testing.assert_allclose(image(PIXELS)["embedding"], unit(features), atol=1e-5)
    text = pretrained_text_encoder(120, 8, checkpoint=siglip, head="published")
    kernel, bias = published.text_projection
    features = published.text_tower()(IDS)["embedding"].numpy() @ kernel + bias
    np.testing.assert_allclose(text(IDS)["embedding"], unit(features), atol=1e-5)
    assert text.padding_counts and image.patches.grid == (2, 2) and len(text.blocks) == 2


@pytest.mark.parametrize("head", ["new", "published"])
def test_a_frozen_tower_is_its_features_and_a_head(siglip, head, tmp_path):
    encoder = pretrained_image_encoder(16, 16, checkpoint=siglip, head=head, embedding_dim=6, feature_dropout=0.5)
    backbone = encoder.frozen_backbone()
    features = backbone(PIXELS)
    expected = encoder(PIXELS)["embedding"]
    np.testing.assert_allclose(encoder.feature_head()(features)["embedding"], expected, atol=1e-6)
    trained = {weight.path for weight in encoder.trainable_weights}
    assert trained and all(weight.path not in trained for weight in encoder.pretrained.weights)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_allclose(loaded(PIXELS)["embedding"], expected, atol=1e-6)
    assert loaded.frozen_backbone() is not None
    encoder.pretrained.trainable = True
    assert encoder.frozen_backbone() is None


def test_towers_side_by_side_join_their_features(siglip, tmp_path):
    """Each sees the pictures in its own size: 32 px become 16 for both."""
    other = str(write_siglip(tmp_path / "other"))
    encoder = pretrained_image_encoder(32, 32, checkpoint=[siglip, other], embedding_dim=6)
    backbone = encoder.frozen_backbone()
    assert backbone.output.shape == (None, 32)
    assert set(encoder.output) == {"embedding"}
    large = np.repeat(np.repeat(PIXELS, 2, axis=1), 2, axis=2)
    joined = backbone(large).numpy()
    alone = pretrained_image_encoder(16, 16, checkpoint=siglip, embedding_dim=6).frozen_backbone()
    resized = keras.layers.Resizing(16, 16, "bicubic", antialias=True)(large.astype("float32"))
    np.testing.assert_allclose(joined[:, :16], alone(resized), atol=1e-5)
    np.testing.assert_allclose(joined[:, 16:], joined[:, :16], atol=1e-5)


def test_the_means_of_earlier_maps_stand_behind_those_of_the_last(tmp_path):
    folder = str(write_mobilenet_v2(tmp_path / "mobilenet_v2"))
    tower = published_model(Checkpoint(folder)).image_tower(32, 32)
    encoder = pretrained_image_encoder(
        32, 32, checkpoint=[folder, folder], stages=True, scaling="root", embedding_dim=6
    )
    large = np.repeat(np.repeat(PIXELS, 2, axis=1), 2, axis=2)
    features = encoder.frozen_backbone()(large).numpy()
    assert features.shape == (3, 2 * (1280 + 96 + 160))
    # Side by side each tower sees pictures in its own size.
    resized = keras.layers.Resizing(224, 224, "bicubic", antialias=True)(large.astype("float32"))
    expected = published_model(Checkpoint(folder)).image_tower()(resized)
    np.testing.assert_allclose(features[:, :1280], expected["embedding"], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(features[:, 1280:1536], expected["stages"], rtol=1e-3, atol=1e-4)
    alone = pretrained_image_encoder(32, 32, checkpoint=folder, stages=True, embedding_dim=6)
    assert set(alone.output) == {"tokens", "embedding"} and alone.frozen_backbone().output.shape == (None, 1536)
    np.testing.assert_allclose(
        alone.frozen_backbone()(large), np.concatenate([tower(large)["embedding"], tower(large)["stages"]], axis=1)
    )


def test_mirror_images_are_one_picture(siglip):
    encoder = pretrained_image_encoder(16, 16, checkpoint=siglip, mirrored=True, embedding_dim=6)
    plain = pretrained_image_encoder(16, 16, checkpoint=siglip, embedding_dim=6).frozen_backbone()
    features = encoder.frozen_backbone()(PIXELS)
    expected = (plain(PIXELS) + plain(PIXELS[:, :, ::-1])) / 2
    np.testing.assert_allclose(features, expected, atol=1e-5)
    assert np.abs(plain(PIXELS) - expected).max() > 1e-3
    assert set(encoder.output) == {"embedding"} and encoder.pretrained.trainable is False


def test_a_bag_of_tokens_is_learnt_beside_a_frozen_text_tower(tmp_path):
    bert = str(write_bert(tmp_path / "bert"))
    settings = {"checkpoint": bert, "scaling": "data", "bag": 5, "embedding_dim": 6}
    encoder = pretrained_text_encoder(12, 8, **settings)
    ids = np.array([[2, 5, 6, 3, 0, 0, 0, 0], [2, 5, 7, 7, 3, 0, 0, 0], [2, 6, 8, 9, 3, 0, 0, 0]], "int32")
    features = encoder.frozen_backbone()(ids)
    assert features.dtype == "float32" and np.array_equal(features[:, -8:], ids)
    scaling, bag = sorted(encoder.adapted_layers(), key=lambda layer: layer.name != "input_scaling")
    scaling.adapt(features[:, :-8])
    before = encoder(ids)["embedding"].numpy()
    bag.adapt(np.tile(ids, (3, 1)))
    expected = encoder(ids)["embedding"].numpy()
    assert np.abs(expected - before).max() > 0.1
    assert encoder.is_features(features)
    np.testing.assert_allclose(encoder.feature_head()(features)["embedding"], expected, atol=1e-6)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_allclose(loaded(ids)["embedding"], expected, atol=1e-6)
    trained = {weight.name for weight in encoder.trainable_weights}
    assert trained == {"table", "kernel"}


def test_what_a_pair_was_trained_by_goes_on(siglip):
    arguments = pair_arguments(siglip)
    assert arguments["loss"] == "sigmoid" and arguments["logit_bias"] == {"initial": -4.0}
    assert arguments["temperature"]["initial"] == pytest.approx(0.05)
    assert picture_settings(siglip)["height"] == 16


@pytest.mark.parametrize(
    "build, told",
    [
        (lambda name: pretrained_image_encoder(16, 16), "This preset names no pretrained network"),
        (lambda name: pretrained_image_encoder(16, 16, checkpoint="no/such/place"), "Expected a published model"),
        (lambda name: pretrained_image_encoder(16, 16, 1, checkpoint=name), "Expected channels=3"),
        (lambda name: pretrained_image_encoder(16, 16, checkpoint=name, head="own"), "head of new or published"),
        (lambda name: pretrained_image_encoder(20, 20, checkpoint=name), "patches of 8 px fill"),
        (lambda name: pretrained_image_encoder(16, 16, checkpoint=name, scaling="own"), "scaling of layer, data, root"),
        (lambda name: pretrained_text_encoder(120, 8, checkpoint=name, bag=9), "Expected bag=0"),
        (lambda name: pretrained_text_encoder(121, 8, checkpoint=name), "a tokenizer of at most 120 ids"),
    ],
)
def test_what_does_not_fit_is_told(siglip, build, told):
    with pytest.raises(MmkerasError, match=told):
        build(siglip)


def test_a_real_text_network_has_no_pictures(real_data):
    minilm = str(real_data / "all_minilm_l6_v2")
    with pytest.raises(MmkerasError, match="it has no image encoder"):
        pretrained_image_encoder(224, 224, checkpoint=minilm)
    with pytest.raises(MmkerasError, match="Expected a published pair of encoders"):
        pair_arguments(minilm)
    encoder = pretrained_text_encoder(30522, 32, checkpoint=minilm, depth=1)
    assert encoder.frozen_backbone().output.shape == (None, 384) and len(encoder.blocks) == 1


@pytest.mark.parametrize("name, size", [("efficientnet_lite2", 260), ("mobilenet_v2", 224)])
def test_a_folder_with_numbered_arrays_is_a_network_of_pictures(real_data, name, size):
    folder = real_data / name
    assert picture_settings(str(folder)) == {"height": size, "width": size, "aspect": "squash", "method": "bicubic"}
    published = published_model(Checkpoint(folder))
    assert published.family == name and list(published.checkpoint.digests) == ["weights.npz"]
    encoder = pretrained_image_encoder(64, 64, checkpoint=str(folder), embedding_dim=8)
    assert encoder.frozen_backbone().output.shape == (None, 1280)
    assert published.text_tower() is None
