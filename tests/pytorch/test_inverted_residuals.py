import numpy as np
import pytest

from mmkeras.encoders import efficientnet_lite_tower, mobilenet_v2_tower

from .installed import import_torch

torch = import_torch()

from . import inverted_residuals as twin  # noqa: E402


def pictures(height, width):
    return np.random.default_rng(1).integers(0, 256, (2, height, width, 3)).astype("float32")


def compare(encoder, state, table, image, pixels):
    with torch.no_grad():
        expected = twin.feature_map(state, table, torch.tensor(pixels, dtype=torch.float64).permute(0, 3, 1, 2)).numpy()
    assert expected.std() > 0.1
    encoded = encoder(image)
    tokens = expected.transpose(0, 2, 3, 1).reshape(2, -1, 1280)
    np.testing.assert_allclose(encoded["tokens"], tokens, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(encoded["embedding"], expected.mean((2, 3)), rtol=1e-4, atol=1e-4)


def numbered(state, table):
    """The state as files of one kernel and bias a convolution hold it."""
    arrays = {}
    for index, (convolution, norm, _, _, groups, _) in enumerate(twin.names(table)):
        gamma, beta, mean, variance = (
            state[f"{norm}.{part}"].numpy() for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = gamma / np.sqrt(variance + 1e-3)
        kernel = state[f"{convolution}.weight"].numpy() * factor[:, None, None, None]
        arrays[f"{index:02d}_w"] = kernel.transpose((2, 3, 0, 1) if groups > 1 else (2, 3, 1, 0))
        arrays[f"{index:02d}_b"] = beta - mean * factor
    return arrays


@pytest.mark.parametrize("table", [twin.LITE0, twin.LITE2], ids=["lite0", "lite2"])
def test_efficientnet_lite_of_timm_agrees_with_pytorch(table):
    state = twin.random_state(table, np.random.default_rng(0))
    image = pictures(65, 96)  # an odd side, and another
    encoder = efficientnet_lite_tower({name: one.numpy() for name, one in state.items()}, 65, 96)
    compare(encoder, state, table, image, image / 127.5 - 1)


def test_efficientnet_lite_of_numbered_arrays_agrees_with_pytorch():
    state = twin.random_state(twin.LITE2, np.random.default_rng(0))
    image = pictures(96, 65)
    encoder = efficientnet_lite_tower(numbered(state, twin.LITE2), 96, 65)
    compare(encoder, state, twin.LITE2, image, (image - 127) / 128)


def test_mobilenet_v2_agrees_with_pytorch():
    state = twin.random_state(twin.MOBILENET_V2, np.random.default_rng(0))
    image = pictures(64, 64)
    encoder = mobilenet_v2_tower(numbered(state, twin.MOBILENET_V2), 64, 64)
    compare(encoder, state, twin.MOBILENET_V2, image, image / 127.5 - 1)
