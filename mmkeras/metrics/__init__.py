"""Retrieval metrics over embeddings: NumPy only, no TensorFlow."""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "fold_metrics": "retrieval",
        "mean_average_precision": "retrieval",
        "ranks": "retrieval",
        "retrieval_metrics": "retrieval",
    },
)
