from types import SimpleNamespace

import pytest

from mmkeras.evaluation.reranking_worth import reranked_by_itself, reranking_costs

MATCHES, EMBEDS = SimpleNamespace(matcher=None), SimpleNamespace()


@pytest.mark.parametrize(
    "metrics, costs",
    [({"rsum": 300.0, "reranked_rsum": 299.9}, True), ({"rsum": 300.0, "reranked_rsum": 300.0}, False), ({}, False)],
)
def test_re_ranking_that_costs_is_not_done_by_itself(metrics, costs):
    assert reranking_costs(metrics) is costs
    assert reranked_by_itself(MATCHES, metrics) == (0 if costs else 16)
    assert reranked_by_itself(EMBEDS, metrics) == 0
