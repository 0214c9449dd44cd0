"""Pictures classified by the names of categories, by hand."""

import numpy as np
import pytest

from mmkeras.data.paired import PairedData
from mmkeras.errors import MmkerasError
from mmkeras.evaluation.measuring.zero_shot import class_embeddings, zero_shot_metrics

VECTORS = {"a cat": (1, 0), "the cat": (0.6, 0.8), "a big dog": (0, 1), "the big dog": (0, 1)}
TEMPLATES = ["a {}", "the {}"]


class Model:
    def encode_text(self, texts):
        return np.array([VECTORS[text] for text in texts], "float32")


def data(label):
    rows = len(label)
    ids = np.arange(rows, dtype="int64")
    pairs = np.zeros((0, 2), "int32")
    images = np.zeros((rows, 2), "float32")
    return PairedData("x", images, ["t"], ids, ids[:1], pairs, label=label, label_names=("cat", "big_dog"))


def test_a_category_is_the_mean_of_its_sentences_and_a_tie_is_wrong():
    classes = class_embeddings(Model(), ("cat", "big_dog"), TEMPLATES)
    cat = np.array([0.8, 0.4]) / np.hypot(0.8, 0.4)
    np.testing.assert_allclose(classes, [cat, (0, 1)], atol=1e-6)
    images = np.array([(1, 0), (0, 1), (1, 0), (0, 0)], "float32")  # right, right, wrong, and level with both
    found = zero_shot_metrics(Model(), data(np.array([0, 1, 1, 1], "int32")), images, TEMPLATES)
    assert found == {
        "zero_shot_top@1": 0.5,
        "zero_shot_top@5": 1.0,
        "zero_shot_mean_top@1": pytest.approx((1 + 1 / 3) / 2),
        "zero_shot_classes": 2,
    }


@pytest.mark.parametrize(
    ("label", "templates", "told"),
    [
        (np.array([0, 1], "int32"), ["a cat"], r"templates with \{\} .* Received: 'a cat'"),
        (np.array([0, 1], "int32"), [], "Received: none"),
        (np.eye(2, dtype="uint8"), TEMPLATES, "any number of tags"),
    ],
)
def test_what_cannot_be_classified_by_is_told(label, templates, told):
    with pytest.raises(MmkerasError, match=told):
        zero_shot_metrics(Model(), data(label), np.zeros((2, 2), "float32"), templates)


def test_data_without_categories_are_told():
    ids = np.arange(1, dtype="int64")
    bare = PairedData("x", np.zeros((1, 2), "float32"), ["t"], ids, ids, np.zeros((0, 2), "int32"))
    with pytest.raises(MmkerasError, match="--targets category.* Received: none"):
        zero_shot_metrics(Model(), bare, np.zeros((1, 2), "float32"), TEMPLATES)
