import re

import numpy as np
import pytest

from mmkeras.encoders import efficientnet_lite_tower, mobilenet_v2_tower
from mmkeras.encoders.efficientnet_lite import VARIANTS, network
from mmkeras.encoders.weights_file import read_weights
from mmkeras.errors import MmkerasError

# Parameters without the classifier, those of batch normalisation folded in, from the published tables: depth and width
# of the stages.
LITE2 = [(16, 1), (24, 3), (48, 3), (88, 4), (120, 4), (208, 5), (352, 1)]
LITE4 = [(24, 1), (32, 4), (56, 4), (112, 6), (160, 6), (272, 8), (448, 1)]


def arrays_of(convolutions, seed=0):
    """Random arrays of a network, numbered, with a classifier of 3 classes."""
    generator = np.random.default_rng(seed)
    arrays = {}
    for index, one in enumerate(convolutions):
        outputs = one.shape[2] if one.depthwise else one.shape[3]
        inputs = one.shape[0] * one.shape[1] * (1 if one.depthwise else one.shape[2])
        arrays[f"{index:02d}_w"] = generator.normal(size=one.shape) * (2 / inputs) ** 0.5
        arrays[f"{index:02d}_b"] = generator.normal(size=outputs) * 0.1
    count = len(convolutions)
    return {**arrays, f"{count:02d}_w": np.zeros((1280, 3)), f"{count:02d}_b": np.zeros(3)}


@pytest.mark.parametrize(("variant", "stages"), [("lite2", LITE2), ("lite4", LITE4)])
def test_stages_are_the_published_ones(variant, stages):
    made = {}
    for one in network(variant):
        if one.name.endswith("project"):
            stage = int(one.name.split("_")[1])
            made[stage] = (one.shape[3], made.get(stage, (0, 0))[1] + 1)
    assert [made[stage] for stage in sorted(made)] == stages


@pytest.mark.parametrize("variant", ["lite0", "lite1"])
def test_arrays_say_which_variant_they_are_of(variant):
    encoder = efficientnet_lite_tower(arrays_of(network(variant)))
    assert encoder.input.shape == (None, VARIANTS[variant][2], VARIANTS[variant][2], 3)
    assert (encoder.takes, encoder.embedding_dim) == ("pixels", 1280)


def test_embedding_is_the_mean_of_the_tokens_and_uint8_is_taken():
    encoder = efficientnet_lite_tower(arrays_of(network("lite0")), 64, 96)
    image = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), "uint8")
    encoded = encoder(image)
    assert encoded["tokens"].shape == (2, 2 * 3, 1280)
    np.testing.assert_allclose(encoded["embedding"], np.mean(encoded["tokens"], axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(encoder(image.astype("float32"))["embedding"], encoded["embedding"])


def test_foreign_arrays_are_refused_by_name():
    arrays = arrays_of(network("lite0"))
    arrays["07_b"] = arrays["07_b"][:-1]
    said = r"closest to efficientnet_lite0: 07_b has the shape \(143,\), not \(144,\)$"
    with pytest.raises(MmkerasError, match=said):
        efficientnet_lite_tower(arrays)
    del arrays["07_b"]
    with pytest.raises(MmkerasError, match="there is no 07_b$"):
        efficientnet_lite_tower(arrays)
    with pytest.raises(MmkerasError, match=re.escape("Expected the arrays of mobilenet_v2. Received: 102 arrays")):
        mobilenet_v2_tower({**arrays, "07_b": np.zeros(144), "more": np.zeros(1)} | {"99_w": np.zeros(1)})
    with pytest.raises(MmkerasError, match="pads pictures otherwise"):
        mobilenet_v2_tower({"conv_stem.weight": np.zeros((32, 3, 3, 3))})


@pytest.mark.parametrize("build", [efficientnet_lite_tower, mobilenet_v2_tower])
def test_published_weights_tell_black_from_noise(build, real_data):
    """The published files fill their towers, and their features are those of a trained network: sparse and bounded."""
    folder = "efficientnet_lite2" if build is efficientnet_lite_tower else "mobilenet_v2"
    encoder = build(read_weights(real_data / folder / "weights.npz"))
    size = encoder.input.shape[1]
    assert size == {"efficientnet_lite2": 260, "mobilenet_v2": 224}[folder]
    image = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), "uint8")
    features = encoder(image * np.array([0, 1], "uint8")[:, None, None, None])["embedding"].numpy()
    assert features.min() >= 0 and features.max() <= 6
    assert np.linalg.norm(features[0] - features[1]) > 1
