"""Measuring a model on a data set: its metrics, what counts as a right answer, whether re-ranking helps.

`evaluate` has the name of its module: `from mmkeras.evaluation.measuring.evaluate import evaluate`.
"""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .evaluate import Evaluation as Evaluation
    from .evaluate import save_metrics as save_metrics
    from .relevance import Relevance as Relevance
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
