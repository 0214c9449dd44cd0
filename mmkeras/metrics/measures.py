"""The registry of measures: what the terminal, reports, model cards, comparisons and logs know of each figure.

A new measure is one entry of `MEASURES`; its section says which tables show it.
"""

import dataclasses
import re
from functools import partial

from mmkeras.metrics.measure import BETWEEN_MODALITIES, DIRECTIONS, LOWER, NO_GOAL, TO_ALL, Measure

RETRIEVAL, CATEGORY, REPRESENTATIONS = "Retrieval", "Retrieval by category", "Raw representations"
GAP, TRAINING, DATA = "Modality gap", "Training", "Data"
ZERO_SHOT_CLASSES = "Zero-shot classification"
# Of tables; what is `DATA` stands in their notes.
SECTIONS = (RETRIEVAL, CATEGORY, ZERO_SHOT_CLASSES, REPRESENTATIONS, GAP, TRAINING)

# Before the name of a metric: by the very item, after re-ranking (of both, the second comes second), of the model as it
# was before training, on held-out data after an epoch.
STRICT, RERANKED, UNTRAINED, VALIDATION = "strict_", "reranked_", "untrained_", "val_"
VARIANTS = {STRICT: ", strict", RERANKED: ", re-ranked", UNTRAINED: ", untrained", VALIDATION: ""}
DEVIATION = "_std"  # behind the name of a metric: its standard deviation over seeds
ZERO_SHOT = "zero_shot_"  # before the name of a metric: of pictures that are classified by the names of categories
REPRESENTATION = "representation_"  # before the name of a metric: of what embeddings are made of, not of unit norm
GALLERY = {"text_to_image": "pictures", "image_to_text": "texts"}  # from a direction to the metric that counts items

# Parts of a model, as their weights are counted.
PARTS = {
    "image_encoder": "image encoder",
    "text_encoder": "text encoder",
    "both_encoders": "shared by encoders",
    "rest": "rest of the model",
    "teacher": "teacher",
    "queue": "queue",
}
FOR_TRAINING = ("teacher", "queue")  # parts that belong to one training and are not exported


def _share_by_chance(metrics, direction, k):
    """Recall at k of a random order with one relevant item; `None` where the size of the gallery is unknown."""
    gallery = metrics.get(GALLERY.get(direction))
    return min(1.0, k / gallery) if gallery else None


def _rank_by_chance(metrics, direction, _):
    """Mean and median rank of the one relevant item in a random order; `None` where the gallery's size is unknown."""
    gallery = metrics.get(GALLERY.get(direction))
    return (gallery + 1) / 2 if gallery else None


def _map_by_chance(metrics, _, __):
    return metrics.get("map_chance")


def _class_by_chance(k, metrics, _, __):
    classes = metrics.get(f"{ZERO_SHOT}classes")
    return min(1.0, k / classes) if classes else None


MEASURES = (
    Measure(
        "{direction}_recall@{k}",
        "R@{k}",
        RETRIEVAL,
        unit="%",
        form=".1f",
        directions=BETWEEN_MODALITIES,
        ks=(1, 5, 10),
        chance=_share_by_chance,
        main=True,
    ),
    *(
        Measure(
            f"{{direction}}_{kind}_rank",
            f"{kind.capitalize()} rank",
            RETRIEVAL,
            LOWER,
            form=form,
            directions=BETWEEN_MODALITIES,
            chance=_rank_by_chance,
            compared=False,
        )
        for kind, form in (("median", ",.10g"), ("mean", ",.1f"))
    ),
    Measure("rsum", "rsum", RETRIEVAL, form=".1f", meaning="{of}", most=600, main=True, untrained=True),
    Measure("k_test", "Re-ranked a query", RETRIEVAL, NO_GOAL, form=",.0f"),
    Measure(
        "{direction}_map",
        "MAP",
        CATEGORY,
        meaning="by category",
        directions=BETWEEN_MODALITIES,
        chance=_map_by_chance,
        main=True,
        untrained=True,
    ),
    Measure("map", "MAP, mean of both directions", CATEGORY, main=True, compared=False),
    *(
        Measure(
            f"{ZERO_SHOT}top@{k}",
            f"Zero-shot top-{k}",
            ZERO_SHOT_CLASSES,
            unit="%",
            form=".1f",
            meaning="pictures whose category is among the nearest, by the categories' names",
            chance=partial(_class_by_chance, k),
            main=k == 1,
        )
        for k in (1, 5)
    ),
    Measure(f"{ZERO_SHOT}mean_top@1", "Zero-shot top-1, mean of categories", ZERO_SHOT_CLASSES, unit="%", form=".1f"),
    Measure(f"{ZERO_SHOT}classes", "Categories", ZERO_SHOT_CLASSES, NO_GOAL, form=",.0f"),
    *(
        Measure(
            f"{REPRESENTATION}{{direction}}_map_{form}",
            heading,
            REPRESENTATIONS,
            directions=directions,
            compared=compared,
        )
        for form, heading, directions, compared in (
            ("none", "MAP, raw", tuple(DIRECTIONS), BETWEEN_MODALITIES),
            ("query", "MAP, queries standardised", BETWEEN_MODALITIES, BETWEEN_MODALITIES),
            ("both", "MAP, both standardised", tuple(DIRECTIONS), TO_ALL),
        )
    ),
    Measure(
        "modality_probe",
        "Probe, MLP",
        GAP,
        LOWER,
        unit="%",
        form=".1f",
        meaning="how often a fresh classifier names the modality of a held-out embedding; 50% is chance",
    ),
    Measure(
        "modality_probe_linear",
        "Probe, linear",
        GAP,
        LOWER,
        unit="%",
        form=".1f",
        meaning="the same by logistic regression",
    ),
    Measure(
        "proxy_a_distance",
        "Proxy A-distance",
        GAP,
        LOWER,
        meaning="of the MLP: 0 at chance, 2 fully apart",
        compared=False,
    ),
    Measure(
        "mmd2",
        "MMD²",
        GAP,
        LOWER,
        form="z.4f",
        meaning="distance of the distributions by kernels, around 0 where they are one",
    ),
    Measure(
        "mmd2_p",
        "p-value of the MMD²",
        GAP,
        meaning="how often chance alone gives as much; small means a gap",
        compared=False,
    ),
    Measure("centroid_gap", "Centroid gap", GAP, LOWER, meaning="from the mean image to the mean text"),
    Measure(
        "frechet_distance",
        "Fréchet distance",
        GAP,
        LOWER,
        meaning="of the means and covariances, squared",
        compared=False,
    ),
    *(
        Measure(
            f"{modality}_effective_rank",
            f"Effective rank, {modality}s",
            GAP,
            NO_GOAL,
            form=".1f",
            meaning="directions in use{of}; near 1, a collapse",
            most="embedding_dim",
        )
        for modality in ("image", "text")
    ),
    Measure("epochs", "Epochs", TRAINING, NO_GOAL, form=",.0f", always=True),
    Measure("stages", "Stages", TRAINING, NO_GOAL, form=",.0f"),
    Measure("training_seconds", "Time", TRAINING, LOWER, unit="s", form=",.0f", always=True),
    Measure("parameters", "Parameters", TRAINING, LOWER, form=",.0f", always=True),
    *(
        Measure(f"{part}_parameters", f"Parameters: {heading}", TRAINING, LOWER, form=",.0f")
        for part, heading in PARTS.items()
    ),
    *(
        Measure(
            f"{part}_megabytes",
            f"Size: {heading}",
            TRAINING,
            LOWER,
            unit="MB",
            form=",.1f",
            compared=part in FOR_TRAINING,  # of the others the file of the model tells
        )
        for part, heading in PARTS.items()
    ),
    Measure("model_megabytes", "Size: model.keras", TRAINING, LOWER, unit="MB", form=",.1f", always=True),
    Measure("data", "Data", DATA, NO_GOAL, form=""),
    Measure("pictures", "Images", DATA, NO_GOAL, form=",.0f"),
    Measure("texts", "Texts", DATA, NO_GOAL, form=",.0f"),
    Measure("map_chance", "MAP of a random order", DATA, NO_GOAL),
    Measure("embedding_dim", "Length of an embedding", DATA, NO_GOAL, form=",.0f"),
)


def measures_of(section: str) -> list[Measure]:
    """Return the entries of a section, in their order."""
    return [measure for measure in MEASURES if measure.section == section]


def untrained_measures() -> list[Measure]:
    """Return the measures whose figure is kept of the untrained model, those of the modality gap first."""
    kept = [*measures_of(GAP), *(measure for measure in MEASURES if measure.untrained and measure.section != GAP)]
    return [figure for measure in kept for figure in measure.figures()]


def find_measure(name: str) -> Measure | None:
    """Return the measure that a metric's name stands for, its direction and cut-off filled in.

    Args:
        name: key of `metrics.json` or column of `log.csv`, with what may stand before it (`strict_`, `reranked_`,
            `untrained_`, `val_`) and behind it (`_std`). Any cut-off will do.

    Returns:
        `Measure` of that name, with the variant in its heading; `None` where the registry has none.

    Example:
        >>> find_measure("strict_reranked_image_to_text_recall@1").title
        'Image to text R@1, strict, re-ranked'
    """
    rest, suffix = name, ""
    while prefix := next((prefix for prefix in VARIANTS if rest.startswith(prefix)), ""):
        rest, suffix = rest.removeprefix(prefix), suffix + VARIANTS[prefix]
    for measure in MEASURES:
        pattern = re.escape(measure.name).replace(r"\{direction\}", f"(?P<direction>{'|'.join(measure.directions)})")
        pattern = pattern.replace(r"\{k\}", r"(?P<k>[1-9][0-9]*)")
        if found := re.fullmatch(f"{pattern}({DEVIATION})?", rest):
            parts = found.groupdict()
            k = int(parts["k"]) if "k" in parts else None
            figure = measure.at(parts.get("direction", ""), k)
            if rest == name == figure.name:
                return figure
            if rest != figure.name:
                suffix += ", deviation"
            return dataclasses.replace(
                figure, name=name, heading=figure.heading + suffix, chance=None, main=False, untrained=False
            )
    return None
