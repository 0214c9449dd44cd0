"""`PairedData`: what does not fit is refused by its row; choosing rows renumbers the pairs."""

import dataclasses

import numpy as np
import pytest

from mmkeras.data import PairedData
from mmkeras.errors import MmkerasError


def small(**changes):
    """Three pictures of two things and four texts; picture 0 and 2 show the same thing, with captions 0 and 3."""
    settings = {
        "name": "toy/train",
        "images": np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8),
        "texts": ["a", "b", "c", "a again"],
        "image_id": np.array([7, 8, 7]),
        "text_image_id": np.array([7, 8, 8, 7]),
        "pairs": np.array([[0, 0], [1, 1], [1, 2], [2, 3], [0, 3]], np.int32),
    }
    return PairedData(**(settings | changes))


def test_what_is_left_out_follows_from_the_ids():
    data = small()
    assert data.image_item is data.image_id
    assert data.text_item is data.text_image_id
    assert data.image_names == ["7", "8", "7"]


def test_it_cannot_be_changed_by_accident():
    with pytest.raises(dataclasses.FrozenInstanceError):
        small().texts = []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": np.array([7, 8])}, "toy/train: expected 3 rows in image_id. Received: 2"),
        ({"image_item": np.arange(4)}, "expected 3 rows in image_item. Received: 4"),
        ({"image_names": ["a", "b"]}, "expected 3 rows in image_names. Received: 2"),
        ({"text_image_id": np.arange(3)}, "expected 4 rows in text_image_id. Received: 3"),
        ({"text_item": np.arange(5)}, "expected 4 rows in text_item. Received: 5"),
        ({"label": np.array([0]), "label_names": ("x",)}, "expected 3 rows in label. Received: 1"),
        ({"text_label": np.array([0]), "label_names": ("x",)}, "expected 4 rows in text_label. Received: 1"),
        ({"images": np.zeros((3, 2, 2), np.uint8)}, r"expected images of shape .* Received: shape \(3, 2, 2\)"),
        ({"texts": ["a", "b", " \t\n", "d"]}, "text 2 is empty"),
        ({"texts": ["a", "b", "c", None]}, "text 3 is empty"),
        ({"pairs": np.array([[0, 0], [3, 0]])}, r"pair 1 is \(3, 0\), outside of the 3 pictures and 4 texts"),
        ({"pairs": np.array([[0, 4]])}, r"pair 0 is \(0, 4\)"),
        ({"pairs": np.array([[0, 0], [0, 1], [-1, 0]])}, r"pair 2 is \(-1, 0\)"),
        ({"pairs": np.array([0, 1])}, r"pairs to be integers of shape \(K, 2\).* Received: int64 of shape \(2,\)"),
        ({"pairs": np.array([[0, 1, 2]])}, r"Received: int64 of shape \(1, 3\)"),
        ({"pairs": np.array([[0.0, 1.0]])}, "Received: float64"),
        ({"label": np.array([0, 1, 2]), "label_names": ("x", "y")}, "label of row 2 is 2. Allowed: 0 to 1"),
        ({"label": np.array([0, -1, 0]), "label_names": ("x", "y")}, "label of row 1 is -1. Allowed: 0 to 1"),
        ({"text_label": np.array([0, 1, 1, 5]), "label_names": ("x", "y")}, "text_label of row 3 is 5"),
        (
            {"label": np.array([[0, 1], [1, 1], [0, 2]], np.uint8), "label_names": ("x", "y")},
            r"label of row 2 is \[0 2\]. Allowed: a row of 2 zeros and ones",
        ),
        ({"label": np.array([[0, 1], [-1, 0], [0, 0]]), "label_names": ("x", "y")}, r"label of row 1 is \[-1  0\]"),
        ({"label": np.zeros((3, 3), np.uint8), "label_names": ("x", "y")}, "label of row 0 .* a row of 2 zeros and on"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    with pytest.raises(MmkerasError, match=message):
        small(**changes)


def test_features_and_unpaired_data_are_allowed():
    data = small(images=np.zeros((3, 5), np.float32), pairs=np.zeros((0, 2), np.int32))
    assert len(data.first_texts(2).pairs) == 0
    assert data.one_image_an_item().images.shape == (2, 5)


def test_texts_may_be_features_too():
    """They are shown by their names, and chosen with them."""
    data = small(texts=np.arange(8, dtype=np.float32).reshape(4, 2), text_item=np.array([70, 80, 81, 71]))
    assert data.text_features and data.shown_texts == ["70", "80", "81", "71"]
    assert data.first_texts(2).texts.tolist() == [[0, 1], [2, 3]]
    named = small(texts=data.texts, text_names=["a", "b", "c", "d"])
    chosen = named.chosen(np.array([2, 1]), np.array([3, 1]))
    assert chosen.texts.tolist() == [[6, 7], [2, 3]] and chosen.shown_texts == ["d", "b"]
    assert chosen.pairs.tolist() == [[1, 1], [0, 0]]
    words = small()
    assert not words.text_features and words.shown_texts is words.texts
    with pytest.raises(MmkerasError, match=r"texts as a list of strings, or features.* an array of shape \(4,\)"):
        small(texts=np.array(["a", "b", "c", "d"]))
    with pytest.raises(MmkerasError, match="expected 4 rows in text_names. Received: 1"):
        small(texts=data.texts, text_names=["a"])


def test_one_image_an_item_keeps_the_first():
    data = small(label=np.array([4, 5, 6]), label_names=tuple("abcdefg")).one_image_an_item()
    assert data.images[:, 0, 0, 0].tolist() == [0, 1]
    assert data.image_id.tolist() == [7, 8]
    assert data.label.tolist() == [4, 5]
    assert data.texts == ["a", "b", "c", "a again"]
    assert data.pairs.tolist() == [[0, 0], [1, 1], [1, 2], [0, 3]]


def test_one_image_an_item_goes_by_the_strict_item_in_the_pictures_order():
    data = small(image_item=np.array([9, 3, 5]))
    assert data.one_image_an_item() is data  # no copy of the pictures
    data = small(image_item=np.array([9, 3, 3])).one_image_an_item()
    assert data.image_item.tolist() == [9, 3]
    assert data.image_id.tolist() == [7, 8]


def test_first_texts_renumbers_the_pairs():
    data = small(image_item=np.array([70, 80, 71]), text_label=np.array([0, 1, 2, 3]), label_names=tuple("abcd"))
    two = data.first_texts(2)
    assert two.texts == ["a", "b"]
    assert two.images[:, 0, 0, 0].tolist() == [0, 1]
    assert two.pairs.tolist() == [[0, 0], [1, 1]]
    assert two.text_label.tolist() == [0, 1]
    assert two.image_item.tolist() == [70, 80]
    assert two.name == "toy/train"


def test_first_texts_drops_pictures_before_the_ones_that_stay():
    """The rows left are renumbered, not only cut off at the end."""
    data = small(pairs=np.array([[2, 0], [1, 1], [0, 3]], np.int32)).first_texts(1)
    assert data.images[:, 0, 0, 0].tolist() == [2]
    assert data.image_names == ["7"]
    assert data.pairs.tolist() == [[0, 0]]


@pytest.mark.parametrize("count", [4, 99])
def test_first_texts_of_as_many_or_more(count):
    data = small().first_texts(count)
    assert len(data.texts) == 4
    assert data.pairs.tolist() == small().pairs.tolist()
