"""scripts/build_hub_model.py on the real weights, and hub encoders on what it builds."""

import runpy
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.encoders import backbone_image_encoder, hub_image_encoder
from mmkeras.preprocessing import ImagePreprocessor

# What ten pictures of the training split show, looked at before the network was asked; and its class for it.
SHOWN = {
    "2873522522_829ea62491.jpg": {"rugby ball"},
    "2021602343_03023e1fd1.jpg": {"basketball"},
    "3177468217_56a9142e46.jpg": {"collie"},
    "1562478333_43d13e5427.jpg": {"mountain tent"},
    "2873252292_ebf23f5f10.jpg": {"mountain bike"},
    "109738763_90541ef30d.jpg": {"snowmobile"},
    "1095476286_87d4f8664e.jpg": {"fountain"},
    "3162442331_c9711857c6.jpg": {"African elephant", "Indian elephant", "tusker"},
    "2842032768_9d9ce04385.jpg": {"miniature poodle", "standard poodle"},
    "10815824_2997e03d76.jpg": {"sorrel"},
}


@pytest.fixture(scope="module")
def script(repository):
    return runpy.run_path(str(repository / "scripts" / "build_hub_model.py"))


@pytest.fixture(scope="module")
def pictures(real_data):
    """The ten pictures, uint8 (10, 224, 224, 3)."""
    with zipfile.ZipFile(real_data / "flickr8k" / "images_160.zip") as archive:
        paths = {name.rpartition("/")[2]: name for name in archive.namelist()}
        files = [archive.read(paths[name]) for name in SHOWN]
    return ImagePreprocessor(224, 224, method="bicubic").load(files)


@pytest.fixture(scope="module")
def keras_weights(real_data, tmp_path_factory):
    """The same weights in a file of Keras' MobileNetV2 without its top."""
    network = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(224, 224, 3))
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    convolutions = [layer for layer in network.layers if isinstance(layer, kinds)]
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    with np.load(real_data / "mobilenet_v2" / "weights.npz") as weights:
        for number, (convolution, norm) in enumerate(zip(convolutions, norms, strict=True)):
            bias = weights[f"{number:02d}_b"]
            convolution.set_weights([weights[f"{number:02d}_w"]])
            # An identity but for the bias: (x - 0) / sqrt(variance + epsilon) * 1 + bias.
            norm.set_weights([np.ones_like(bias), bias, np.zeros_like(bias), np.full_like(bias, 1 - norm.epsilon)])
    file = tmp_path_factory.mktemp("keras") / "mobilenet_v2.weights.h5"
    network.save_weights(file)
    return str(file)


def built(script, real_data, folder, output):
    assert script["main"]([str(folder), "--weights", str(real_data / "mobilenet_v2"), "--output", output]) == 0
    return str(folder)


def test_the_first_label_of_ten_real_pictures_makes_sense(script, real_data, pictures, tmp_path):
    import tensorflow_hub

    module = tensorflow_hub.load(built(script, real_data, tmp_path / "logits", "logits"))
    lines = (real_data / "mobilenet_v2" / "imagenet_labels_1001.txt").read_text().splitlines()
    labels = [line.partition(",")[0] for line in lines]
    first = [labels[row] for row in np.argmax(module(tf.constant(pictures / 255, tf.float32)), axis=1)]
    assert {name: label for name, label in zip(SHOWN, first, strict=True) if label not in SHOWN[name]} == {}


@pytest.mark.slow
def test_hub_features_are_those_of_keras_own_network(script, real_data, pictures, keras_weights, tmp_path):
    handle = built(script, real_data, tmp_path / "features", "feature_vector")
    hub = hub_image_encoder(handle, 224, 224, trainable=True)
    assert len(hub.get_layer("hub").trainable_variables) == 2 * 52
    received = keras.Model(hub.input, hub.get_layer("hub").output).predict(pictures, verbose=0)
    backbone = backbone_image_encoder(224, 224, weights=keras_weights)
    expected = np.mean(backbone.predict(pictures, verbose=0)["tokens"], axis=1)
    assert expected.shape == (10, 1280)
    np.testing.assert_allclose(received, expected, atol=1e-3 * expected.max())


def test_missing_weights_are_told_in_one_line(script, tmp_path, capsys, monkeypatch):
    assert script["main"]([str(tmp_path / "out"), "--weights", str(tmp_path)]) == 2
    assert "build_hub_model: Expected the weights of MobileNetV2 in" in capsys.readouterr().err
    np.savez(tmp_path / "weights.npz", **{"00_w": np.zeros((3, 3, 3, 32))})
    assert script["main"]([str(tmp_path / "out"), "--weights", str(tmp_path)]) == 2
    assert "It lacks 00_b" in capsys.readouterr().err
    monkeypatch.delenv("MMKERAS_DATA", raising=False)
    with pytest.raises(SystemExit):
        script["main"]([str(tmp_path / "out")])
    assert "MMKERAS_DATA is unset: name the folder of the weights with --weights" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
