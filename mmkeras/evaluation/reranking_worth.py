"""Whether the matching head of a model orders results better than the embeddings do."""

from mmkeras.evaluation.evaluate import RERANKED

BY_ITSELF = 16  # results of a query: for each of them a server encodes a picture and a text


def reranking_costs(metrics):
    """Return whether re-ranking took rsum down where it was measured.

    Args:
        metrics: dict of `Evaluation.metrics`; without re-ranking nothing is known, and nothing costs.
    """
    again = metrics.get(f"{RERANKED}rsum")
    return again is not None and again < metrics["rsum"]


def reranked_by_itself(model, metrics):
    """Return how many results a query should re-rank that does not say: 16, or 0 where there is no head or it costs.

    Args:
        model: `ImageTextModel`.
        metrics: of the model, as of `reranking_costs`.
    """
    return BY_ITSELF if hasattr(model, "matcher") and not reranking_costs(metrics) else 0
