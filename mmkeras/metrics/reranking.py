"""Retrieval in two steps: the best by embedding, in the order of a slower and better score of pairs."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmkeras.errors import MmkerasError
from mmkeras.metrics.checks import check_embeddings, check_ids, check_ks, check_positive
from mmkeras.metrics.ids import related, related_candidates
from mmkeras.metrics.retrieval import metrics_of_ranks
from mmkeras.metrics.score_tiles import falling_keys, ranks_both_ways, score_blocks
from mmkeras.progress import Progress


def reranked_metrics(
    image_embeddings: ArrayLike,
    text_embeddings: ArrayLike,
    score_pairs: Callable[[NDArray[np.int64], NDArray[np.int64]], ArrayLike],
    ids: Iterable[tuple[ArrayLike, ArrayLike]],
    k_test: int = 128,
    ks: Sequence[int] = (1, 5, 10),
    batch_size: int = 64,
    chunk_size: int = 128,
) -> list[dict[str, float]]:
    """The metrics of `retrieval_metrics`, after each query's `k_test` best by embedding were scored and ordered anew.

    The other items stay behind them, as the embeddings have them. A pair that is among the best both of its image and
    of its text is scored once. Ties are pessimistic: among items of equal score, where the best end too, the relevant
    ones are last. With `k_test` 1 nothing but such ties can change.

    Memory, beside that of `score_pairs`: about 30 bytes x `chunk_size` x the larger of N and M, and then 60 bytes x
    `k_test` x (N + M).

    Args:
        image_embeddings: float array (N, D), finite.
        text_embeddings: float array (M, D), finite.
        score_pairs: function of two int64 arrays (B,), rows of images and of texts that make pairs, that returns their
            scores (B,), finite, of which the higher is the better. It is always asked for `batch_size` pairs, so that
            equal pairs get equal scores; the last one is repeated where there are not as many. Pairs come in the order
            of their images.
        ids: list of the ways in which items are relevant to each other, pairs of `image_id` and `text_image_id`, see
            `retrieval_metrics`. All of them are measured on the same scores.
        k_test: candidates a query, 1 or more; with the gallery's size or more all items are scored.
        ks: cut-offs of recall, see `retrieval_metrics`.
        batch_size: pairs that are scored at a time.
        chunk_size: queries whose embeddings are compared at a time; changes memory, not the result.

    Returns:
        A list of dicts, one for each of `ids`, with the keys of `retrieval_metrics`.

    Raises:
        MmkerasError: as `retrieval_metrics`; scores of another shape or not finite, with the pair.

    Example:
        >>> scores = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
        >>> [metrics] = reranked_metrics(
        ...     np.eye(3), np.eye(3), lambda image, text: scores[image, text], [(range(3), range(3))], k_test=2
        ... )
        >>> metrics["image_to_text_recall@1"]
        0.333...

    Reference:
        Li et al. 2021 (ALBEF, arXiv 2107.07651), section 4, and its code, where the k of Flickr30k is 128, of COCO 256.
    """
    ks, k_test, batch_size = check_ks(ks), check_positive("k_test", k_test), check_positive("batch_size", batch_size)
    chunk_size = check_positive("chunk_size", chunk_size)
    images, texts = check_embeddings("image_embeddings", image_embeddings, "text_embeddings", text_embeddings)
    pairs = [check_ids("image_id", one, len(images), "text_image_id", other, len(texts)) for one, other in ids]
    if not pairs:
        raise MmkerasError("Expected ids as a list of at least one pair, (image_id, text_image_id). Received: ids=[]")
    to_text = _nearest(images, texts, pairs, k_test, chunk_size)
    to_image = _nearest(texts, images, [pair[::-1] for pair in pairs], k_test, chunk_size)
    of_images, of_texts = _scores_both_ways(to_text, to_image, score_pairs, batch_size)
    found = []
    for image_id, text_image_id in pairs:
        by_image, by_text = ranks_both_ways(images, texts, image_id, text_image_id, chunk_size)
        by_direction = (
            _ranks(to_text, of_images, image_id, text_image_id, by_image),
            _ranks(to_image, of_texts, text_image_id, image_id, by_text),
        )
        found.append(metrics_of_ranks(by_direction, ks))
    return found


def _nearest(queries, gallery, ids, k, chunk_size):
    """Rows of the k best gallery items of each query, (N, k or less), by the inner product; see `reranked_metrics`.

    One plain sort of integers, as for the average precision: `falling_keys`, below them in how many ways an item is
    relevant, and its row.
    """
    size = len(gallery)
    k, row_bits, way_bits = min(k, size), size.bit_length(), len(ids).bit_length()
    best = np.empty((len(queries), k), np.int64)
    for rows, scores in score_blocks(queries, gallery, chunk_size):
        keys = falling_keys(scores) << way_bits
        for query_id, gallery_id in ids:
            keys += related(query_id[rows], gallery_id)
        keys = (keys << row_bits) | np.arange(size)
        if k < size:
            keys = np.partition(keys, k - 1, axis=1)[:, :k]
        best[rows] = np.sort(keys, axis=1) & ((1 << row_bits) - 1)
    return best


def _scores_both_ways(to_text, to_image, score_pairs, batch_size):
    """Scores of the candidates of images (N, k) and of texts (M, l), each pair's only once, in batches of one size."""
    texts = len(to_image)
    codes = [
        (np.arange(len(to_text))[:, None] * texts + to_text).ravel(),
        (to_image * texts + np.arange(texts)[:, None]).ravel(),
    ]
    pairs, place = np.unique(np.concatenate(codes), return_inverse=True)
    scores = np.empty(len(pairs), np.float32)
    with Progress("Re-ranking by match", len(pairs), "pair") as bar:
        for start in range(0, len(pairs), batch_size):
            batch = pairs[start : start + batch_size]
            whole = np.concatenate([batch, np.repeat(batch[-1:], batch_size - len(batch))])
            received = np.asarray(score_pairs(*np.divmod(whole, texts)))
            if received.shape != whole.shape:
                raise MmkerasError(
                    f"Expected score_pairs to return a score a pair, {whole.shape}. Received: shape {received.shape}"
                )
            if not np.isfinite(received).all():
                image, text = np.divmod(whole[np.argmin(np.isfinite(received))], texts)
                raise MmkerasError(
                    f"Expected score_pairs to return finite scores. Received: NaN or infinity for image {image} and "
                    f"text {text}"
                )
            scores[start : start + batch_size] = received[: len(batch)]
            bar.advance(len(batch))
    of_images, of_texts = np.split(scores[place.ravel()], [to_text.size])
    return of_images.reshape(to_text.shape), of_texts.reshape(to_image.shape)


def _ranks(candidates, scores, query_id, gallery_id, embedding_rank):
    """Rank of each query's best relevant item: among the candidates by score, else the one that the embeddings give.

    That one holds where no candidate is relevant: all of them come before. (It was computed in other tiles, and might
    be smaller by the last bit of a product.)
    """
    relevant = related_candidates(query_id, gallery_id[candidates])
    best = np.where(relevant, scores, -np.inf).max(axis=1)
    ahead = np.sum(~relevant & (scores >= best[:, None]), axis=1)
    behind = np.maximum(embedding_rank, candidates.shape[1] + 1)
    return np.where(relevant.any(axis=1), 1 + ahead, behind)
