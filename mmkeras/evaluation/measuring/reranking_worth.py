"""Whether the matching head of a model orders results better than the embeddings do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmkeras.metrics.measures import RERANKED

if TYPE_CHECKING:
    from mmkeras.models.image_text_model import ImageTextModel

BY_ITSELF = 16  # results of a query: for each of them a server encodes a picture and a text


def reranking_costs(metrics: Mapping[str, float]) -> bool:
    """Return whether re-ranking took rsum down where it was measured.

    Args:
        metrics: dict of `Evaluation.metrics`; without re-ranking nothing is known, and nothing costs.
    """
    again = metrics.get(f"{RERANKED}rsum")
    return again is not None and again < metrics["rsum"]


def reranking(model: ImageTextModel, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return what a query should know to re-rank.

    Args:
        model: `ImageTextModel`.
        metrics: dict of the model's metrics, see `reranking_costs`.

    Returns:
        dict: `rerank`, how many results where the query does not say, 16, or 0 where there is no head or it costs; and
        where it has a `temperature`, `rerank_temperature`, over which the cosine counts beside the head, see
        `PairMatcher`.
    """
    if model.matcher is None:
        return {"rerank": 0}
    wanted = {"rerank": 0 if reranking_costs(metrics) else BY_ITSELF}
    if model.temperature is not None:
        wanted["rerank_temperature"] = float(model.temperature.value)
    return wanted
