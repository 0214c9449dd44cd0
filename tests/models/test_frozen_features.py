"""A model whose backbone is frozen takes pixels or features, and is the same model on both."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.models import DualEncoder
from mmkeras.models.preset import Preset
from mmkeras.preprocessing import ImagePreprocessor

from ..encoders.hub_modules import image_encoder, write_pictures
from ..model_checks import config_text
from .conftest import PRESET, TEXTS

IMAGES = np.random.default_rng(5).integers(0, 256, (6, 4, 6, 3), "uint8")


@pytest.fixture
def build(tmp_path, text_preprocessor):
    """A function that builds a `DualEncoder` on a hub module, with dropout."""
    handle = write_pictures(tmp_path)

    def build(**settings):
        keras.utils.set_random_seed(3)
        encoder = image_encoder(handle, embedding_dim=8, dropout=0.2, **settings)
        text = DualEncoder.from_preset(PRESET, text_preprocessor=text_preprocessor).text_encoder
        return DualEncoder(encoder, text, ImagePreprocessor(4, 6), text_preprocessor)

    return build


def fitted(model, batch):
    model.compile(keras.optimizers.AdamW(1e-2), run_eagerly=True)  # to compile takes longer than these steps
    model.fit(tf.data.Dataset.from_tensors(batch).repeat(), steps_per_epoch=4, verbose=0, shuffle=False)
    return model


def features_of(model):
    return model.image_encoder.frozen_backbone()(IMAGES).numpy()


def test_the_embedding_of_features_is_that_of_the_pixels(build, batch):
    model = build()
    features = features_of(model)
    np.testing.assert_allclose(model.encode_image(features), model.encode_image(IMAGES), atol=1e-6)
    token_ids = batch["token_ids"]
    np.testing.assert_allclose(model.match(features, token_ids), model.match(IMAGES, token_ids), atol=1e-6)


def test_training_on_features_is_training_on_pixels(build, batch, tmp_path):
    """Dropout, batch statistics and all; and what is saved is the whole model, as if it had seen pixels."""
    pixels = fitted(build(), {**batch, "image": IMAGES})
    model = build()
    before = config_text(model)
    features = features_of(model)
    fitted(model, {**batch, "image": features})
    for one, other in zip(model.variables, pixels.variables, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5, err_msg=one.path)
    assert config_text(model) == before
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.encode_image(IMAGES), model.encode_image(IMAGES), atol=1e-6)
    np.testing.assert_allclose(loaded.encode_image(features), model.encode_image(features), atol=1e-6)
    assert [weight.shape for weight in loaded.weights] == [weight.shape for weight in build().weights]


def test_features_of_another_length_are_refused(build):
    with pytest.raises(MmkerasError, match=r"Expected an array \(N, 4, 6, 3\), .*, or features \(N, 5\). Rec"):
        build().encode_image(np.zeros((2, 7), "float32"))


def test_a_backbone_that_trains_takes_no_features(build, batch):
    model = build(trainable=True)
    with pytest.raises(MmkerasError, match=r"Expected an array \(N, 4, 6, 3\), as the image encoder takes it. Rec"):
        model.encode_image(np.zeros((2, 5), "float32"))
    with pytest.raises(MmkerasError, match=r"Expected pixels of shape \(N, 4, 6, 3\): this encoder has no froz"):
        model({**batch, "image": np.zeros((6, 5), "float32")})


def test_a_backbone_that_is_unfrozen_later_takes_none_either(build, batch):
    model = build()
    with_features = {**batch, "image": features_of(model)}
    model(with_features)
    for weight in model.image_encoder.get_layer("hub").weights[:1]:
        weight.trainable = True
    model.image_encoder.get_layer("hub").trainable = True
    with pytest.raises(MmkerasError, match="this encoder has no frozen backbone"):
        model(with_features)


def test_a_preset_takes_another_backbone(tmp_path):
    hub = {**PRESET, "image_encoder": {"kind": "hub", "handle": "", "hidden": [6], "embedding_dim": 8}}
    hub |= {"image_preprocessor": {"height": 4, "width": 6}}
    with pytest.raises(MmkerasError, match="This preset names no pretrained network.*backbone=PATH"):
        DualEncoder.from_preset(hub, texts=TEXTS)
    hub["image_encoder"]["output_key"] = "vector"
    preset = Preset.load(hub).with_backbone(write_pictures(tmp_path))
    encoder = preset.build_image_encoder()
    assert encoder.frozen_backbone().output.shape == (None, 5)
    assert DualEncoder.from_preset(preset, texts=TEXTS, image_encoder=encoder).image_encoder is encoder
    network = {**PRESET, "image_encoder": {"kind": "backbone", "backbone": "MobileNetV2"}}
    assert Preset.load(network).with_backbone("own.weights.h5").image_encoder["weights"] == "own.weights.h5"
    assert "weights" not in network["image_encoder"]
    with pytest.raises(MmkerasError, match="kind backbone, hub, vit. Received: backbone='x' for preset .*of kind conv"):
        Preset.load("dual_encoder_glyphs").with_backbone("x")


def test_a_hub_module_stands_in_for_a_network_of_keras(tmp_path):
    folder = write_pictures(tmp_path)
    network = Preset.load("photos")
    encoder = network.with_backbone(folder).image_encoder
    kept = {key: value for key, value in network.image_encoder.items() if key not in ("kind", "backbone", "weights")}
    assert encoder == {"kind": "hub", "handle": folder, **kept} and "feature_dropout" in kept
    assert network.with_backbone("https://example.org/module").image_encoder["kind"] == "hub"
    assert network.with_backbone("own.weights.h5").image_encoder["weights"] == "own.weights.h5"
