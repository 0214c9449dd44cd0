import numpy as np
import pytest

from mmkeras.encoders import resize_position_embedding
from mmkeras.errors import MmkerasError

EXPECTED = [0.327469, 1.615094, 3.144531, 2.959047, 2.480938, 5.179032, 6.408438, 7.996094, 8.305470, 8.218719]


def test_position_embeddings_are_resized_as_pytorch_resizes_them():
    """Computed with torch.nn.functional.interpolate(mode="bicubic", align_corners=False) of PyTorch 2.13."""
    weights = np.array([[100.0], [0], [1], [2], [3], [10], [5], [6], [7], [9]], "float32")
    resized = resize_position_embedding(weights, (3, 3), (2, 5))
    assert resized.dtype == "float32" and resized[0] == 100
    np.testing.assert_allclose(resized[1:, 0], EXPECTED, rtol=1e-5, atol=1e-5)


SMOOTHED = [5.501688, 3.032729, 2.782541, 4.171753, 4.784746, 9.440182, 1.309210, 0.329029, 2.617590, 0.631615]


def test_a_wider_kernel_is_that_of_pytorch_too():
    """Computed as above with antialias=True, of a grid of 4 x 4 without a class token."""
    weights = np.array([[0.0], [1], [2], [3], [10], [5], [6], [7], [9], [-4], [2], [1], [8], [0], [3], [-1]], "float32")
    resized = resize_position_embedding(weights, (4, 4), (2, 5), leading=0, antialias=True)
    np.testing.assert_allclose(resized[:, 0], SMOOTHED, rtol=1e-5, atol=1e-5)
    with pytest.raises(MmkerasError, match=r"\(16, W\), for 4 x 4 patches. Received: shape \(15, 1\)"):
        resize_position_embedding(weights[1:], (4, 4), (2, 5), leading=0)


def test_resizing_keeps_a_plane_and_what_has_its_size():
    weights = np.random.default_rng(0).normal(size=(7, 3))
    np.testing.assert_array_equal(resize_position_embedding(weights, (2, 3), (2, 3)), weights)
    constant = resize_position_embedding(np.full((10, 1), 7.0), (3, 3), (5, 4))
    np.testing.assert_allclose(constant, np.full((21, 1), 7.0))
    with pytest.raises(MmkerasError, match=r"\(10, W\), for a class token and 3 x 3 patches. Received: shape \(7, 3\)"):
        resize_position_embedding(weights, (3, 3), (2, 2))
