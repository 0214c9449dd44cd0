"""What a reader gets of one run: the HTML report, the model card, and the tables that the terminal shows too.

`model_card` has the name of its module: `from mmkeras.evaluation.report.model_card import model_card`.
"""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "evaluate_run": "run_report",
        "write_report": "report",
    },
)
