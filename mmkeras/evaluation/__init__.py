"""What a model is worth, in three rooms: `measuring` a model, a run's `report`, `comparison` of runs.

`rendering` and `drawing` are what pages of both kinds are made with. No TensorFlow of its own.
"""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Comparison": "comparison.comparison",
        "Evaluation": "measuring.evaluate",
        "save_metrics": "measuring.evaluate",
        "write_comparison": "comparison.page",
        "write_report": "report.report",
    },
)
