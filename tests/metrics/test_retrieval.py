import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from mmkeras.errors import MmkerasError
from mmkeras.metrics import fold_metrics, mean_average_precision, ranks, retrieval_metrics
from mmkeras.metrics.retrieval import _average_precision

# Scores are given literally: with the identity as the texts' embeddings, the images' rows are the score matrix.
SCORES = np.array(
    [
        [0.9, 0.1, 0.8, 0.7, 0.2, 0.0, 0.3, 0.4],
        [0.5, 0.4, 0.6, 0.3, 0.1, 0.2, 0.0, 0.7],
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
        [0.2, 0.3, 0.1, 0.0, 0.4, 0.9, 0.8, 0.5],
    ]
)
IMAGE_ID = [0, 1, 2, 3]
TEXT_IMAGE_ID = [0, 0, 1, 1, 2, 2, 3, 3]
# By hand. Images: 0 has text 0 first; 1 has text 2 (.6) behind 7; 2 has text 5 (.6) behind 7, 6; 3 has 6 (.8) behind 5.
IMAGE_RANKS = [1, 2, 3, 2]
# Texts, down the columns: 0 first; 1 (.1) last of .4 .3 .2; 2 (.6) behind .8; 3 (.3) behind .7 .4; 4 first (.5);
# 5 (.6) behind .9; 6 first (.8); 7 (.5) behind .8 .7.
TEXT_RANKS = [1, 4, 2, 3, 1, 2, 1, 3]


def unit(random, *shape):
    array = random.normal(size=shape).astype(np.float32)
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


def slow_ranks(scores, query_id, gallery_id):
    """One query, one item at a time."""
    result = []
    for row, own in zip(scores, query_id, strict=True):
        best = max(score for score, other in zip(row, gallery_id, strict=True) if other == own)
        irrelevant = [score for score, other in zip(row, gallery_id, strict=True) if other != own]
        result.append(1 + sum(score >= best for score in irrelevant))
    return result


def slow_average_precision(scores, relevant, k):
    order = sorted(range(len(scores)), key=lambda item: (-scores[item], relevant[item]))[:k]
    hits = [position for position, item in enumerate(order, 1) if relevant[item]]
    return sum(nth / position for nth, position in enumerate(hits, 1)) / min(k, sum(relevant))


def test_literal_four_by_eight():
    metrics = retrieval_metrics(SCORES, np.eye(8), IMAGE_ID, TEXT_IMAGE_ID, ks=(1, 2, 3, 8))
    assert metrics == pytest.approx(
        {
            "image_to_text_recall@1": 1 / 4,
            "image_to_text_recall@2": 3 / 4,
            "image_to_text_recall@3": 1,
            "image_to_text_recall@8": 1,
            "image_to_text_median_rank": 2,
            "image_to_text_mean_rank": 2,
            "text_to_image_recall@1": 3 / 8,
            "text_to_image_recall@2": 5 / 8,
            "text_to_image_recall@3": 7 / 8,
            "text_to_image_recall@8": 1,
            "text_to_image_median_rank": 2,
            "text_to_image_mean_rank": 17 / 8,
            "rsum": 100 * (1 / 4 + 3 / 8 + 4),  # at 1, 5 and 10, whatever ks
        }
    )


def test_literal_ranks_do_not_depend_on_the_order_of_rows():
    assert ranks(SCORES, np.eye(8), IMAGE_ID, TEXT_IMAGE_ID).tolist() == IMAGE_RANKS
    assert ranks(np.eye(8), SCORES, TEXT_IMAGE_ID, IMAGE_ID).tolist() == TEXT_RANKS
    texts = np.random.default_rng(0).permutation(8)
    images = np.array([2, 0, 3, 1])
    shuffled = SCORES[images], np.eye(8)[texts], np.array(IMAGE_ID)[images], np.array(TEXT_IMAGE_ID)[texts]
    assert ranks(*shuffled).tolist() == [IMAGE_RANKS[i] for i in images]
    assert ranks(shuffled[1], shuffled[0], shuffled[3], shuffled[2]).tolist() == [TEXT_RANKS[i] for i in texts]


def test_uneven_numbers_of_captions_and_text_ids():
    # c has one caption, a has three; the item of "zz" is relevant to no query and only in the way.
    scores = [[0.1, 0.2, 0.3, 0.9, 0.8], [0.1, 0.2, 0.4, 0.3, 0.5]]
    assert ranks(scores, np.eye(5), ["a", "c"], ["a", "a", "a", "c", "zz"]).tolist() == [3, 3]


def test_look_alikes_are_another_id_vector():
    scores = [[0.8, 0.9, 0.1], [0.9, 0.8, 0.1], [0.0, 0.1, 0.9]]
    strict = retrieval_metrics(scores, np.eye(3), [0, 1, 2], [0, 1, 2])
    alike = retrieval_metrics(scores, np.eye(3), [0, 0, 2], [0, 0, 2])
    assert strict["image_to_text_recall@1"] == pytest.approx(1 / 3)
    assert alike["image_to_text_recall@1"] == alike["text_to_image_recall@1"] == 1


def test_ties_are_pessimistic():
    # Relevant items tied with each other do not count against each other; irrelevant ones tied with the best do.
    assert ranks([[0.5, 0.5, 0.5, 0.4]], np.eye(4), [1], [1, 1, 2, 2]).tolist() == [2]
    assert ranks([[-0.0, 0.0]], np.eye(2), [1], [1, 2]).tolist() == [2]


@pytest.mark.parametrize(
    ("images", "captions", "dimension", "chunk_size"), [(3, 1, 5, 1), (97, 3, 37, 64), (311, 5, 64, 200)]
)
def test_a_collapsed_model_ranks_last(images, captions, dimension, chunk_size):
    point = unit(np.random.default_rng(images), 1, dimension)
    ids = np.arange(images)
    metrics = retrieval_metrics(
        np.repeat(point, images, 0), np.repeat(point, images * captions, 0), ids, np.repeat(ids, captions),
        chunk_size=chunk_size,
    )  # fmt: skip
    assert metrics["image_to_text_mean_rank"] == (images - 1) * captions + 1
    assert metrics["text_to_image_mean_rank"] == images
    assert mean_average_precision(
        np.repeat(point, images, 0), np.repeat(point, images, 0), ids, ids, chunk_size=chunk_size
    ) == pytest.approx(1 / images)


@pytest.mark.parametrize("chunk_size", [1, 70, 128, 10_000])
@pytest.mark.parametrize("decimals", [None, 1])
def test_ranks_agree_with_a_plain_loop(chunk_size, decimals):
    random = np.random.default_rng(1)
    image_id = random.permutation(np.concatenate([np.arange(90), random.integers(0, 90, 60)])) - 40
    text_id = random.permutation(np.concatenate([np.arange(90), random.integers(0, 90, 200)])) - 40
    images, texts = random.normal(size=(150, 7)), random.normal(size=(290, 7))
    if decimals:  # multiples of 1/8: exact products, many ties
        images, texts = np.round(images * 2) / 8, np.round(texts * 2) / 8
    images, texts = images.astype(np.float32), texts.astype(np.float32)
    scores = images.astype(np.float64) @ texts.T.astype(np.float64)
    by_image, by_text = slow_ranks(scores, image_id, text_id), slow_ranks(scores.T, text_id, image_id)
    assert ranks(images, texts, image_id, text_id, chunk_size=chunk_size).tolist() == by_image
    metrics = retrieval_metrics(images, texts, image_id, text_id, ks=(1, 5, 10, 50), chunk_size=chunk_size)
    for direction, expected in (("image_to_text", by_image), ("text_to_image", by_text)):
        assert metrics[f"{direction}_mean_rank"] == pytest.approx(np.mean(expected), rel=1e-12)
        assert metrics[f"{direction}_median_rank"] == np.median(expected)
        for k in (1, 5, 10, 50):
            assert metrics[f"{direction}_recall@{k}"] == pytest.approx(np.mean(np.array(expected) <= k))


def test_counts_do_not_overflow_their_bytes():
    # 600 rows and 2,400 columns in one tile, and all of them reach: more than a byte counts, in both directions.
    count, captions = 600, 4
    images = np.ones((count, 1))
    texts = np.ones((count * captions, 1))
    ids = np.arange(count)
    metrics = retrieval_metrics(images, texts, ids, np.repeat(ids, captions), chunk_size=4096)
    assert metrics["image_to_text_median_rank"] == (count - 1) * captions + 1
    assert metrics["text_to_image_median_rank"] == count


@pytest.mark.parametrize("classes", [1, 3, 40])
def test_more_relevant_tiles_than_are_kept(monkeypatch, classes):
    monkeypatch.setattr("mmkeras.metrics.score_tiles._KEPT_BYTES", 2 * 64 * 64 * 4)
    random = np.random.default_rng(2)
    images, texts = random.integers(-9, 9, (150, 4)), random.integers(-9, 9, (220, 4))
    image_id, text_id = (random.permutation(np.arange(count) % classes) for count in (150, 220))
    metrics = retrieval_metrics(images, texts, image_id, text_id, chunk_size=64)
    scores = images @ texts.T
    assert metrics["image_to_text_mean_rank"] == pytest.approx(np.mean(slow_ranks(scores, image_id, text_id)))
    assert metrics["text_to_image_mean_rank"] == pytest.approx(np.mean(slow_ranks(scores.T, text_id, image_id)))
    if classes == 1:
        assert metrics["image_to_text_mean_rank"] == metrics["text_to_image_mean_rank"] == 1


def test_folds_see_only_their_own_texts():
    # Texts of the other fold score highest everywhere: the whole gallery ranks badly, each fold perfectly.
    scores = np.array([[0.5, 0.1, 0.9, 0.9], [0.1, 0.5, 0.9, 0.9], [0.9, 0.9, 0.5, 0.1], [0.9, 0.9, 0.5, 0.1]])
    whole = retrieval_metrics(scores, np.eye(4), range(4), range(4), ks=(1,))
    folds = fold_metrics(scores, np.eye(4), range(4), range(4), folds=2, ks=(1,))
    assert whole["image_to_text_recall@1"] == 0
    assert folds["image_to_text_recall@1"] == 3 / 4  # 1 in the first fold, 1/2 in the second
    assert folds["text_to_image_recall@1"] == 1 / 2  # 1 in the first; in the second both columns are ties
    assert folds["rsum"] == pytest.approx(100 * (3 / 4 + 1 / 2 + 4))


def test_folds_are_the_mean_over_consecutive_images_with_texts_in_any_order():
    random = np.random.default_rng(3)
    images, texts = unit(random, 20, 6), unit(random, 60, 6)
    text_image_id = random.permutation(np.repeat(np.arange(20), 3))
    parts = []
    for first in range(0, 20, 4):
        own = [row for row in range(60) if first <= text_image_id[row] < first + 4]
        parts.append(
            retrieval_metrics(images[first : first + 4], texts[own], range(first, first + 4), text_image_id[own])
        )
    folds = fold_metrics(images, texts, range(20), text_image_id)
    assert folds == pytest.approx({name: np.mean([part[name] for part in parts]) for name in parts[0]})


def test_average_precision_literal():
    scores = np.array([[0.9, 0.8, 0.7, 0.6], [0.1, 0.4, 0.3, 0.2]])
    # Query 0, labels 1 0 1 0 in rank order: (1/1 + 2/3) / 2. Query 1 is of label 0: ranks 1 and 3, the same.
    value = mean_average_precision(scores, np.eye(4), [1, 0], [1, 0, 1, 0])
    assert value == pytest.approx((1 + 2 / 3) / 2)
    # At 1: one hit of min(1, 2). At 2: one hit at rank 1 of min(2, 2).
    assert mean_average_precision(scores, np.eye(4), [1, 0], [1, 0, 1, 0], k=1) == 1
    assert mean_average_precision(scores, np.eye(4), [1, 0], [1, 0, 1, 0], k=2) == 1 / 2
    # Ties: the two irrelevant ones come first, the relevant ones then at 3 and 4.
    tied = mean_average_precision([[0.5] * 4], np.eye(4), [1], [1, 0, 1, 0])
    assert tied == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert mean_average_precision([[0.5] * 4], np.eye(4), [1], [1, 0, 1, 0], k=2) == 0
    # Negative scores keep their order, and minus zero ties with zero.
    assert mean_average_precision([[-3.0, 0.5, -1.0, -2.0]], np.eye(4), [1], [1, 0, 0, 1]) == pytest.approx(5 / 12)
    assert _average_precision(np.array([[-0.0, 0.0]], np.float32), np.array([[False, True]]), 2).tolist() == [1 / 2]


def test_multi_label_is_relevant_with_one_label_in_common():
    scores = [[0.9, 0.8, 0.7]]
    value = mean_average_precision(scores, np.eye(3), [[1, 1, 0]], [[0, 1, 1], [0, 0, 1], [1, 0, 0]])
    assert value == pytest.approx((1 + 2 / 3) / 2)


def test_queries_without_a_relevant_item_are_left_out():
    scores = [[0.9, 0.8], [0.9, 0.8]]
    assert mean_average_precision(scores, np.eye(2), [1, 5], [0, 1]) == 1 / 2
    assert mean_average_precision(scores, np.eye(2), [[0, 1], [0, 0]], [[1, 0], [0, 1]]) == 1 / 2
    with pytest.raises(MmkerasError, match="at least one query with a relevant"):
        mean_average_precision(scores, np.eye(2), [4, 5], [0, 1])


def test_exclude_self_takes_the_query_out_of_its_own_results():
    items = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]])
    label = [0, 1, 0, 1]
    # Results without the query: 0: 1 2 3 (2 is relevant). 1: 2 0 3 (3). 2: 1 3 0 (0). 3: 2 1 0 (1).
    expected = (1 / 2 + 1 / 3 + 1 / 3 + 1 / 2) / 4
    assert mean_average_precision(items, items, label, label, exclude_self=True) == pytest.approx(expected)
    assert mean_average_precision(items, items, label, label) > expected
    with pytest.raises(MmkerasError, match="itself apart"):
        mean_average_precision(items, items, range(4), range(4), exclude_self=True)
    # Of two queries with a gallery that goes on after them: 0: 1 2 3 and 1: 2 0 3.
    assert mean_average_precision(items[:2], items, label[:2], label, exclude_self=True) == pytest.approx(5 / 12)
    with pytest.raises(MmkerasError, match="4 queries, 3 gallery items"):
        mean_average_precision(items, items[:3], label, label[:3], exclude_self=True)


@pytest.mark.parametrize("multi", [False, True])
def test_average_precision_agrees_with_scikit_learn_and_a_plain_loop(multi):
    random = np.random.default_rng(4)
    queries, gallery = unit(random, 75, 9), unit(random, 333, 9)
    if multi:
        query_label, gallery_label = random.random((75, 12)) < 0.2, random.random((333, 12)) < 0.2
        query_label[0] = False
        relevant = np.array([[bool((a & b).any()) for b in gallery_label] for a in query_label])
    else:
        query_label, gallery_label = random.integers(0, 8, 75), random.integers(0, 7, 333)
        relevant = query_label[:, None] == gallery_label
    scores = queries.astype(np.float64) @ gallery.T.astype(np.float64)
    some = np.flatnonzero(relevant.any(axis=1))
    assert 0 < len(some) < 75
    expected = np.mean([average_precision_score(relevant[i], scores[i]) for i in some])
    value = mean_average_precision(queries, gallery, query_label, gallery_label, chunk_size=32)
    assert value == pytest.approx(expected, abs=1e-6)
    for k in (1, 10, 332, 500):
        expected = np.mean([slow_average_precision(scores[i], relevant[i], min(k, 333)) for i in some])
        assert mean_average_precision(queries, gallery, query_label, gallery_label, k=k) == pytest.approx(
            expected, abs=1e-6
        )


def test_average_precision_with_many_ties_agrees_with_a_plain_loop():
    random = np.random.default_rng(5)
    queries, gallery = random.integers(-2, 3, (40, 3)), random.integers(-2, 3, (90, 3))
    query_label, gallery_label = random.integers(0, 4, 40), random.integers(0, 4, 90)
    for k in (None, 7):
        expected = np.mean([
            slow_average_precision(gallery @ query, gallery_label == label, k or 90)
            for query, label in zip(queries, query_label, strict=True)
        ])  # fmt: skip
        assert mean_average_precision(queries, gallery, query_label, gallery_label, k=k) == pytest.approx(expected)


NAN_ROW_2 = np.where(np.arange(4)[:, None] == 2, np.nan, SCORES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_embeddings": NAN_ROW_2}, r"image_embeddings finite .* NaN or infinity in 1 of 4 rows, first in row 2"),
        ({"image_embeddings": SCORES * 1e300}, r"image_embeddings finite in float32"),
        ({"image_embeddings": SCORES * 1e38, "text_embeddings": np.eye(8) * 1e38}, "within float32"),
        ({"image_embeddings": SCORES[0]}, r"image_embeddings .* shape \(rows, D\).*shape \(8,\)"),
        ({"image_embeddings": SCORES[:0], "image_id": []}, r"neither zero.*shape \(0, 8\)"),
        ({"image_embeddings": SCORES[:, :5]}, "same dimension. Received: 5 and 8"),
        ({"image_embeddings": SCORES.astype(str)}, "real numbers"),
        ({"image_id": [0, 1, 2]}, r"image_id as integers or strings of shape \(4,\).*shape \(3,\)"),
        ({"image_id": [0.0, 1.0, 2.0, 3.0]}, "image_id as integers or strings .* float64"),
        ({"image_id": list("abcd")}, "of one type"),
        ({"image_id": [0, 1, 7, 3]}, r"every image_id among text_image_id. Received: image_id\[2\] = 7"),
        ({"text_image_id": [0, 0, 1, 1, 2, 2, 3, 9]}, r"text_image_id\[7\] = 9, which is not \(1 such rows of 8\)"),
        ({"ks": (1, 0)}, "positive integer. Received: k in ks=0"),
        ({"ks": 5}, "ks as positive integers"),
        ({"ks": ()}, "ks as positive integers"),
        ({"chunk_size": 0}, "chunk_size a positive integer"),
        ({"chunk_size": True}, "chunk_size a positive integer"),
    ],
)  # fmt: skip
def test_what_retrieval_metrics_refuses(change, message):
    given = {
        "image_embeddings": SCORES,
        "text_embeddings": np.eye(8),
        "image_id": IMAGE_ID,
        "text_image_id": TEXT_IMAGE_ID,
    }
    with pytest.raises(MmkerasError, match=message):
        retrieval_metrics(**(given | change))


def test_fold_metrics_refuses_unequal_folds_and_names_rows_of_the_whole():
    with pytest.raises(MmkerasError, match="equal folds. Received: 4 images, folds=3"):
        fold_metrics(SCORES, np.eye(8), IMAGE_ID, TEXT_IMAGE_ID, folds=3)
    with pytest.raises(MmkerasError, match=r"text_image_id\[7\] = 9"):
        fold_metrics(SCORES, np.eye(8), IMAGE_ID, [0, 0, 1, 1, 2, 2, 3, 9], folds=2)


@pytest.mark.parametrize(
    ("query_label", "gallery_label", "message"),
    [
        ([0, 1, -1, 0], np.zeros(8, int), "query_label labels of 0 and above. Received: -1 in row 2"),
        (np.zeros(4, int), [[0, 2]] * 8, "gallery_label 0 or 1. Received: 2 in row 0"),
        (np.zeros(4, int), [[0.0, np.nan]] * 8, "gallery_label 0 or 1. Received: nan in row 0"),
        (np.zeros(4), np.zeros(8, int), "query_label as integers .* float64"),
        (np.zeros(3, int), np.zeros(8, int), r"query_label .* shape \(4,\)"),
        (np.zeros((4, 2)), np.zeros((8, 3)), "of one kind"),
        (np.zeros(4, int), np.zeros((8, 3)), "of one kind"),
        (0, np.zeros(8, int), "query_label as integers"),
    ],
)
def test_what_mean_average_precision_refuses(query_label, gallery_label, message):
    with pytest.raises(MmkerasError, match=message):
        mean_average_precision(SCORES, np.eye(8), query_label, gallery_label)


def test_k_is_a_positive_integer():
    with pytest.raises(MmkerasError, match="k a positive integer. Received: k=0"):
        mean_average_precision(SCORES, np.eye(8), IMAGE_ID, TEXT_IMAGE_ID, k=0)


def test_inputs_are_left_as_they_were():
    images, texts = SCORES.astype(np.float32), np.eye(8, dtype=np.float32)
    copies = images.copy(), texts.copy()
    retrieval_metrics(images, texts, IMAGE_ID, TEXT_IMAGE_ID)
    mean_average_precision(images, texts, IMAGE_ID, TEXT_IMAGE_ID)
    np.testing.assert_array_equal(images, copies[0])
    np.testing.assert_array_equal(texts, copies[1])


def test_imports_without_tensorflow():
    code = "import sys, mmkeras.metrics.retrieval; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
