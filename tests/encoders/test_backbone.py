import sys

import keras
import numpy as np
import pytest

from mmkeras.encoders import backbone_image_encoder, build_image_encoder
from mmkeras.encoders.backbone import FAMILY_SCALING, backbones, scaled
from mmkeras.errors import MmkerasError
from mmkeras.models import DualEncoder
from mmkeras.preprocessing import TextPreprocessor

from ..model_checks import check_config, check_gradients, check_saving

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), "uint8")
TEXTS = ["a black dog", "two red birds", "the old green tree", "some white clouds"]


def build(**settings):
    return backbone_image_encoder(**{"height": 32, "width": 32, "hidden": (4,), "embedding_dim": 5, **settings})


@pytest.fixture(scope="module")
def network():
    """Keras' own MobileNetV2 with statistics under which signals keep their size, as in a trained one."""
    network = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
    x = keras.applications.mobilenet_v2.preprocess_input(IMAGES.astype("float32"))
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
    network(x, training=True)
    for norm in norms:
        norm.moving_variance.assign(norm.moving_variance + norm.moving_mean**2)
        norm.moving_mean.assign(0.1 * norm.moving_mean)
    return network


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "own.weights.h5"
    network.save_weights(file)
    return str(file)


def network_module(name):
    return sys.modules[getattr(keras.applications, name).__module__]


def family(name):
    return network_module(name).__name__.rpartition(".")[2]


def network_of(encoder):
    return encoder.get_layer("backbone")


def fit(**settings):
    """Train a dual encoder for two steps; return the backbone's variables before and after."""
    preset = {
        "model": "DualEncoder",
        "image_preprocessor": {"height": 32, "width": 32},
        "image_encoder": {"kind": "backbone", "backbone": "MobileNetV2", "embedding_dim": 5, "hidden": [4], **settings},
        "text_encoder": {"kind": "text_cnn", "width": 4, "kernel_sizes": [1], "filters": 4, "embedding_dim": 5},
    }
    text_preprocessor = TextPreprocessor.train(TEXTS, 60, 4)
    model = DualEncoder.from_preset(preset, text_preprocessor=text_preprocessor)
    model.compile(run_eagerly=True)  # tracing so many layers takes longer than two steps
    network = network_of(model.image_encoder)
    before = {variable.path: variable.numpy() for variable in network.variables}
    batch = {"image": IMAGES, "token_ids": text_preprocessor(TEXTS).numpy(), "image_id": np.arange(4)}
    history = model.fit(batch, batch_size=2, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    return before, {variable.path: variable.numpy() for variable in network.variables}


def test_is_a_sound_model_with_a_frozen_network(tmp_path, weights):
    encoder = build(weights=weights)
    assert {name: value.shape for name, value in encoder(IMAGES).items()} == {
        "tokens": (4, 1, 1280),
        "embedding": (4, 5),
    }
    # The norm before the MLP and its one layer, two variables each, and the projection.
    assert len(encoder.trainable_variables) == 5
    check_config(encoder)
    check_saving(encoder, IMAGES, tmp_path)
    check_gradients(encoder, IMAGES)


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_under_mixed_precision_the_embedding_stays_float32(weights, half):
    """Fifty layers with random kernels magnify roundings, so that only the direction is compared."""
    expected = build(weights=weights)(IMAGES)["tokens"]
    keras.config.set_dtype_policy(f"mixed_{half}")
    received = build(weights=weights)(IMAGES)
    assert {name: value.dtype.name for name, value in received.items()} == {"tokens": half, "embedding": "float32"}
    tokens = np.asarray(received["tokens"], "float32")
    cosine = np.sum(tokens * expected) / np.linalg.norm(tokens) / np.linalg.norm(expected)
    assert cosine > {"float16": 0.99, "bfloat16": 0.9}[half]


def test_a_trained_network_brings_its_variables():
    encoder = build(trainable=True)
    own = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
    assert len(encoder.trainable_variables) == 5 + len(own.trainable_variables)


def test_cells_of_the_feature_map_are_the_tokens():
    assert build(height=64, width=96).output["tokens"].shape == (None, 2 * 3, 1280)


def test_every_network_has_a_family_with_a_scaling():
    assert {family(name) for name in backbones()} == set(FAMILY_SCALING)
    assert len(backbones()) > 35
    assert {"MobileNetV2", "ResNet50", "EfficientNetV2B0", "ConvNeXtTiny", "VGG16"} <= set(backbones())


@pytest.mark.parametrize("name", ["DenseNet121", "MobileNetV2", "ResNet50", "ResNet50V2", "VGG16"])
def test_the_encoder_scales_as_the_family_does(name):
    image = keras.Input((32, 32, 3))
    expected = network_module(name).preprocess_input(IMAGES.astype("float32"))
    received = keras.Model(image, scaled(image, FAMILY_SCALING[family(name)]))(IMAGES)
    assert abs(expected).max() > 0.9
    np.testing.assert_allclose(received, expected, atol=2e-5 if abs(expected).max() > 10 else 1e-6)


def test_every_scaling_is_its_familys():
    pixels = IMAGES[:1, :4, :4].astype("float32")
    for name in {family(name): name for name in backbones()}.values():
        image = keras.Input((4, 4, 3))
        received = keras.Model(image, scaled(image, FAMILY_SCALING[family(name)]) + 0.0)(pixels)
        np.testing.assert_allclose(received, network_module(name).preprocess_input(pixels.copy()), atol=2e-5)


@pytest.mark.parametrize("name", ["ConvNeXtTiny", "EfficientNetB0", "EfficientNetV2B0", "MobileNetV3Small"])
def test_families_without_a_scaling_have_their_own_inside(name):
    """So pictures in 0..255 and not in 0..1 are what they take: the second look black to them."""
    kinds = [type(layer).__name__ for layer in network_of(build(backbone=name)).layers[:5]]
    assert {"Rescaling", "Normalization"} & set(kinds)
    assert FAMILY_SCALING[family(name)] is None


def test_weights_of_a_file_are_the_networks(network, weights):
    """With them the tokens are what Keras' own network makes of its family's `preprocess_input`."""
    expected = network(keras.applications.mobilenet_v2.preprocess_input(IMAGES.astype("float32")))
    tokens = np.asarray(build(weights=weights)(IMAGES)["tokens"])
    np.testing.assert_allclose(tokens, np.reshape(expected, (4, 1, 1280)), atol=1e-4 * tokens.max())
    assert np.abs(tokens - build()(IMAGES)["tokens"]).max() > 0.1 * tokens.max()


def test_training_leaves_a_frozen_network_bit_equal():
    before, after = fit()
    assert any("moving_mean" in path for path in before)
    for path, value in before.items():
        np.testing.assert_array_equal(after[path], value, err_msg=path)


def test_training_changes_a_network_that_is_trained():
    before, after = fit(trainable=True)
    moved = {path for path, value in before.items() if np.abs(after[path] - value).max() > 0}
    for kind in ("kernel", "gamma", "beta", "moving_mean", "moving_variance"):
        assert any(kind in path for path in moved), kind
    assert len(moved) > 0.9 * len(before)


def test_a_frozen_network_drops_nothing_while_the_rest_trains():
    frozen = build(backbone="EfficientNetB0")
    np.testing.assert_array_equal(frozen(IMAGES, training=True)["tokens"], frozen(IMAGES, training=False)["tokens"])
    trained = build(backbone="EfficientNetB0", trainable=True)
    assert np.abs(trained(IMAGES, training=True)["tokens"] - trained(IMAGES, training=False)["tokens"]).max() > 1e-3


def test_a_loaded_model_builds_no_network_anew_and_stays_frozen(tmp_path, monkeypatch):
    encoder = build(backbone="ConvNeXtTiny")  # with layers of Keras that are not in its public names
    encoder.save(tmp_path / "encoder.keras")
    monkeypatch.setattr(keras.applications, "ConvNeXtTiny", None)
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(loaded(IMAGES)["embedding"], encoder(IMAGES)["embedding"])
    np.testing.assert_array_equal(loaded(IMAGES, training=True)["tokens"], encoder(IMAGES)["tokens"])
    assert network_of(loaded).trainable_variables == []


def test_is_built_by_its_kind():
    encoder = build_image_encoder("backbone", backbone="MobileNetV3Small", height=32, width=48, embedding_dim=5)
    assert encoder.output["embedding"].shape == (None, 5)
    assert (encoder.name, encoder.input.name) == ("image_encoder", "image")


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(MmkerasError, match=r"such as MobileNetV2, .*Received: backbone='mobilenet_v2'"):
        build(backbone="mobilenet_v2")
    with pytest.raises(MmkerasError, match="such as .*ResNet50.*Received: backbone='Resnet-50'"):
        build(backbone="Resnet-50")


def test_grey_pictures_are_refused():
    with pytest.raises(MmkerasError, match="Expected channels=3: MobileNetV2 takes RGB. Received: channels=1"):
        build(channels=1)


def test_a_size_that_the_network_does_not_take_is_told():
    with pytest.raises(MmkerasError, match="InceptionV3 cannot be built for pictures of 32 x 32 px: .*75"):
        build(backbone="InceptionV3")


def test_missing_weights_are_told(tmp_path):
    with pytest.raises(MmkerasError, match="None, 'imagenet' or the path of a file. Received: weights='imagnet'"):
        build(weights="imagnet")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(MmkerasError, match="other.weights.h5 holds no weights of MobileNetV2 without its top"):
        build(weights=str(tmp_path / "other.weights.h5"))


def test_a_download_without_network_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("keras.src.backend.config.keras_home", lambda: str(tmp_path))  # not what this machine has
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    with pytest.raises(
        MmkerasError,
        match="not in Keras. cache and could not be .*backbone=PATH.*photos_from_scratch",
    ):
        build(weights="imagenet")
