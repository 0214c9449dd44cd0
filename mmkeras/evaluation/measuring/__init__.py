"""Measuring a model on a data set: its metrics, what counts as a right answer, whether re-ranking helps.

`evaluate` has the name of its module: `from mmkeras.evaluation.measuring.evaluate import evaluate`.
"""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Evaluation": "evaluate",
        "Relevance": "relevance",
        "save_metrics": "evaluate",
    },
)
