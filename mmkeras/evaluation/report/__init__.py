"""What a reader gets of one run: the HTML report, the model card, and the tables that the terminal shows too.

`model_card` has the name of its module: `from mmkeras.evaluation.report.model_card import model_card`.
"""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .report import write_report as write_report
    from .run_report import evaluate_run as evaluate_run
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
