import numpy as np
import pytest

from mmkeras.encoders.feature_scaling import FeatureScaling
from mmkeras.encoders.features_and_ids import FeaturesAndIds

from ..model_checks import check_layer

FEATURES = np.array([[0, 4, 7], [1, -4, 7], [4, 16, 7], [9, 0, 7]], "float32")


@pytest.mark.parametrize("root", [False, True])
def test_is_a_sound_layer(root, tmp_path):
    check_layer(FeatureScaling, {"root": root, "epsilon": 1e-6}, [FEATURES], (4, 3), tmp_path, cast=False)


def test_each_number_has_mean_0_and_deviation_1_over_the_data():
    layer = FeatureScaling()
    before = layer(FEATURES)
    np.testing.assert_array_equal(before / before[-1, 0], FEATURES / 9)
    layer.adapt(FEATURES)
    scaled = layer(FEATURES).numpy()
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=0), [1, 1, 0], atol=1e-5)  # a number that is always equal stays 0
    np.testing.assert_allclose(scaled[:, 0], (FEATURES[:, 0] - 3.5) / np.sqrt(12.25), rtol=1e-5)


def test_roots_keep_their_sign():
    layer = FeatureScaling(root=True)
    layer(FEATURES)
    layer.adapt(FEATURES)
    roots = np.array([2, -2, 4, 0])
    np.testing.assert_allclose(layer(FEATURES)[:, 1], (roots - roots.mean()) / roots.std(), rtol=1e-5)


def test_the_gradient_of_a_root_at_zero_is_finite():
    import tensorflow as tf

    layer = FeatureScaling(root=True)
    features = tf.constant(FEATURES)
    with tf.GradientTape() as tape:
        tape.watch(features)
        total = tf.reduce_sum(layer(features))
    assert np.isfinite(tape.gradient(total, features)).all()


def test_features_and_ids_are_taken_apart_without_loss():
    ids = np.array([[16_777_215, 0], [30_521, 7]], "int32")
    joined = np.concatenate([FEATURES[:2], ids.astype("float32")], axis=1)
    features, counted = FeaturesAndIds(2)(joined)
    np.testing.assert_array_equal(features, FEATURES[:2])
    np.testing.assert_array_equal(counted, ids)
    assert FeaturesAndIds(2).get_config()["sequence_length"] == 2
