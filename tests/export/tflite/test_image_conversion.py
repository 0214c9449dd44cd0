"""Converted image encoders: builtin operators, Keras' own answers, and what is refused."""

import zipfile

import keras
import numpy as np
import pytest

from mmkeras.encoders import Encoder
from mmkeras.encoders.image import build_image_encoder
from mmkeras.encoders.published import picture_settings
from mmkeras.errors import MmkerasError
from mmkeras.export.tflite.conversion import convert
from mmkeras.export.tflite.execution import NetworkRunner
from mmkeras.export.tflite.golden import golden_pictures
from mmkeras.export.tflite.operators import custom_operators, operators, parsed
from mmkeras.export.tflite.release import LEAST_COSINE
from mmkeras.preprocessing import ImagePreprocessor

from ...hard_pictures import photograph

SIZES = {
    "conv": {"height": 32, "width": 32, "widths": [8, 16]},
    "vit": {"height": 32, "width": 48, "patch": 16, "depth": 1, "token_width": 16, "heads": 2},
    "backbone": {"height": 64, "width": 64, "backbone": "MobileNetV2", "hidden": [24]},
}


def build(kind):
    """An encoder with random weights through which a photograph's signal comes: He's variances, settled statistics."""
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(1)
    encoder = build_image_encoder(kind, embedding_dim=16, **SIZES[kind])
    for layer in encoder.pretrained.layers if encoder.pretrained else ():
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            kernel, *others = layer.get_weights()
            fan_in = np.prod(kernel.shape[:2] if isinstance(layer, keras.layers.DepthwiseConv2D) else kernel.shape[:3])
            layer.set_weights([random.normal(0, np.sqrt(2 / fan_in), kernel.shape), *others])
    if encoder.pretrained:
        encoder.pretrained.trainable = True
    settle(encoder, photographs(encoder, 40, seed=500))
    return encoder


def settle(encoder, pixels):
    """Give batch normalisations the statistics of some pictures, a frozen network's apart."""
    layers = encoder.layers if encoder.pretrained is None else [*encoder.layers, *encoder.pretrained.layers]
    for layer in layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    encoder(pixels.astype("float32"), training=True)


def fill(network, weights):
    """Give keras.applications' MobileNetV2 weights with the batch normalisation folded in."""
    layers = [layer for layer in network.layers if layer.get_weights()]
    with np.load(weights) as arrays:
        for number, (convolution, norm) in enumerate(zip(layers[::2], layers[1::2], strict=True)):
            (kernel,) = convolution.get_weights()
            bias = arrays[f"{number:02d}_b"]
            convolution.set_weights([arrays[f"{number:02d}_w"].reshape(kernel.shape)])
            ones = np.ones_like(bias)
            norm.set_weights([ones * np.sqrt(1 + norm.epsilon), bias, 0 * ones, ones])


def cosines(network, encoder, pixels):
    received = NetworkRunner(network).encode(pixels)
    return np.sum(received * answers(encoder, pixels), axis=1) / np.linalg.norm(received, axis=1)


def preprocessor_of(encoder):
    return ImagePreprocessor(*encoder.input.shape[1:3])


def photographs(encoder, count, seed=0):
    height, width = encoder.input.shape[1:3]
    return np.stack([np.asarray(photograph(height, width, seed + number)) for number in range(count)])


def answers(encoder, pixels):
    return encoder(pixels.astype("float32"), training=False)["embedding"].numpy()


@pytest.mark.parametrize("kind", SIZES)
def test_every_kind_of_image_encoder_has_builtin_operators_and_keras_answers(kind):
    encoder = build(kind)
    network = convert(encoder, preprocessor_of(encoder), "pixels", "float32")
    assert custom_operators(network) == set()
    model = parsed(network)
    (graph,) = model.subgraphs
    (taken,) = graph.inputs
    assert graph.tensors[taken].shape.tolist() == [1, *encoder.input.shape[1:]]
    assert graph.tensors[taken].type == 3  # uint8 of TFLite's schema
    pixels = photographs(encoder, 4)
    np.testing.assert_allclose(NetworkRunner(network).encode(pixels), answers(encoder, pixels), atol=1e-4)


@pytest.mark.parametrize("precision", ["float16", "dynamic", "int8"])
def test_smaller_weights_answer_nearly_as_keras(precision):
    encoder = build("conv")
    training, pixels = photographs(encoder, 40), photographs(encoder, 20, seed=100)
    network = convert(encoder, preprocessor_of(encoder), "pixels", precision, training)
    assert cosines(network, encoder, pixels).min() > LEAST_COSINE["image"][precision]
    assert convert(encoder, preprocessor_of(encoder), "pixels", precision, training) == network


def flickr(real_data, preprocessor):
    """Pixels of photographs: 150 by which precisions are set up, and 40 others."""
    with zipfile.ZipFile(real_data / "flickr8k" / "images_160.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        pixels = preprocessor.load([archive.read(name) for name in [*names[:150], *names[-40:]]])
    return pixels[:150], pixels[150:]


@pytest.mark.slow
@pytest.mark.parametrize("precision", LEAST_COSINE["image"])
def test_a_published_network_answers_nearly_as_keras(precision, real_data):
    keras.utils.set_random_seed(1)
    encoder = build_image_encoder("backbone", height=224, width=224, hidden=[], embedding_dim=256)
    fill(encoder.pretrained, real_data / "mobilenet_v2" / "weights.npz")
    training, pixels = flickr(real_data, ImagePreprocessor(224, 224, method="bicubic"))
    settle(encoder, training[::3])
    network = convert(encoder, preprocessor_of(encoder), "pixels", precision, training)
    assert custom_operators(network) == set()
    assert cosines(network, encoder, pixels).min() > LEAST_COSINE["image"][precision]


@pytest.mark.slow
@pytest.mark.parametrize("precision, least, most_bytes", [("dynamic", 0.975, 5.5e6), ("int8", 0.98, 5.7e6)])
@pytest.mark.parametrize("scaling", ["layer", "root"])
def test_efficientnet_lite2_behind_an_untrained_head_is_close_to_keras(
    scaling, precision, least, most_bytes, real_data
):
    keras.utils.set_random_seed(1)
    folder = str(real_data / "efficientnet_lite2")
    preprocessor = ImagePreprocessor(**picture_settings(folder))
    training, pixels = flickr(real_data, preprocessor)
    encoder = build_image_encoder("pretrained", height=260, width=260, checkpoint=folder, scaling=scaling)
    features = encoder.frozen_backbone()
    for layer in encoder.adapted_layers():
        layer.adapt(features.predict(training, batch_size=25, verbose=0))
    settle(encoder, training[::3])
    network = convert(encoder, preprocessor, "pixels", precision, training)
    assert custom_operators(network) == set()
    assert len(network) < most_bytes
    found = cosines(network, encoder, pixels)
    assert found.min() > least and found.mean() > 0.99


def test_integers_compute_all_but_the_first_layers():
    encoder = build("backbone")
    network = convert(encoder, preprocessor_of(encoder), "pixels", "int8", photographs(encoder, 8))
    model = parsed(network)
    (graph,) = model.subgraphs
    found = []  # the type that each convolution computes in, in their order
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        if code in (3, 4):  # CONV_2D and DEPTHWISE_CONV_2D
            found.append(graph.tensors[operator.outputs[0]].type)
    assert len(found) == 52 and found == sorted(found)  # 0 is float32, 9 int8
    assert 3 <= found.count(0) <= 8 and found.count(9) >= 44
    assert operators(network)["QUANTIZE"] < 20


def test_what_cannot_be_is_refused():
    encoder = build("conv")
    features = build_image_encoder("features", features=5, hidden=[], embedding_dim=4)
    preprocessor = preprocessor_of(encoder)
    for arguments, message in (
        ((encoder, preprocessor, "ids", "float32"), "Expected one of pixels. Received: kind='ids'"),
        ((encoder, preprocessor, "pixels", "int8"), "Expected pictures of the training data, by which int8 is set up"),
        ((features, None, "pixels", "float32"), "an image encoder of pictures. Received: one over feature vectors"),
        ((encoder, None, "pixels", "float32"), "Expected an image encoder of pictures and its ImagePreprocessor"),
    ):
        with pytest.raises(MmkerasError, match=message):
            convert(*arguments)


def test_other_operators_are_listed():
    image = keras.Input((8, 8, 3), name="image")
    strange = keras.layers.Lambda(lambda x: keras.ops.erfinv(x / 300))(keras.layers.GlobalAveragePooling2D()(image))
    encoder = Encoder(image, {"embedding": strange})
    with pytest.raises(MmkerasError, match=r"an image encoder of TFLite's builtin operators\. Received: Erfinv, which"):
        convert(encoder, ImagePreprocessor(8, 8), "pixels", "float32")


def test_golden_pictures_are_whole_and_of_every_kind():
    class Data:
        pictures = np.stack([np.asarray(photograph(32, 32, number)) for number in range(3)])

    found = golden_pictures(Data, (32, 32, 3))
    pixels = ImagePreprocessor(32, 32).load(found)
    np.testing.assert_array_equal(pixels[:3], Data.pictures)
    assert len(found) == 7 and found[3][:2] == b"\xff\xd8" and found[-1][:3] == b"GIF"
    turned = np.asarray(pixels[3]).astype(int)
    upright = np.rot90(Data.pictures[0], -1).astype(int)
    assert np.abs(turned - upright).mean() < 12  # orientation 6 turns it clockwise
