"""What an `Encoder` says of itself; and one on a frozen backbone, taken apart: the parts are the whole."""

import keras
import numpy as np
import pytest

from mmkeras.encoders import Encoder, build_image_encoder, build_text_encoder
from mmkeras.encoders.backbone import Backbone
from mmkeras.errors import MmkerasError

from ..model_checks import config_text
from .hub_modules import IMAGES, image_encoder

SMALL = {"heads": 2, "depth": 2, "embedding_dim": 6}
TEXT = {"vocabulary_size": 20, "sequence_length": 5}
FEATURES = {"features": 5, "hidden": [4], "embedding_dim": 6}


@pytest.mark.parametrize(
    "build, settings, takes, parts",
    [
        (
            build_image_encoder,
            {"kind": "vit", "height": 8, "width": 12, "patch": 4, "token_width": 8, **SMALL},
            "pixels",
            {"patches", "norm", "blocks"},
        ),
        (build_image_encoder, {"kind": "conv", "height": 8, "width": 8, "widths": [4]}, "pixels", set()),
        (build_image_encoder, {"kind": "features", **FEATURES}, "features", set()),
        (
            build_text_encoder,
            {"kind": "bert", "width": 8, **TEXT, **SMALL},
            "token_ids",
            {"token_embedding", "class_token", "norm", "blocks"},
        ),
        (
            build_text_encoder,
            {"kind": "transformer", "width": 8, **TEXT, **SMALL},
            "token_ids",
            {"token_embedding", "norm", "blocks"},
        ),
        (build_text_encoder, {"kind": "gru", "width": 8, "units": 4, **TEXT}, "token_ids", {"token_embedding"}),
        (build_text_encoder, {"kind": "features", **FEATURES}, "features", set()),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_it_says_what_it_takes_and_holds_and_a_loaded_one_says_the_same(build, settings, takes, parts, tmp_path):
    encoder = build(**settings)
    encoder.save(tmp_path / "encoder.keras")
    for one in (encoder, keras.saving.load_model(tmp_path / "encoder.keras")):
        assert type(one) is Encoder and one.takes == takes
        names = ("patches", "token_embedding", "class_token", "norm", "blocks", "pretrained")
        assert {name for name in names if getattr(one, name)} == parts
        assert one.embedding_dim == one.output["embedding"].shape[-1] == one.vectors["embedding"].shape[-1]
        assert len(one.blocks) == (2 if "blocks" in parts else 0)
        if "patches" in parts:
            assert one.patches.grid == (2, 3)


def test_a_model_that_is_no_encoder_is_refused_with_what_to_do():
    from mmkeras.models import DualEncoder

    symbol = keras.Input((5,), name="image")
    plain = keras.Model(symbol, {"embedding": keras.layers.Dense(6)(symbol)})
    text = build_text_encoder("features", **FEATURES)
    with pytest.raises(MmkerasError, match=r"Expected image_encoder as an Encoder: .*Encoder\(inputs, outputs\)"):
        DualEncoder(plain, text)
    assert DualEncoder(Encoder(plain.input, plain.output), text).embedding_dim == 6


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
    with pytest.raises(MmkerasError, match="this encoder has no frozen backbone"):
        encoder.feature_head()


def test_a_backbone_that_trains_is_not_frozen(pictures):
    encoder = image_encoder(pictures, trainable=True)
    assert encoder.frozen_backbone() is None
    with pytest.raises(MmkerasError, match=r"Expected pixels of shape \(N, 4, 6, 3\)"):
        encoder.feature_head()


def test_what_a_backbone_holds_is_the_encoders_too(tmp_path):
    tower = build_text_encoder("transformer", width=8, pooling="last", **TEXT, **SMALL | {"embedding_dim": None})
    backbone = Backbone(tower.inputs, tower.output, name="backbone")
    token_ids = keras.Input(tower.input.shape[1:], dtype="int32", name="token_ids")
    features = backbone(token_ids)
    outputs = {"tokens": features["tokens"], "embedding": keras.layers.Dense(3)(features["embedding"])}
    Encoder(token_ids, outputs).save(tmp_path / "encoder.keras")
    encoder = keras.saving.load_model(tmp_path / "encoder.keras")
    assert isinstance(encoder.pretrained, Backbone) and encoder.padding_counts
    assert len(encoder.blocks) == 2 and encoder.token_embedding.vocabulary_size == 20
    assert np.asarray(encoder.mask_of_tokens(np.zeros((1, 5), "int32"))).all()
