"""Metrics of embeddings, of retrieval and of the modality gap: NumPy, SciPy and scikit-learn, no TensorFlow."""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Measure": "measure",
        "centroid_gap": "distributions",
        "effective_rank": "distributions",
        "find_measure": "measures",
        "fold_metrics": "retrieval",
        "frechet_distance": "distributions",
        "mean_average_precision": "retrieval",
        "mmd2": "distributions",
        "modality_gap_metrics": "modality_gap",
        "modality_probe": "probe",
        "proxy_a_distance": "probe",
        "ranks": "retrieval",
        "representation_map": "representation",
        "representation_maps": "representation",
        "reranked_metrics": "reranking",
        "retrieval_metrics": "retrieval",
    },
)
