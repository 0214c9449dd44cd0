import json
import math

import keras
import numpy as np
import pytest
from sklearn.metrics import log_loss

from mmkeras.losses import CategoryCrossentropy, category_crossentropy

LOGITS = np.array([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]], "float32")


def test_single_labels_by_hand():
    """Row 0: log(e^2 + 1 + 1/e) - 2; row 1: log 3 whatever the label."""
    expected = [math.log(math.e**2 + 1 + 1 / math.e) - 2, math.log(3)]
    np.testing.assert_allclose(category_crossentropy(np.array([0, 2]), LOGITS), expected, rtol=1e-6)


def test_multi_hot_labels_by_hand():
    """Row 0, labels 1 0 1: log(1 + e^-2) + log 2 + log(1 + e); row 1: three times log 2."""
    expected = [math.log(1 + math.e**-2) + math.log(2) + math.log(1 + math.e), 3 * math.log(2)]
    labels = np.array([[1, 0, 1], [0, 0, 0]], "uint8")
    np.testing.assert_allclose(category_crossentropy(labels, LOGITS), expected, rtol=1e-6)


def test_against_scikit_learn():
    generator = np.random.default_rng(0)
    logits, labels = generator.normal(0, 3, (50, 7)).astype("float32"), generator.integers(7, size=50)
    softmax = np.exp(logits.astype("float64"))
    softmax /= softmax.sum(1, keepdims=True)
    loss = np.mean(category_crossentropy(labels, logits))
    assert loss == pytest.approx(log_loss(labels, softmax, labels=range(7)), rel=1e-5)


def test_large_logits_stay_finite():
    logits = np.array([[500.0, -500.0], [-500.0, 500.0]], "float32")
    np.testing.assert_allclose(category_crossentropy(np.array([0, 0]), logits), [0, 1000])
    np.testing.assert_allclose(category_crossentropy(np.array([[1, 0], [1, 0]]), logits), [0, 1000])


@pytest.mark.parametrize("labels", [np.array([1, 0]), np.array([[0, 1, 1], [1, 0, 0]])])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_class_is_the_mean_of_the_function(labels, dtype):
    loss = CategoryCrossentropy.from_config(json.loads(json.dumps(CategoryCrossentropy().get_config())))
    value = loss(labels, LOGITS.astype(dtype))
    assert float(value) == pytest.approx(np.mean(category_crossentropy(labels, LOGITS)), rel=1e-5)
    assert keras.saving.get_registered_name(CategoryCrossentropy) == "mmkeras>CategoryCrossentropy"
