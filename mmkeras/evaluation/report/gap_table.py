"""The modality gap as people read it: what each measure says, and its figures before and after training."""

from mmkeras.evaluation.rendering import number, percent

UNTRAINED = "untrained_"  # before the name of a metric: that of the model as it was before training
# What of an untrained model's metrics is worth a column beside the trained one's.
COMPARED = (
    "modality_probe",
    "modality_probe_std",
    "modality_probe_linear",
    "proxy_a_distance",
    "mmd2",
    "mmd2_p",
    "centroid_gap",
    "frechet_distance",
    "image_effective_rank",
    "text_effective_rank",
    "rsum",
    "image_to_text_map",
    "text_to_image_map",
)
LOWER, HIGHER, NO_GOAL = "lower is better", "higher is better", "a check, no goal"
MEASURES = (
    (
        "modality_probe",
        "Probe, MLP",
        "how often a fresh classifier names the modality of a held-out embedding; 50% is chance",
        LOWER,
    ),
    ("modality_probe_linear", "Probe, linear", "the same by logistic regression", LOWER),
    ("proxy_a_distance", "Proxy A-distance", "of the MLP: 0 at chance, 2 fully apart", LOWER),
    ("mmd2", "MMD²", "distance of the distributions by kernels, around 0 where they are one", LOWER),
    ("mmd2_p", "p-value of the MMD²", "how often chance alone gives as much; small means a gap", HIGHER),
    ("centroid_gap", "Centroid gap", "from the mean picture to the mean text", LOWER),
    ("frechet_distance", "Fréchet distance", "of the means and covariances, squared", LOWER),
    ("image_effective_rank", "Effective rank, pictures", "directions in use{dimensions}; near 1, a collapse", NO_GOAL),
    ("text_effective_rank", "Effective rank, texts", "the same for texts", NO_GOAL),
    ("rsum", "Retrieval: rsum", "of 600", HIGHER),
    ("text_to_image_map", "Retrieval: text to picture, MAP", "by category{chance}", HIGHER),
    ("image_to_text_map", "Retrieval: picture to text, MAP", "by category{chance}", HIGHER),
)
SHARES = ("modality_probe", "modality_probe_linear")


def gap_table(metrics):
    """Rows of the table of the modality gap, empty where it was not measured.

    Args:
        metrics: flat dict of `evaluate`, with those of the untrained model, where there are any, under `untrained_...`.

    Returns:
        list of dicts: `name`, `meaning` and `better` in words, and `trained` and `untrained`, figures as strings;
        `untrained` is `None` where there is none.
    """
    if "modality_probe" not in metrics:
        return []
    dimensions = f" of {number(metrics['embedding_dim'])}" if "embedding_dim" in metrics else ""
    return [
        {
            "name": name,
            "meaning": meaning.replace("{dimensions}", dimensions).replace("{chance}", chance_of(metrics)),
            "better": better,
            "trained": _figure(metrics, "", key),
            "untrained": _figure(metrics, UNTRAINED, key),
        }
        for key, name, meaning, better in MEASURES
        if key in metrics
    ]


def chance_of(metrics):
    """What a random order's mean average precision would be, to be put behind "by category"; empty where unknown."""
    return f"; chance {metrics['map_chance']:.2g}" if "map_chance" in metrics else ""


def _figure(metrics, prefix, key):
    """A metric as a string, with its deviation where it has one; `None` where there is no such metric."""
    value = metrics.get(prefix + key)
    if value is None:
        return None
    if key in SHARES:
        deviation = metrics.get(f"{prefix}{key}_std")
        return percent(value) + (f" ± {100 * deviation:.1f}" if deviation else "")
    if key == "rsum" or key.endswith("effective_rank"):
        return f"{value:.1f}"
    return f"{value:z.4f}" if key == "mmd2" else f"{value:.3f}"
