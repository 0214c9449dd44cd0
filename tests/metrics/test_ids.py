"""Items with several ids: every metric beside a slow count over the matrix of what is relevant."""

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.ids import NO_ID
from mmkeras.metrics.ids import linked_groups, related, relevant_codes
from mmkeras.metrics.reranking import reranked_metrics
from mmkeras.metrics.retrieval import ranks, retrieval_metrics


def case(images=37, texts=90, several=3, ids=25, seed=0):
    """Random pictures with up to three ids each, and texts; every id of a text is one of a picture, and the reverse."""
    random = np.random.default_rng(seed)
    image_id = np.full((images, several), NO_ID)
    for row in image_id:
        own = random.choice(ids, random.integers(1, several + 1), replace=False)
        row[: len(own)] = own
    text_id = random.choice(np.setdiff1d(image_id, [NO_ID]), texts)
    image_id[~np.isin(image_id, text_id).any(axis=1), 0] = text_id[0]
    vectors = random.integers(-3, 4, (images + texts, 4)).astype("float32")  # whole numbers: exact scores, with ties
    return vectors[:images], vectors[images:], image_id, text_id


def slow_ranks(queries, gallery, relevant):
    scores = queries @ gallery.T
    best = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True)
    return 1 + np.sum(~relevant & (scores >= best), axis=1)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sizes", [(37, 90, 3, 25), (1, 5, 2, 3), (200, 150, 4, 400), (80, 300, 1, 9)])
def test_ranks_both_ways(seed, sizes):
    images, texts, image_id, text_id = case(*sizes, seed=seed)
    relevant = (image_id[:, :, None] == text_id).any(axis=1)
    to_text = ranks(images, texts, image_id, text_id, chunk_size=64)
    assert to_text.tolist() == slow_ranks(images, texts, relevant).tolist()
    to_image = ranks(texts, images, text_id, image_id, chunk_size=64)
    assert to_image.tolist() == slow_ranks(texts, images, relevant.T).tolist()
    both = retrieval_metrics(images, texts, image_id, text_id, chunk_size=64)
    assert both["image_to_text_mean_rank"] == pytest.approx(np.mean(to_text))
    assert both["text_to_image_mean_rank"] == pytest.approx(np.mean(to_image))


def test_one_id_a_row_is_a_vector_of_ids():
    images, texts, image_id, text_id = case(several=1)
    column, vector = (retrieval_metrics(images, texts, ids, text_id) for ids in (image_id, image_id[:, 0]))
    assert column == vector


def test_a_perfect_model_is_perfect_where_captions_are_shared():
    """Three pictures of one caption, of which one has another caption too."""
    images = np.eye(3)[[0, 0, 0]] + [[0, 0, 0], [0, 0, 0], [0, 0.5, 0]]
    texts = np.eye(3)[[0, 0, 0, 1]]
    metrics = retrieval_metrics(images, texts, [[7, -1], [7, -1], [7, 2]], [7, 7, 7, 2])
    assert metrics["image_to_text_recall@1"] == metrics["text_to_image_recall@1"] == 1
    strict = retrieval_metrics(images, texts, [0, 1, 2], [0, 1, 2, 2])
    assert strict["image_to_text_recall@1"] == 0


def test_reranking_knows_several_ids():
    images, texts, image_id, text_id = case()
    scores = np.random.default_rng(3).normal(size=(len(images), len(texts)))
    relevant = (image_id[:, :, None] == text_id).any(axis=1)
    [found] = reranked_metrics(
        images, texts, lambda image, text: scores[image, text], [(image_id, text_id)], k_test=len(texts)
    )
    for direction, expected in (
        ("image_to_text", slow_by_score(scores, relevant)),
        ("text_to_image", slow_by_score(scores.T, relevant.T)),
    ):
        assert found[f"{direction}_mean_rank"] == pytest.approx(np.mean(expected))


def slow_by_score(scores, relevant):
    best = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True)
    return 1 + np.sum(~relevant & (scores >= best), axis=1)


def test_codes_say_what_is_relevant():
    for seed in range(5):
        _, _, image_id, text_id = case(seed=seed)
        for one, other in ((image_id, text_id), (text_id, image_id), (text_id, text_id[:7])):
            row, column, start, columns = relevant_codes(one, other)
            found = [set(columns[start[code] : start[code + 1]]) for code in row]
            assert [[code in own for code in column] for own in found] == related(one, other).tolist()


def test_groups_are_linked_over_others():
    images, texts = linked_groups(np.array([[1, 2], [2, 3], [4, -1], [5, -1]]), np.array([3, 1, 5, 8]))
    assert images[0] == images[1] == texts[0] == texts[1]
    assert images[3] == texts[2]
    assert len({images[0], images[2], images[3], texts[3]}) == 4
    alone = np.array([3, 4]), np.array([4, 4])
    assert all(one is other for one, other in zip(linked_groups(*alone), alone, strict=True))


def test_several_ids_on_both_sides_are_refused():
    with pytest.raises(MmkerasError, match=r"several ids an item in one of image_id and text_image_id.*\(2, 1\)"):
        retrieval_metrics(np.eye(2), np.eye(2), [[1], [2]], [[1], [2]])
