"""Retrieval metrics from embeddings: recall, ranks, rsum, the COCO folds and mean average precision.

A score is the inner product of two embeddings in float32 (the cosine, where embeddings have unit norm). Ties are
pessimistic everywhere: an irrelevant item counts before every relevant item of equal score, so that a collapsed model,
to which all items are the same, ranks last and not first.

Embeddings that are equal have equal scores, on every processor. Embeddings that differ, be it in the last bit, have
scores of their own; where only rounding tells two scores apart, some 1e-7 of the norms, the processor decides which is
the higher, and no tie is seen. That concerns a model that is all but collapsed, and copies of an item to which an
encoder gave embeddings a bit apart.

The score matrix is never held as a whole (`score_tiles.py`).
"""

import numpy as np

from mmkeras.errors import MmkerasError
from mmkeras.metrics.checks import check_embeddings, check_ids, check_ks, check_labels, check_positive
from mmkeras.metrics.score_tiles import falling_keys, ranks_both_ways, score_blocks

RSUM_KS = (1, 5, 10)


def retrieval_metrics(image_embeddings, text_embeddings, image_id, text_image_id, ks=(1, 5, 10), chunk_size=1024):
    """Recall@k, median and mean rank of image-to-text and text-to-image retrieval, and their rsum.

    A text is relevant to an image, and the image to the text, when `text_image_id` of the one equals `image_id` of the
    other; any number of relevant items on both sides, in any order. A query's rank is that of its best relevant item,
    from 1. Look-alikes that shall count as relevant to each other are the same call with another pair of id vectors.

    Args:
        image_embeddings: float array (N, D), finite. One product with the texts serves both directions.
        text_embeddings: float array (M, D), finite.
        image_id: integers or strings (N,), each present in `text_image_id`.
        text_image_id: integers or strings (M,), each present in `image_id`.
        ks: positive integers, the cut-offs of recall. A k beyond the gallery's size gives 1.
        chunk_size: longest edge of a score tile, 64 at least; changes memory, and of the result only which way scores
            fall that rounding alone tells apart.

    Returns:
        A flat dict of floats: for both directions `image_to_text_...` and `text_to_image_...`, `recall@{k}` (fraction
        of queries with rank <= k, in [0, 1]), `median_rank` and `mean_rank` (from 1, lower is better); and `rsum`,
        the sum of the six recalls at 1, 5 and 10, whatever `ks`, in percent points (in [0, 600]).

    Raises:
        MmkerasError: on shapes that do not fit, an embedding that is not finite (with its row), or a query without a
            relevant item (with its row and id).

    Example:
        >>> metrics = retrieval_metrics(np.eye(2), np.eye(2)[[0, 0, 1]], image_id=[7, 9], text_image_id=[7, 7, 9])
        >>> metrics["text_to_image_recall@1"], metrics["rsum"]
        (1.0, 600.0)

    Reference:
        Recall and median rank: Karpathy & Fei-Fei, CVPR 2015, arXiv 1412.2306, section 4.2.
    """
    ks = check_ks(ks)
    images, texts = check_embeddings("image_embeddings", image_embeddings, "text_embeddings", text_embeddings)
    image_id, text_image_id = check_ids("image_id", image_id, len(images), "text_image_id", text_image_id, len(texts))
    by_direction = ranks_both_ways(images, texts, image_id, text_image_id, check_positive("chunk_size", chunk_size))
    return metrics_of_ranks(by_direction, ks)


def metrics_of_ranks(by_direction, ks):
    """Sum ranks up, those of the images' queries and those of the texts': the dict of `retrieval_metrics`."""
    metrics, rsum = {}, 0.0
    for direction, rank in zip(("image_to_text", "text_to_image"), by_direction, strict=True):
        for k in ks:
            metrics[f"{direction}_recall@{k}"] = float(np.mean(rank <= k))
        metrics[f"{direction}_median_rank"] = float(np.median(rank))
        metrics[f"{direction}_mean_rank"] = float(np.mean(rank))
        rsum += 100.0 * sum(float(np.mean(rank <= k)) for k in RSUM_KS)
    return metrics | {"rsum": rsum}


def ranks(query_embeddings, gallery_embeddings, query_id, gallery_id, chunk_size=1024):
    """Rank of each query's best relevant gallery item, from 1, ties pessimistic.

    Args:
        query_embeddings: float array (N, D), finite.
        gallery_embeddings: float array (M, D), finite.
        query_id: integers or strings (N,), each present in `gallery_id`.
        gallery_id: integers or strings (M,); an item is relevant to the queries of its id, and may be so to none.
        chunk_size: longest edge of a score tile, 64 at least; changes memory, and of the result only which way scores
            fall that rounding alone tells apart.

    Returns:
        int64 array (N,): 1 + the number of irrelevant items that score at least what the best relevant one does.

    Raises:
        MmkerasError: as `retrieval_metrics`.

    Example:
        >>> ranks([[1.0, 0.0]], [[0.9, 0.0], [0.5, 0.0], [0.5, 0.0]], query_id=[3], gallery_id=[1, 2, 3])
        array([3])
    """
    queries, gallery = check_embeddings("query_embeddings", query_embeddings, "gallery_embeddings", gallery_embeddings)
    query_id, gallery_id = check_ids(
        "query_id", query_id, len(queries), "gallery_id", gallery_id, len(gallery), both=False
    )
    return ranks_both_ways(
        queries, gallery, query_id, gallery_id, check_positive("chunk_size", chunk_size), both=False
    )[0]


def fold_metrics(image_embeddings, text_embeddings, image_id, text_image_id, folds=5, ks=(1, 5, 10), chunk_size=1024):
    """Mean of `retrieval_metrics` over equal, consecutive folds of the images: the COCO 1K protocol.

    The images are cut, in the order given, into `folds` parts; each text goes where its image is (into every such part,
    where images in several of them share its id). With COCO's 5,000 test images and `folds=5` this is "COCO 1K", and
    `retrieval_metrics` on all of them "COCO 5K".

    Args:
        image_embeddings: float array (N, D); N a multiple of `folds`.
        text_embeddings: float array (M, D).
        image_id: integers or strings (N,).
        text_image_id: integers or strings (M,).
        folds: how many parts.
        ks: as for `retrieval_metrics`.
        chunk_size: as for `retrieval_metrics`.

    Returns:
        The dict of `retrieval_metrics`, each value the mean over the folds.

    Raises:
        MmkerasError: where N is no multiple of `folds`, and as `retrieval_metrics`, with rows of the whole input.

    Example:
        >>> fold_metrics(np.eye(4), np.eye(4), range(4), range(4), folds=2)["rsum"]
        600.0

    Reference:
        Karpathy & Fei-Fei, CVPR 2015, arXiv 1412.2306, section 4.2 (five folds of 1,000 COCO images).
    """
    folds, ks = check_positive("folds", folds), check_ks(ks)
    images, texts = check_embeddings("image_embeddings", image_embeddings, "text_embeddings", text_embeddings)
    image_id, text_image_id = check_ids("image_id", image_id, len(images), "text_image_id", text_image_id, len(texts))
    if len(images) % folds:
        raise MmkerasError(
            f"Expected images in equal folds. Received: {len(images)} images, {folds=}, which does not divide it"
        )
    results = []
    for rows in np.arange(len(images)).reshape(folds, -1):
        of_fold = np.isin(text_image_id, image_id[rows])
        results.append(
            retrieval_metrics(
                images[rows], texts[of_fold], image_id[rows], text_image_id[of_fold], ks=ks, chunk_size=chunk_size
            )
        )
    return {name: float(np.mean([result[name] for result in results])) for name in results[0]}


def mean_average_precision(
    query_embeddings, gallery_embeddings, query_label, gallery_label, k=None, exclude_self=False, chunk_size=128
):
    """Mean average precision by category: MAP@all, or MAP@k.

    Items are relevant to a query of the same label; with multi-hot labels, of at least one label in common. With P(r)
    the share of relevant items among the first r of the ranking, a query with R relevant items has

        AP@k = sum over the relevant items at ranks r <= k of P(r), over min(k, R)

    and AP@all is k = M. (Some papers divide by the relevant items found among the first k, which rewards finding
    few; such figures are higher and do not compare.) Ties are pessimistic. Queries without a relevant item have no
    average precision and are left out of the mean.

    Args:
        query_embeddings: float array (N, D), finite.
        gallery_embeddings: float array (M, D), finite.
        query_label: non-negative integers (N,), or multi-hot 0/1 (N, C).
        gallery_label: as `query_label`, (M,) or (M, C).
        k: the cut-off, positive, or None for the whole ranking.
        exclude_self: whether query i is gallery item i, and none of its own results; the gallery may go on after them.
        chunk_size: queries scored and sorted at a time; about 30 bytes x `chunk_size` x M of memory.

    Returns:
        A float in [0, 1].

    Raises:
        MmkerasError: on shapes that do not fit, an embedding that is not finite, a label out of range (each with its
            row), or where no query has a relevant item.

    Example:
        >>> mean_average_precision([[1.0]], [[0.9], [0.8], [0.7]], [4], [4, 1, 4])  # (1/1 + 2/3) / 2
        0.8333333333333333
    """
    queries, gallery = check_embeddings("query_embeddings", query_embeddings, "gallery_embeddings", gallery_embeddings)
    query_label = check_labels("query_label", query_label, len(queries))
    gallery_label = check_labels("gallery_label", gallery_label, len(gallery))
    if query_label.shape[1:] != gallery_label.shape[1:]:
        raise MmkerasError(
            "Expected labels of one kind, both (rows,) or both (rows, C) with the same C. Received: "
            f"query_label of shape {query_label.shape}, gallery_label of shape {gallery_label.shape}"
        )
    if exclude_self and len(queries) > len(gallery):
        raise MmkerasError(
            "Expected with exclude_self=True the queries as the first items of the gallery. Received: "
            f"{len(queries)} queries, {len(gallery)} gallery items"
        )
    size = len(gallery)
    k = size if k is None else min(check_positive("k", k), size)
    total, counted = 0.0, 0
    for rows, scores in score_blocks(queries, gallery, check_positive("chunk_size", chunk_size)):
        label = query_label[rows]
        relevant = label[:, None] == gallery_label if label.ndim == 1 else (label @ gallery_label.T) > 0
        if exclude_self:
            own = np.arange(len(rows)), rows
            scores[own], relevant[own] = -np.inf, False
        precision = _average_precision(scores, relevant, k)
        total, counted = total + float(np.nansum(precision)), counted + int(np.sum(~np.isnan(precision)))
    if not counted:
        raise MmkerasError(
            "Expected at least one query with a relevant gallery item. Received: query_label and gallery_label without "
            "a label in common" + (", an item itself apart" if exclude_self else "")
        )
    return total / counted


def _average_precision(scores, relevant, k):
    """AP@k of each row, NaN where nothing is relevant.

    One plain sort of integers does it, and no argsort with its gather: `falling_keys` above one bit that is set on the
    relevant items, and so puts them last among equals.
    """
    keys = falling_keys(scores)
    keys <<= 1
    keys |= relevant
    if k < keys.shape[1]:
        keys.partition(k - 1, axis=1)
        keys = keys[:, :k]
    keys.sort(axis=1)
    row, position = np.nonzero(keys & 1)
    found = np.bincount(row, minlength=len(keys))
    nth = np.arange(1, len(row) + 1) - np.repeat(np.cumsum(found) - found, found)
    precisions = np.bincount(row, weights=nth / (position + 1), minlength=len(keys))
    possible = np.minimum(np.sum(relevant, axis=1), k)
    return np.divide(precisions, possible, out=np.full(len(keys), np.nan), where=possible > 0)
