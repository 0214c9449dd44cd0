import numpy as np
import pytest

from mmkeras.layers import PatchEmbedding

from ..model_checks import check_layer

IMAGES = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype("float32")
ARGUMENTS = {"patch": 2, "width": 5, "initializer_range": 0.1}


def test_is_a_sound_layer(tmp_path):
    check_layer(PatchEmbedding, ARGUMENTS, [IMAGES], (2, 1 + 6, 5), tmp_path, weights=4)


def test_patches_are_read_row_by_row_behind_the_class_token():
    layer = PatchEmbedding(**ARGUMENTS)
    tokens = np.asarray(layer(IMAGES))
    assert layer.grid == (2, 3)
    position, kernel = np.asarray(layer.position_embedding), np.asarray(layer.projection.kernel)
    np.testing.assert_allclose(tokens[:, 0], np.broadcast_to(layer.class_token + position[0], (2, 5)), atol=1e-6)
    for number, (row, column) in enumerate([(0, 0), (0, 2), (0, 4), (2, 0), (2, 2), (2, 4)], start=1):
        patch = IMAGES[:, row : row + 2, column : column + 2].reshape(2, -1) @ kernel.reshape(-1, 5)
        np.testing.assert_allclose(tokens[:, number], patch + position[number], atol=1e-6)


def test_patches_must_fill_the_picture():
    with pytest.raises(ValueError, match="patches of 4 px fill. Received: 4 x 6 px"):
        PatchEmbedding(4, 5)(IMAGES)


@pytest.mark.parametrize("name", ["patch", "width"])
def test_a_size_of_0_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}=0"):
        PatchEmbedding(**{**ARGUMENTS, name: 0})
