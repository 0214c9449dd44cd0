"""What a model is worth, in three rooms: `measuring` a model, a run's `report`, `comparison` of runs.

`data_page` shows what a check of data found. `rendering`, `drawing` and `thumbnails` are what pages of all kinds are
made with. No TensorFlow of its own.
"""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .comparison.comparison import Comparison as Comparison
    from .comparison.page import write_comparison as write_comparison
    from .measuring.evaluate import Evaluation as Evaluation
    from .measuring.evaluate import save_metrics as save_metrics
    from .report.report import write_report as write_report
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
