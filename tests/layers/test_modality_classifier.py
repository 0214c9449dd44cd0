import keras
import numpy as np
import pytest

from mmkeras.layers import ModalityClassifier

from ..model_checks import check_layer

EMBEDDING = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, -1.0]], "float32")


def test_is_a_sound_layer(tmp_path):
    arguments = {"hidden": [5, 4], "dropout": 0.0}
    check_layer(ModalityClassifier, arguments, [EMBEDDING], (3,), tmp_path, weights=6, cast=False)


def test_by_hand():
    """Hidden (x1 - x2, x2 - x1) with slope .2 below 0, logit 1 a - 2 b + 1."""
    classifier = ModalityClassifier((2,))
    classifier.build((None, 2))
    classifier.set_weights([np.array([[1, -1], [-1, 1.0]]), np.zeros(2), np.array([[1.0], [-2.0]]), np.ones(1)])
    # (1, -.2) -> 1 + .4 + 1; (-.04, .2) -> -.04 - .4 + 1; (1, -.2) again
    np.testing.assert_allclose(classifier(EMBEDDING), [2.4, 0.56, 2.4], rtol=1e-5)


def test_a_row_does_not_see_its_batch():
    classifier = ModalityClassifier((16, 16))
    alone = np.concatenate([classifier(EMBEDDING[row : row + 1]) for row in range(3)])
    np.testing.assert_allclose(classifier(EMBEDDING), alone, rtol=1e-5)


def test_it_separates_what_no_line_can():
    """An inner and an outer ring have one mean: a linear classifier would stay at chance."""
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 400)
    radius = np.repeat([0.3, 1.0], 200)
    points = (radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)).astype("float32")
    inputs = keras.Input((2,))
    model = keras.Model(inputs, ModalityClassifier((16,))(inputs))
    model.compile(keras.optimizers.Adam(0.05), keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(points, (radius > 0.5).astype("float32"), epochs=30, batch_size=100, verbose=0)
    assert ((np.array(model(points)) > 0) == (radius > 0.5)).mean() > 0.95


def test_dropout_is_for_training_only():
    classifier = ModalityClassifier((64,), dropout=0.5)
    still, moving = ([np.array(classifier(EMBEDDING, training=t)) for _ in range(2)] for t in (False, True))
    np.testing.assert_array_equal(*still)
    assert not np.array_equal(*moving)


@pytest.mark.parametrize("arguments", [{"hidden": ()}, {"hidden": (4, 0)}, {"dropout": 1.0}])
def test_what_does_not_fit_is_refused(arguments):
    name, value = next(iter(arguments.items()))
    with pytest.raises(ValueError) as caught:
        ModalityClassifier(**arguments)
    assert str(caught.value).endswith(f"{name}={value}")
