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


OTHER = {"use_bias": False, "use_class_token": False, "registers": 2, "cropped": True}


def test_is_a_sound_layer_with_registers_alone(tmp_path):
    check_layer(PatchEmbedding, ARGUMENTS | OTHER, [IMAGES], (2, 2 + 6, 5), tmp_path, weights=3)


def test_registers_stand_behind_the_class_token_and_have_no_position():
    plain, layer = PatchEmbedding(**ARGUMENTS), PatchEmbedding(**ARGUMENTS, registers=3)
    tokens = plain(IMAGES)
    layer.build(IMAGES.shape)
    registers = np.asarray(layer.register_tokens)
    layer.set_weights([*plain.get_weights()[:2], registers, *plain.get_weights()[2:]])
    found = layer(IMAGES)
    np.testing.assert_array_equal(np.delete(found, [1, 2, 3], axis=1), tokens)
    np.testing.assert_array_equal(found[:, 1:4], np.broadcast_to(registers, (2, 3, 5)))
    assert (layer.leading, PatchEmbedding(**ARGUMENTS, use_class_token=False).leading) == (1, 0)


def test_what_is_left_of_a_picture_may_go_unseen():
    layer = PatchEmbedding(4, 5, cropped=True)
    seen = np.asarray(layer(IMAGES))
    assert layer.grid == (1, 1)
    changed = IMAGES.copy()
    changed[:, :, 4:] = 9
    np.testing.assert_array_equal(layer(changed), seen)
    with pytest.raises(ValueError, match="patches of 5 px fill. Received: 4 x 6 px"):
        PatchEmbedding(5, 5, cropped=True)(IMAGES)


def test_fewer_than_no_registers_are_refused():
    with pytest.raises(ValueError, match="registers=-1"):
        PatchEmbedding(**ARGUMENTS, registers=-1)
