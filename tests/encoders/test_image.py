import keras
import numpy as np
import pytest

from mmkeras.encoders import build_image_encoder, conv_image_encoder, feature_mlp_encoder
from mmkeras.errors import MmkerasError

from ..model_checks import check_model

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3), "uint8")
FEATURES = np.random.default_rng(0).normal(size=(3, 10)).astype("float32")


def conv(**settings):
    return conv_image_encoder(**{"height": 8, "width": 12, "widths": (4, 6), "embedding_dim": 5, **settings})


def test_conv_is_a_sound_model(tmp_path):
    shapes = {"tokens": (3, 6, 6), "embedding": (3, 5)}
    # Two convolutions, the scale and offset of two norms, the projection.
    check_model(conv, IMAGES, shapes, tmp_path, weights=7, half=("tokens",))


def test_conv_with_hidden_layers_is_a_sound_model(tmp_path):
    shapes = {"tokens": (3, 6, 6), "embedding": (3, 5)}
    check_model(lambda: conv(hidden=(9,)), IMAGES, shapes, tmp_path, weights=7 + 2 + 2, half=("tokens",))
    assert conv(hidden=(9,)).get_layer("projection").input.shape == (None, 9)


def test_features_is_a_sound_model(tmp_path):
    def build():
        return feature_mlp_encoder(10, hidden=(8, 7), embedding_dim=5)

    check_model(build, FEATURES, {"embedding": (3, 5)}, tmp_path, weights=7)


def test_feature_dropout_hides_normalised_features_in_training_only():
    encoder = feature_mlp_encoder(1000, hidden=(), embedding_dim=None, feature_dropout=0.7)
    plain = feature_mlp_encoder(1000, hidden=(), embedding_dim=7, feature_dropout=0.7)
    features = np.random.default_rng(0).normal(size=(4, 1000)).astype("float32")
    np.testing.assert_array_equal(encoder(features, training=True)["embedding"], features)  # passed through as they are
    head = keras.Model(plain.input, plain.get_layer("projection").input)
    normalised = (features - features.mean(axis=1, keepdims=True)) / features.std(axis=1, keepdims=True)
    np.testing.assert_allclose(head(features), normalised, atol=1e-5)
    dropped = np.asarray(head(features, training=True))
    kept = dropped != 0
    assert kept.mean() == pytest.approx(0.3, abs=0.03)
    np.testing.assert_allclose(dropped[kept], normalised[kept] / 0.3, rtol=1e-4)


def test_features_without_a_projection_are_what_they_are(tmp_path):
    """No weight, no norm, no unit length: what a system takes that projects them itself."""
    check_model(lambda: feature_mlp_encoder(10, (), None), FEATURES, {"embedding": (3, 10)}, tmp_path, weights=0)
    np.testing.assert_array_equal(feature_mlp_encoder(10, (), None)(FEATURES)["embedding"], FEATURES)
    assert feature_mlp_encoder(10, (8, 7), None)(FEATURES)["embedding"].shape == (3, 7)


def test_features_may_be_scaled_in_float32_and_the_scale_is_saved(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    model = feature_mlp_encoder(10, (), None, scale=128.0)
    model.save(tmp_path / "encoder.keras")
    for each in (model, keras.models.load_model(tmp_path / "encoder.keras")):
        np.testing.assert_array_equal(each(FEATURES)["embedding"], 128 * FEATURES)
    with pytest.raises(MmkerasError, match="Expected a scale of more than 0. Received: scale=0"):
        feature_mlp_encoder(10, scale=0)
    pictures = conv(hidden=(9,), embedding_dim=None)
    assert pictures(IMAGES)["embedding"].shape == (3, 9)
    assert np.ptp(np.linalg.norm(pictures(IMAGES)["embedding"], axis=1)) > 1e-4


@pytest.mark.parametrize("encoder", ["conv", "features"])
def test_inputs_and_outputs_have_the_names_of_the_seam(encoder):
    model = conv() if encoder == "conv" else feature_mlp_encoder(10)
    assert model.input.name == "image"
    assert model.name == "image_encoder"
    assert set(model.output) == ({"tokens", "embedding"} if encoder == "conv" else {"embedding"})


def test_uint8_and_float_pictures_are_the_same_pictures():
    model = conv()
    for dtype in ("float32", "float64", "int32"):
        np.testing.assert_array_equal(model(IMAGES)["embedding"], model(IMAGES.astype(dtype))["embedding"])


def test_blank_paper_reads_the_same_everywhere():
    """White becomes 0, so the zero padding continues the paper and every cell of a blank map is alike."""
    tokens = np.asarray(conv()(np.full((1, 8, 12, 3), 255, "uint8"))["tokens"])
    np.testing.assert_allclose(tokens, np.broadcast_to(tokens[:, :1], tokens.shape), atol=1e-6)


def test_where_a_stroke_stands_matters():
    left, right = np.full((2, 1, 8, 12, 3), 255, "uint8")
    left[:, :, 2] = right[:, :, 9] = 0
    model = conv()
    assert np.abs(model(left)["embedding"] - model(right)["embedding"]).max() > 1e-2


def test_sides_that_the_stages_do_not_divide_are_rounded_up():
    assert conv(height=9, width=13).output["tokens"].shape == (None, 3 * 4, 6)


def test_grey_pictures():
    assert conv(channels=1)(IMAGES[..., :1])["embedding"].shape == (3, 5)


@pytest.mark.parametrize("kind", ["conv", "features"])
def test_an_encoder_is_built_by_its_kind(kind):
    settings = {"height": 8, "width": 8, "widths": [4]} if kind == "conv" else {"features": 10, "hidden": [4]}
    assert build_image_encoder(kind, embedding_dim=5, **settings).output["embedding"].shape == (None, 5)


def test_an_unknown_kind_is_refused():
    kinds = "backbone, conv, features, hub, pretrained, vit"
    with pytest.raises(MmkerasError, match=f"kind of {kinds}. Received: kind='resnet'"):
        build_image_encoder("resnet")


def test_strides_decide_the_number_of_tokens():
    assert conv_image_encoder(8, 8, widths=(4, 6)).output["tokens"].shape == (None, 4, 6)
    assert conv_image_encoder(8, 8, widths=(4, 6), strides=(2, 1)).output["tokens"].shape == (None, 16, 6)


def test_one_stride_a_stage():
    with pytest.raises(MmkerasError, match=r"Expected 2 strides.*strides=\(2,\)"):
        conv_image_encoder(8, 8, widths=(4, 6), strides=(2,))
