import keras
import numpy as np
import pytest

from mmkeras.encoders import build_image_encoder, copy_vit_weights, load_deit, resize_position_embedding
from mmkeras.errors import MmkerasError

from ..model_checks import check_model
from .published_transformers import deit_shapes, deit_tokens, random_arrays

SETTINGS = {"patch": 4, "depth": 2, "token_width": 8, "heads": 2, "embedding_dim": 5}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3)).astype("uint8")


def build(height=8, width=12, **settings):
    return build_image_encoder("vit", height=height, width=width, channels=3, **{**SETTINGS, **settings})


def test_is_a_sound_model(tmp_path):
    shapes = {"tokens": (3, 1 + 6, 8), "embedding": (3, 5)}
    check_model(lambda: build(depth=1), IMAGES, shapes, tmp_path, 4 + 16 + 2 + 2, ["key/bias"], half=("tokens",))
    assert (build().input.name, build().name) == ("image", "image_encoder")


def test_agrees_with_numpy_on_published_weights():
    arrays = random_arrays(deit_shapes(width=8, depth=2, patch=4, patches=4))
    encoder = build(8, 8)
    load_deit(encoder, arrays)
    encoded = encoder(IMAGES[:, :, :8])
    tokens = deit_tokens(arrays, IMAGES[:, :, :8], heads=2, depth=2)
    np.testing.assert_allclose(encoded["tokens"], tokens, rtol=1e-4, atol=1e-5)
    projection = encoder.get_layer("projection")
    embedding = tokens[:, 0] @ np.asarray(projection.kernel) + np.asarray(projection.bias)
    embedding /= np.linalg.norm(embedding, axis=-1, keepdims=True)
    np.testing.assert_allclose(encoded["embedding"], embedding, rtol=1e-4, atol=1e-5)


def test_it_may_be_built_with_the_weights_of_a_file(tmp_path):
    arrays = random_arrays(deit_shapes(width=8, depth=2, patch=4, patches=4))
    np.savez(tmp_path / "deit.npz", **arrays)
    encoder = build(weights=str(tmp_path / "deit.npz"))
    np.testing.assert_array_equal(encoder.get_layer("final_norm").gamma, arrays["norm.weight"])
    encoder.save(tmp_path / "vit.keras")
    (tmp_path / "deit.npz").unlink()
    loaded = keras.saving.load_model(tmp_path / "vit.keras")
    np.testing.assert_array_equal(loaded(IMAGES)["tokens"], encoder(IMAGES)["tokens"])


def test_floats_are_the_same_pixels_and_the_embedding_has_length_1():
    encoder = build()
    encoded, again = encoder(IMAGES), encoder(IMAGES.astype("float32"))
    np.testing.assert_array_equal(encoded["tokens"], again["tokens"])
    np.testing.assert_allclose(np.linalg.norm(encoded["embedding"], axis=-1), np.ones(3), rtol=1e-5)


def test_the_projection_may_be_left_out_or_end_in_batch_statistics():
    encoder = build(embedding_dim=None)
    encoded = encoder(IMAGES)
    np.testing.assert_array_equal(encoded["embedding"], encoded["tokens"][:, 0])
    assert build(batch_norm=True).get_layer("projection_norm")


def test_one_mean_may_serve_all_channels():
    encoder = build(mean=0.5, deviation=(0.5, 0.5, 0.25))
    white = encoder.get_layer("rescaling")(np.full((1, 8, 12, 3), 255, "uint8"))
    np.testing.assert_allclose(white[0, 0, 0], [1, 1, 2], rtol=1e-6)
    with pytest.raises(MmkerasError, match=r"or 3, one a channel. Received: mean=\[0.5, 0.5\]"):
        build(mean=(0.5, 0.5))


def test_patches_must_fill_the_picture():
    with pytest.raises(ValueError, match="patches of 5 px fill. Received: 8 x 12 px"):
        build(patch=5)


def test_a_stem_of_convolutions_leaves_as_many_tokens():
    encoder = build(stem=(6, 10))
    projection = encoder.get_layer("patch_embedding").projection
    assert projection.kernel.shape == (1, 1, 10, 8)  # 4 px are two halvings: what is left is one cell a patch
    assert encoder.get_layer("patch_embedding").grid == (2, 3)
    assert encoder(IMAGES)["tokens"].shape == (3, 1 + 6, 8)
    assert {"conv_0", "conv_1"} == {layer.name for layer in encoder.layers if layer.name.startswith("conv")}


def test_a_stem_must_divide_the_patch():
    with pytest.raises(MmkerasError, match=r"a patch that 8 divides.* patch=4, stem=\[4, 4, 4\]"):
        build(stem=(4, 4, 4))


def test_weights_go_to_an_encoder_of_larger_pictures():
    encoder, larger = build(), build(16, 24)
    copy_vit_weights(encoder, larger)
    for one, other in zip(encoder.weights, larger.weights, strict=True):
        expected = resize_position_embedding(one, (2, 3), (4, 6)) if "position" in one.path else np.asarray(one)
        np.testing.assert_array_equal(other, expected)
    assert len(larger(np.zeros((1, 16, 24, 3), "uint8"))["tokens"][0]) == 1 + 24
    with pytest.raises(MmkerasError, match="differ in height and width alone"):
        copy_vit_weights(encoder, build(16, 24, depth=1))


PUBLISHED = {
    "CLIP": ({"pre_norm": True, "patch_bias": False, "activation": "quick_gelu", "epsilon": 1e-5}, 1, 3 + 2 + 16 + 2),
    "SigLIP": ({"pooling": "attention", "class_token": False, "activation": "gelu_tanh"}, 0, 3 + 16 + 2 + 15),
    "DINOv2": ({"registers": 2, "layer_scale": 1.0}, 3, 5 + 18 + 2),
    "mean": ({"pooling": "mean", "mlp_ratio": 2.5}, 1, 4 + 16 + 2),
}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_is_a_sound_model_with_what_published_towers_have(kind, tmp_path):
    settings, leading, weights = PUBLISHED[kind]
    without = ["key/bias"] + (["class_token"] if kind == "mean" else [])
    shapes = {"tokens": (3, leading + 6, 8), "embedding": (3, 5)}
    check_model(lambda: build(depth=1, **settings), IMAGES, shapes, tmp_path, weights + 2, without, half=("tokens",))
    encoder = build(**settings)
    assert len(encoder.norms) == (2 if kind == "CLIP" else 1) and bool(encoder.pooling) == (kind == "SigLIP")


def test_the_mean_is_of_the_patches_alone():
    encoder = build(pooling="mean", registers=2, embedding_dim=None)
    encoded = encoder(IMAGES)
    np.testing.assert_allclose(encoded["embedding"], np.mean(encoded["tokens"][:, 3:], axis=1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("settings", [{"pooling": "max"}, {"class_token": False}])
def test_a_pooling_needs_what_it_pools(settings):
    with pytest.raises(
        MmkerasError, match=r"Expected a pooling of 'class' \(with a class token\), 'mean' or 'attention'"
    ):
        build(**settings)


@pytest.mark.slow
def test_the_defaults_are_vit_base():
    """86 million parameters without a classifier at 224 px, of which DeiT's table counts one thousand classes more."""
    encoder = build_image_encoder("vit", height=224, width=224, channels=3, embedding_dim=None)
    assert encoder.count_params() == 85_798_656
    assert encoder.count_params() + 768 * 1000 + 1000 == 86_567_656
    keras.backend.clear_session()
