"""The authors' evaluation: by hand, beside a plain loop, and what the standardisation changes."""

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.metrics import representation_map, representation_maps


def plain(query, gallery, query_label, gallery_label, normalize, excluded=None, parts=None):
    """Everything in loops: standardise, cosine, sort, average precision, mean."""

    def standardise(rows):
        rows = [list(map(float, row)) for row in rows]
        columns = []
        for column in zip(*rows, strict=True):
            mean = sum(column) / len(column)
            spread = (sum((x - mean) ** 2 for x in column) / (len(column) - 1)) ** 0.5 if len(column) > 1 else 0.0
            columns.append([(x - mean) / (spread or 1.0) for x in column])
        return [list(row) for row in zip(*columns, strict=True)]

    sets = np.split(np.asarray(gallery), np.cumsum(parts or [len(gallery)])[:-1])
    if normalize != "none":
        query = standardise(query)
    gallery = [row for part in sets for row in (standardise(part) if normalize == "both" else part)]
    found = []
    for row, (one, label) in enumerate(zip(query, query_label, strict=True)):
        scored = []
        for place, (other, its) in enumerate(zip(gallery, gallery_label, strict=True)):
            if excluded is None or excluded[row] != place:
                dot = sum(a * b for a, b in zip(one, other, strict=True))
                length = sum(a * a for a in one) ** 0.5 * sum(b * b for b in other) ** 0.5
                scored.append((-dot / length, its == label))
        precisions, right = [], 0
        for rank, (_, relevant) in enumerate(sorted(scored), 1):
            if relevant:
                right += 1
                precisions.append(right / rank)
        if precisions:
            found.append(sum(precisions) / len(precisions))
    return sum(found) / len(found)


def representations(rows, seed):
    random = np.random.default_rng(seed)
    return np.maximum(random.normal(0.5, 1, (rows, 5)) * [1, 10, 0.1, 3, 1], -0.2)


def test_the_cosine_ranks_and_not_the_length():
    # To [1, 1]: cosines 0.71 of the long one, 0.99 of the short one.
    assert representation_map([[1, 1]], [[50, 0], [0.9, 1.1]], [0], [1, 0]) == 1.0
    assert representation_map([[1, 1]], [[50, 0], [0.9, 1.1]], [0], [0, 1]) == 0.5


def test_standardised_queries_against_a_raw_gallery_by_hand():
    """Column means 3 and 5, deviations 1 and 2 (N - 1): queries become (-1, 1), (0, -1) and (1, 0)."""
    query = np.array([[2.0, 7.0], [3.0, 3.0], [4.0, 5.0]])
    gallery = np.array([[1.0, 1.0], [1.0, 3.0], [3.0, -1.0]])
    label, gallery_label = [0, 1, 2], [0, 1, 2]
    # Raw: (2, 7) ranks gallery 1, 0, 2; (3, 3) 0, 1, 2; (4, 5) 0, 1, 2: AP 1/2, 1/2, 1/3.
    assert representation_map(query, gallery, label, gallery_label) == pytest.approx((1 / 2 + 1 / 2 + 1 / 3) / 3)
    # Queries alone: (-1, 1) by y - x over the length: 1 (.63), 0 (0), 2; (0, -1): 2, 0, 1; (1, 0): 2, 0, 1.
    expected = (1 / 2 + 1 / 3 + 1) / 3
    assert representation_map(query, gallery, label, gallery_label, "query") == pytest.approx(expected)
    # The gallery too, means 5/3 and 1, deviations 1.155 and 2: (-.58, 0), (-.58, 1), (1.15, -1).
    # (-1, 1): 1 (.97), 0 (.71), 2. (0, -1): 2, 0, 1. (1, 0): 2, then 1 (-.5), 0 (-1).
    assert representation_map(query, gallery, label, gallery_label, "both") == pytest.approx((1 / 2 + 1 / 3 + 1) / 3)


def test_it_is_asymmetric():
    """Which side is standardised matters: from pictures to texts it is the pictures."""
    images, texts = representations(40, 0), representations(30, 1) + 4
    image_label, text_label = np.arange(40) % 4, np.arange(30) % 4
    maps = representation_maps(images, texts, image_label, text_label)
    assert maps["image_to_text_map_query"] == pytest.approx(plain(images, texts, image_label, text_label, "query"))
    swapped = representation_maps(texts, images, text_label, image_label)
    assert swapped["text_to_image_map_query"] == maps["image_to_text_map_query"]
    assert len({maps[f"image_to_text_map_{form}"] for form in ("none", "query", "both")}) == 3


@pytest.mark.parametrize("exclude_self", [False, True])
def test_all_forms_agree_with_a_plain_loop(exclude_self):
    images, texts = representations(23, 2), representations(31, 3)
    image_label, text_label = np.arange(23) % 5, np.arange(31) % 3
    maps = representation_maps(images, texts, image_label, text_label, exclude_self)
    expected = {}
    for form in ("none", "query", "both"):
        expected[f"image_to_text_map_{form}"] = plain(images, texts, image_label, text_label, form)
        expected[f"text_to_image_map_{form}"] = plain(texts, images, text_label, image_label, form)
    everything, labels = np.concatenate([images, texts]), np.concatenate([image_label, text_label])
    for form in ("none", "both"):
        for name, query, label, first in (("image", images, image_label, 0), ("text", texts, text_label, 23)):
            own = first + np.arange(len(query)) if exclude_self else None
            found = plain(query, everything, label, labels, form, own, (23, 31))
            expected[f"{name}_to_all_map_{form}"] = found
    assert maps == pytest.approx(expected)


def test_a_query_finds_itself_first_among_all_and_is_counted():
    images, texts = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.2], [0.2, 1.0]])
    # Of label 0 alone each: the query itself at rank 1, its text at rank 2, all relevant.
    maps = representation_maps(images, texts, [0, 1], [0, 1])
    assert maps["image_to_all_map_none"] == 1.0
    # With labels crossed: the query at 1, then the other label's text at 2, the relevant text at 4.
    crossed = representation_maps(images, texts, [0, 1], [1, 0])
    assert crossed["image_to_all_map_none"] == pytest.approx((1 + 2 / 3) / 2)
    apart = representation_maps(images, texts, [0, 1], [1, 0], exclude_self=True)
    assert apart["image_to_all_map_none"] == pytest.approx(1 / 2)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6 + 0.1])
def test_a_constant_column_says_nothing(constant):
    """Its deviation is taken as 1, and not as what rounding leaves of 0, which would blow it up."""
    query, gallery = representations(37, 4), representations(19, 5)
    label, gallery_label = np.arange(37) % 4, np.arange(19) % 4
    with_it = [np.column_stack([rows, np.full(len(rows), constant)]) for rows in (query, gallery)]
    expected = representation_map(query, gallery, label, gallery_label, "both")
    assert representation_map(*with_it, label, gallery_label, "both") == pytest.approx(expected)


def test_one_query_alone_and_rows_of_zeros_are_finite():
    """Standardised by itself a single query is zeros, of equal score with all: ties count against it."""
    assert representation_map([[3.0, 1.0]], [[3.0, 1.0], [1.0, 3.0]], [0], [0, 1], "query") == 0.5
    assert representation_map([[1.0, 0.0]], [[0.0, 0.0], [1.0, 0.0]], [0], [1, 0]) == 1.0


def test_multi_hot_labels_have_one_in_common():
    image_label = np.array([[1, 1, 0], [0, 0, 1]])
    text_label = np.array([[0, 1, 0], [1, 0, 1]])
    maps = representation_maps(np.eye(2), np.eye(2), image_label, text_label)
    assert maps["image_to_text_map_none"] == 1.0  # picture 0 shares a label with both texts, 1 with the second


def test_what_does_not_fit_is_told():
    one, label = np.eye(2), [0, 1]
    with pytest.raises(MmkerasError, match="one of none, query, both. Received: normalize='all'"):
        representation_map(one, one, label, label, "all")
    with pytest.raises(MmkerasError, match="query representations finite. Received: NaN or inf.* first in row 1"):
        representation_map([[1, 0], [np.nan, 1]], one, label, label)
    with pytest.raises(MmkerasError, match=r"gallery representations as real numbers.* shape \(2,\)"):
        representation_map(one, one[0], label, label)
    with pytest.raises(MmkerasError, match=r"gallery_parts of 2 rows together. Received: gallery_parts=\[1, 2\]"):
        representation_map(one, one, label, label, "both", gallery_parts=(1, 2))
    with pytest.raises(MmkerasError, match="same dimension"):
        representation_map(one, np.eye(3), label, [0, 1, 2])
