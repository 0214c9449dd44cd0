"""Metrics of embeddings, of retrieval and of the modality gap: NumPy, SciPy and scikit-learn, no TensorFlow."""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .distributions import centroid_gap as centroid_gap
    from .distributions import effective_rank as effective_rank
    from .distributions import frechet_distance as frechet_distance
    from .distributions import mmd2 as mmd2
    from .measure import Measure as Measure
    from .measures import find_measure as find_measure
    from .modality_gap import modality_gap_metrics as modality_gap_metrics
    from .probe import modality_probe as modality_probe
    from .probe import proxy_a_distance as proxy_a_distance
    from .representation import representation_map as representation_map
    from .representation import representation_maps as representation_maps
    from .reranking import reranked_metrics as reranked_metrics
    from .retrieval import fold_metrics as fold_metrics
    from .retrieval import mean_average_precision as mean_average_precision
    from .retrieval import ranks as ranks
    from .retrieval import retrieval_metrics as retrieval_metrics
    from .score_statistics import score_scale as score_scale
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
