import numpy as np
import pytest

from mmkeras.evaluation.measuring.relevance import best_ranks, map_of_chance, relevant, relevant_rows
from mmkeras.metrics import mean_average_precision, ranks

TAGS = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]], np.uint8)
TEXT_TAGS = np.array([[0, 1, 0], [1, 1, 1], [0, 0, 0]], np.uint8)


def test_equal_categories_are_relevant():
    label, text_label = np.array([0, 0, 2]), np.array([2, 0])
    assert relevant(label, text_label).tolist() == [[False, True], [False, True], [True, False]]
    assert relevant_rows(label[:2], text_label).tolist() == [False, True]


def test_a_tag_in_common_is_enough():
    assert relevant(TAGS, TEXT_TAGS).tolist() == [
        [False, True, False],
        [True, True, False],
        [False, False, False],
        [False, True, False],
    ]
    assert relevant_rows(TAGS[:3], TEXT_TAGS).tolist() == [False, True, False]


def test_chance_is_the_share_of_relevant_pairs():
    # Two pictures and one text of 0, one picture and three texts of 1: (2 * 1 + 1 * 3) of 3 * 4 pairs.
    assert map_of_chance(np.array([0, 0, 1]), np.array([0, 1, 1, 1])) == pytest.approx(5 / 12)
    hot = np.eye(2, dtype=np.uint8)
    assert map_of_chance(hot[[0, 0, 1]], hot[[0, 1, 1, 1]]) == pytest.approx(5 / 12)


def test_chance_leaves_out_queries_without_an_answer():
    # Pictures find 1, 2, none and 1 of 3 texts; texts 1, 3 and none of 4 pictures.
    expected = (np.mean([1 / 3, 2 / 3, 1 / 3]) + np.mean([1 / 4, 3 / 4])) / 2
    assert map_of_chance(TAGS, TEXT_TAGS) == pytest.approx(expected)
    # A category of the pictures alone, and one of the texts alone.
    assert map_of_chance(np.array([0, 0, 5]), np.array([0, 1])) == pytest.approx((1 / 2 + 2 / 3) / 2)


@pytest.mark.parametrize("several", [False, True])
def test_chance_is_what_random_embeddings_reach(several):
    generator = np.random.default_rng(0)
    label, text_label = (generator.integers(0, 5, count) for count in (400, 700))
    if several:
        label, text_label = ((generator.random((count, 6)) < 0.15).astype(np.uint8) for count in (400, 700))
    image, text = (generator.normal(size=(count, 16)).astype(np.float32) for count in (400, 700))
    there = mean_average_precision(image, text, label, text_label)
    back = mean_average_precision(text, image, text_label, label)
    assert map_of_chance(label, text_label) == pytest.approx((there + back) / 2, abs=0.015)


def test_many_kinds_of_rows_are_counted_in_parts():
    """More different rows than one part of the matrix holds."""
    generator = np.random.default_rng(0)
    label = (generator.random((1100, 12)) < 0.5).astype(np.uint8)
    assert len(np.unique(label, axis=0)) > 512
    assert map_of_chance(label, label) == pytest.approx(relevant(label, label)[label.any(axis=1)].mean())


def test_ranks_by_tags_are_those_by_ids_where_an_item_has_one():
    generator = np.random.default_rng(0)
    label, gallery_label = generator.integers(0, 4, 600), generator.integers(0, 4, 50)
    # Multiples of a quarter: exact sums, and many ties.
    queries, gallery = (generator.integers(-4, 5, (count, 3)).astype(np.float32) / 4 for count in (600, 50))
    expected = ranks(queries, gallery, label, gallery_label)
    hot = np.eye(4, dtype=np.uint8)
    np.testing.assert_array_equal(best_ranks(queries, gallery, hot[label], hot[gallery_label]), expected)
    np.testing.assert_array_equal(best_ranks(queries, gallery, label, gallery_label), expected)
