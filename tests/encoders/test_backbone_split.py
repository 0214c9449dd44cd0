"""An encoder on a frozen backbone, taken apart: the parts are the whole, and the whole stays as it was."""

import keras
import numpy as np
import pytest

from mmkeras.encoders import build_image_encoder
from mmkeras.errors import MmkerasError

from ..model_checks import config_text
from .hub_modules import IMAGES, image_encoder


def network(**settings):
    return build_image_encoder(
        "backbone", height=32, width=32, backbone="MobileNetV2", hidden=(6,), embedding_dim=5, **settings
    )


def check_parts(encoder, images, features):
    backbone, head = encoder.frozen_backbone(), encoder.feature_head()
    assert backbone.output.shape == (None, features)
    for training in (False, True):
        keras.utils.set_random_seed(1)
        whole = encoder(images, training=False)["embedding"]
        np.testing.assert_allclose(head(backbone(images, training=training))["embedding"], whole, atol=1e-6)
    assert {id(weight) for weight in (*backbone.weights, *head.weights)} == {id(weight) for weight in encoder.weights}
    assert [id(weight) for weight in head.trainable_variables] == [id(one) for one in encoder.trainable_variables]


@pytest.mark.parametrize("output_key", ["map", "vector"])
def test_the_parts_of_an_encoder_on_a_hub_module_are_the_whole(pictures, output_key):
    encoder = image_encoder(pictures, output_key=output_key)
    before = config_text(encoder)
    check_parts(encoder, IMAGES, 5)
    assert config_text(encoder) == before


def test_the_parts_of_an_encoder_on_a_network_are_the_whole():
    encoder = network()
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), "uint8")
    check_parts(encoder, images, 1280)
    encoder.get_layer("backbone").trainable = True
    assert encoder.frozen_backbone() is None


def test_what_trains_the_head_trains_the_encoder(pictures):
    encoder = image_encoder(pictures)
    features, before = encoder.frozen_backbone()(IMAGES), encoder(IMAGES)["embedding"].numpy()
    encoder.feature_head().get_layer("projection").kernel.assign_add(np.eye(6, 5))
    after = encoder(IMAGES)["embedding"].numpy()
    assert np.abs(after - before).max() > 1e-2
    np.testing.assert_allclose(encoder.feature_head()(features)["embedding"], after, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("conv", {"height": 8, "width": 8, "widths": [4]}),
        ("conv", {"height": 8, "width": 8, "widths": [4], "hidden": [4]}),
        ("features", {"features": 5}),
    ],
)
def test_an_encoder_without_a_backbone_has_none(kind, settings):
    encoder = build_image_encoder(kind, embedding_dim=3, **settings)
    assert encoder.frozen_backbone() is None
    with pytest.raises(MmkerasError, match="this image encoder has no frozen backbone"):
        encoder.feature_head()


def test_a_backbone_that_trains_is_not_frozen(pictures):
    encoder = image_encoder(pictures, trainable=True)
    assert encoder.frozen_backbone() is None
    with pytest.raises(MmkerasError, match=r"Expected pixels of shape \(N, 4, 6, 3\)"):
        encoder.feature_head()
