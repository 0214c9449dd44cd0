"""What a model is worth: metrics of a data set, the HTML report, the model card. No TensorFlow of its own.

Two functions have the name of their module, which a package can hand on only as the module:
`from mmkeras.evaluation.evaluate import evaluate`, `from mmkeras.evaluation.model_card import model_card`.
"""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .comparison import Comparison as Comparison
    from .comparison_page import write_comparison as write_comparison
    from .evaluate import Evaluation as Evaluation
    from .evaluate import save_metrics as save_metrics
    from .report import write_report as write_report
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
