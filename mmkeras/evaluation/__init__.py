"""What a model is worth: metrics of a data set, the HTML report, the model card. No TensorFlow of its own.

Two functions have the name of their module, which a package can hand on only as the module:
`from mmkeras.evaluation.evaluate import evaluate`, `from mmkeras.evaluation.model_card import model_card`.
"""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Comparison": "comparison",
        "Evaluation": "evaluate",
        "save_metrics": "evaluate",
        "write_comparison": "comparison_page",
        "write_report": "report",
    },
)
