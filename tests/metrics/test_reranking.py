import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.metrics import reranked_metrics, retrieval_metrics

# By embedding, with the identity as the texts' embeddings; and what pairs score when they are looked at.
SIMILARITY = np.array(
    [
        [0.9, 0.8, 0.7, 0.1],
        [0.9, 0.2, 0.8, 0.1],
        [0.5, 0.6, 0.7, 0.8],
    ]
)
SCORE = np.array(
    [
        [3.0, 5.0, 9.0, 9.0],
        [1.0, 9.0, 2.0, 9.0],
        [9.0, 2.0, 1.0, 4.0],
    ]
)
IMAGE_ID, TEXT_IMAGE_ID = [0, 1, 2], [0, 1, 1, 2]


class Scores:
    """Looks scores up, and remembers what it was asked."""

    def __init__(self, scores=SCORE):
        self.scores = scores
        self.asked = []

    def __call__(self, image_rows, text_rows):
        self.asked.append(list(zip(image_rows.tolist(), text_rows.tolist(), strict=True)))
        return self.scores[image_rows, text_rows]


def reranked(similarity=SIMILARITY, score=None, image_id=IMAGE_ID, text_image_id=TEXT_IMAGE_ID, **arguments):
    score = score or Scores()
    similarity = np.asarray(similarity)
    ids = [(image_id, text_image_id)]
    return reranked_metrics(similarity, np.eye(similarity.shape[1]), score, ids, **arguments)[0]


def test_literal():
    metrics = reranked(k_test=2, ks=(1, 2, 3))
    # Images, of their two best: 0 has texts 0, 1 (3, 5), its own is 0: rank 2. 1 has 0, 2 (1, 2), its own are 1, 2:
    # rank 1. 2 has 3, 2 (4, 1), its own is 3: rank 1.
    assert metrics["image_to_text_recall@1"] == pytest.approx(2 / 3)
    assert metrics["image_to_text_mean_rank"] == pytest.approx(4 / 3)
    # Texts, of their two best: 0 has images 0 and 1, which tie by embedding (3, 1): rank 1. 1, of image 1, has 0 and 2:
    # third by embedding. 2, of image 1, has 1, and of those that tie the one that comes first, 0 (2, 9): rank 2. 3 has
    # 2 and 0 (4, 9): rank 2.
    assert [metrics[f"text_to_image_recall@{k}"] for k in (1, 2, 3)] == pytest.approx([1 / 4, 3 / 4, 1])
    assert metrics["text_to_image_mean_rank"] == pytest.approx((1 + 3 + 2 + 2) / 4)
    assert metrics["rsum"] == pytest.approx(100 * (2 / 3 + 1 / 4 + 4))


@pytest.mark.parametrize("k_test", [4, 5, 1000])
def test_where_there_are_fewer_candidates_all_are_scored(k_test):
    metrics, [scored] = reranked(k_test=k_test, ks=(1, 2, 3)), retrieval_of_scores()
    assert metrics == scored


def retrieval_of_scores():
    return [retrieval_metrics(SCORE, np.eye(4), IMAGE_ID, TEXT_IMAGE_ID, ks=(1, 2, 3))]


def test_ties_are_pessimistic():
    # Of scores: text 0 ties with text 1, which is not relevant, and text 2 with it, which is.
    collapsed = reranked(k_test=4, score=Scores(np.zeros((3, 4))))
    assert collapsed["image_to_text_mean_rank"] == pytest.approx((4 + 3 + 4) / 3)
    assert collapsed["text_to_image_mean_rank"] == 3
    # Of embeddings, at the end of the candidates: those that are not relevant are taken first, in any order of rows.
    for own in range(3):
        ids = np.roll([0, 1, 2], own)
        perfect = Scores((np.arange(3)[:, None] == ids).astype(float))
        metrics = reranked(np.zeros((3, 3)), perfect, [0, 1, 2], ids, k_test=2, ks=(1, 2, 3))
        assert metrics["image_to_text_mean_rank"] == metrics["text_to_image_mean_rank"] == 3


def test_ties_at_the_end_of_the_candidates_under_two_relevances():
    # Texts 0 and 1 look alike, and tie with 2; two candidates. By look-alikes 2 goes first, strictly 1 and 2 do.
    similarity = np.zeros((3, 3))
    strict = ([0, 1, 2], [0, 1, 2])
    alike, exact = reranked_metrics(
        similarity, np.eye(3), Scores(np.eye(3)), [([0, 0, 2], [0, 0, 2]), strict], k_test=2
    )
    # Image 0 has the candidates 2 and 1: a look-alike at rank 1 or 2, and never the very one.
    assert exact["image_to_text_mean_rank"] == 3
    assert alike["image_to_text_mean_rank"] == pytest.approx((2 + 2 + 3) / 3)


def test_a_pair_is_scored_once_in_batches_of_one_size():
    scores = Scores()
    reranked(k_test=2, score=scores, batch_size=4)
    asked = [pair for batch in scores.asked for pair in batch]
    candidates = {(0, 0), (0, 1), (1, 0), (1, 2), (2, 3), (2, 2)} | {(2, 1), (0, 2), (0, 3)}
    assert {len(batch) for batch in scores.asked} == {4}
    assert set(asked) == candidates
    assert asked[: len(candidates)] == sorted(candidates)
    assert set(asked[len(candidates) :]) == {max(candidates)}


def slow_rank(similarity, score, relevant, k):
    """One query: the candidates by score, then the others by similarity; of equals, the relevant last."""
    items = sorted(range(len(similarity)), key=lambda item: (-similarity[item], relevant[item], item))
    first = sorted(items[:k], key=lambda item: (-score[item], relevant[item]))
    return 1 + [relevant[item] for item in first + items[k:]].index(True)


@pytest.mark.parametrize("k", [1, 3, 20, 70])
@pytest.mark.parametrize("chunk_size", [64, 4096])
def test_agrees_with_a_plain_loop(k, chunk_size):
    random = np.random.default_rng(k)
    image_id = random.permutation(np.concatenate([np.arange(40), random.integers(0, 40, 30)]))
    text_id = random.permutation(np.concatenate([np.arange(40), random.integers(0, 40, 110)]))
    # Multiples of 1/4, in 3 dimensions: exact products, and many ties.
    images, texts = (np.round(random.normal(size=(rows, 3)) * 2) / 4 for rows in (70, 150))
    score = np.round(random.normal(size=(70, 150)), 1).astype(np.float32)
    [metrics] = reranked_metrics(
        images, texts, Scores(score), [(image_id, text_id)], k, (1, 5, 10, 50), batch_size=256, chunk_size=chunk_size
    )
    relevant, similarity = image_id[:, None] == text_id, images @ texts.T
    for direction, arrays in (
        ("image_to_text", (similarity, score, relevant)),
        ("text_to_image", (similarity.T, score.T, relevant.T)),
    ):
        ranks = np.array([slow_rank(*rows, k) for rows in zip(*arrays, strict=True)])
        assert metrics[f"{direction}_median_rank"] == np.median(ranks)
        assert metrics[f"{direction}_mean_rank"] == pytest.approx(np.mean(ranks), rel=1e-12)
        for at in (1, 5, 10, 50):
            assert metrics[f"{direction}_recall@{at}"] == np.mean(ranks <= at)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k_test": 0}, "k_test a positive integer. Received: k_test=0"),
        ({"batch_size": 1.5}, "batch_size a positive integer"),
        ({"image_id": [0, 1, 7]}, "among text_image_id. Received: image_id.2. = 7"),
        ({"score": lambda image, text: np.zeros(3)}, r"a score a pair, \(64,\). Received: shape \(3,\)"),
        (
            {"score": lambda image, text: np.where((image == 1) & (text == 2), np.nan, 0)},
            "Received: NaN or infinity for image 1 and text 2",
        ),
    ],
)
def test_what_is_refused(change, message):
    with pytest.raises(MmkerasError, match=message):
        reranked(**change)


def test_there_must_be_a_way_to_be_relevant():
    with pytest.raises(MmkerasError, match="Expected ids as a list of at least one pair"):
        reranked_metrics(SIMILARITY, np.eye(4), Scores(), [])
