import numpy as np
import pytest

from mmkeras.layers import CrossModalAutoencoder

SIZES = {"image_features": 5, "text_features": 3, "classes": 4, "units": 6}
FEATURE = {"image": np.ones((2, 5), "float32"), "text": np.ones((2, 3), "float32")}


def test_dropout_falls_on_what_both_encoders_make_in_training_only():
    autoencoder = CrossModalAutoencoder(**SIZES | {"units": 400}, dropout=0.75)
    without = CrossModalAutoencoder(**SIZES | {"units": 400})
    for variable, other in zip(autoencoder.trainable_variables, without.trainable_variables, strict=True):
        other.assign(variable)
    feature = np.random.default_rng(0).normal(size=(8, 5)).astype("float32")
    np.testing.assert_array_equal(autoencoder.encode("image", feature), without.encode("image", feature))
    kept = np.asarray(autoencoder.encode("image", feature, training=True))
    assert np.mean(kept == 0) == pytest.approx(0.75, abs=0.05)
    # What is kept is four times as large; had nothing been dropped before E2 it would be four times the very values.
    ratio = kept[kept != 0] / np.asarray(without.encode("image", feature, training=True))[kept != 0]
    assert not np.allclose(ratio, 4)
    assert autoencoder.get_config()["dropout"] == 0.75


@pytest.mark.parametrize("modality, width", [("image", 5), ("text", 3)])
def test_a_pathway_goes_there_and_back(modality, width):
    autoencoder = CrossModalAutoencoder(**SIZES)
    representation = autoencoder.encode(modality, FEATURE[modality])
    assert representation.shape == (2, 6)
    assert autoencoder.decode(modality, representation).shape == (2, width)
    assert autoencoder.category_logits(modality, representation).shape == (2, 4)
    assert CrossModalAutoencoder.from_config(autoencoder.get_config()).get_config() == autoencoder.get_config()


def test_sharing_is_one_kernel_with_statistics_for_each_modality():
    autoencoder = CrossModalAutoencoder(**SIZES)
    assert autoencoder.image_encoder_2 is autoencoder.text_encoder_2
    image, text = ({v.path for v in autoencoder.variables_of(modality)} for modality in ("image", "text"))
    assert {path.partition("/")[0] for path in image & text} == {"shared_encoder"} and len(image & text) == 4
    before = np.asarray(autoencoder.encode("text", FEATURE["text"]))
    autoencoder.encode("image", np.random.default_rng(0).normal(size=(8, 5)), training=True)
    np.testing.assert_array_equal(autoencoder.encode("text", FEATURE["text"]), before)
    autoencoder.image_encoder_2.projection.kernel.assign_add(np.ones((6, 6)))
    assert np.abs(autoencoder.encode("text", FEATURE["text"]) - before).max() > 0.1


def test_without_sharing_the_pathways_have_nothing_in_common():
    autoencoder = CrossModalAutoencoder(**SIZES, share_weights=False)
    image, text = ({id(v) for v in autoencoder.variables_of(modality)} for modality in ("image", "text"))
    assert not image & text
    assert len(image | text) == len(autoencoder.trainable_variables)
    shared = CrossModalAutoencoder(**SIZES)
    assert autoencoder.count_params() - shared.count_params() == 6 * 6 + 3 * 6 + 2 * 2 * 6


def test_the_variables_of_a_pathway_may_leave_out_decoder_and_category_head():
    autoencoder = CrossModalAutoencoder(**SIZES)
    encoders = autoencoder.variables_of("image", decoder=False, category_head=False)
    assert {v.path.partition("/")[0] for v in encoders} == {"image_encoder_1", "shared_encoder"}
    assert len(autoencoder.variables_of("image", category_head=False)) == len(encoders) + 4 + 2
    assert len(autoencoder.variables_of("image", decoder=False)) == len(encoders) + 2
