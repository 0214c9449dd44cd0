from types import SimpleNamespace

import pytest

from mmkeras.evaluation.measuring.reranking_worth import reranking, reranking_costs

TEMPERATURE = SimpleNamespace(value=0.3)
MATCHES, EMBEDS = (SimpleNamespace(matcher=matcher, temperature=TEMPERATURE) for matcher in (len, None))


@pytest.mark.parametrize(
    "metrics, costs",
    [({"rsum": 300.0, "reranked_rsum": 299.9}, True), ({"rsum": 300.0, "reranked_rsum": 300.0}, False), ({}, False)],
)
def test_re_ranking_that_costs_is_not_done_by_itself(metrics, costs):
    assert reranking_costs(metrics) is costs
    assert reranking(MATCHES, metrics) == {"rerank": 0 if costs else 16, "rerank_temperature": 0.3}
    assert reranking(SimpleNamespace(matcher=len, temperature=None), metrics) == {"rerank": 0 if costs else 16}
    assert reranking(EMBEDS, metrics) == {"rerank": 0}
