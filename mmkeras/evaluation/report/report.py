"""`write_report`: one HTML file that shows a run: figures, curves, and what it gets right and wrong."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmkeras.atomic import replacing_file
from mmkeras.evaluation.measuring.evaluate import Evaluation
from mmkeras.evaluation.rendering import flattened, number, render
from mmkeras.evaluation.report import figures
from mmkeras.evaluation.report.gallery import draw_queries
from mmkeras.evaluation.report.tables import (
    category_table,
    gap_table,
    headlines,
    representation_table,
    retrieval_table,
)
from mmkeras.metrics.measure import BETWEEN_MODALITIES, DIRECTIONS
from mmkeras.metrics.measures import CATEGORY, RETRIEVAL, SECTIONS, VALIDATION, find_measure

CURVES_A_FIGURE = 4
CURVE_NOTES = {
    "The adversary": "How often the classifier that trains along names the modality. 0.5 says little: it may lag "
    "behind the encoders. Whether a gap is left, the fresh probe above says.",
    "The discriminators": "How often each tells real from generated, or matched from not, in the batch that it is "
    "trained on. Near 1 the generators have lost that game; at 0.5 and below it the discriminator has.",
    "The adversary's pull": "Reversal strength: what the encoders' gradient of the modality loss is multiplied by. "
    "Gradient ratio: its norm at the embeddings, with that, over that of the category loss.",
}


def write_report(
    file: str | os.PathLike[str],
    *,
    title: str,
    settings: Mapping[str, Any],
    versions: Mapping[str, str],
    history: Sequence[Mapping[str, Any]],
    evaluation: Evaluation,
    untrained_missing: str = "",
    word_views: Mapping[str, Any] | None = None,
    size: Sequence[Mapping[str, Any]] = (),
    seed: int = 0,
) -> None:
    """Write the report of a run: one file, self-contained, for light and dark screens and for phones.

    Everything is inlined; the page loads nothing and runs no script. The same arguments give the same bytes.

    Args:
        file: path, usually `runs/<name>/report.html`; written beside and renamed.
        title: name of the run.
        settings: dict, nested or flat: what the run was started with.
        versions: dict from package to version.
        history: list of dicts, the rows of log.csv: `epoch`, `loss`, `val_...`, `learning_rate`, ... as numbers or as
            strings. Values that are no finite numbers are left out of the curves.
        evaluation: `Evaluation`. Its metrics of the untrained model, `untrained_...`, stand beside the trained one's.
        untrained_missing: why there are none of the untrained model, for the reader; one sentence without its stop.
        word_views: what `draw_words` returned, of a model that shows what each word looks at.
        size: what `size_table` returned.
        seed: decides which queries, points and pairs are drawn.

    Example:
        >>> write_report("runs/glyphs/report.html", title="glyphs", settings=settings, versions=versions,
        ...              history=rows, evaluation=evaluate(model, dev))
    """
    data, metrics = evaluation.data, evaluation.metrics
    by_category = evaluation.relevance.by == "category"
    projection, variance = figures.projection(evaluation, seed)
    svg, relevant, irrelevant = figures.similarity_histogram(evaluation, seed)
    page = render(
        __package__,
        "report.html.j2",
        title=title,
        data=data,
        metrics=metrics,
        by_category=by_category,
        has_pictures=data.pictures is not None,
        has_texts=not data.text_features,
        headlines=headlines(metrics, by_category),
        retrieval=retrieval_table(metrics),
        categories=category_table(metrics),
        representations=representation_table(metrics),
        gap=gap_table(metrics),
        untrained_missing=untrained_missing,
        curves=training_curves(history, by_category),
        projection={"svg": projection, "variance": variance, "pairs": min(figures.TRUE_PAIRS, len(data.pairs))},
        histogram={"svg": svg, "relevant": relevant, "irrelevant": irrelevant},
        galleries=[
            {"id": direction, "name": DIRECTIONS[direction], **draw_queries(evaluation, direction, seed)}
            for direction in BETWEEN_MODALITIES
        ],
        word_views=word_views,
        size=size,
        tables={"Settings": flattened(settings), "Versions": versions, "All metrics": metrics},
        history=history,
        columns=list(dict.fromkeys(key for row in history for key in row)),
    )
    with replacing_file(file) as beside:
        beside.write_text(page, encoding="utf-8", newline="\n")


def training_curves(history: Sequence[Mapping[str, Any]], by_category: bool = False) -> list[dict[str, Any]]:
    """Figures of a log, as far as they are logged: losses, validation, the adversary and the learning rate.

    Args:
        history: see `write_report`.
        by_category: whether the validation that counts is that by category; the other is then left out.

    Returns:
        list of dicts with `title`, `svg`, `summary` (the first and the last value of each curve), `note` (what to
        make of it, may be empty) and `in_a_row`, how many figures the page shows beside each other.
    """
    curves = {}
    for position, row in enumerate(history):
        for key, value in row.items():
            if key not in ("epoch", "stage") and (value := _finite(value)) is not None:
                epoch = _finite(row.get("epoch"))
                x, y = curves.setdefault(key, ([], []))
                x.append(position if epoch is None else epoch)
                y.append(value)
    parts = [key for key in curves if key.endswith("loss") and key not in ("loss", "val_loss")]
    groups = []
    for title, y_label, keys in (
        ("Loss", "loss", ["loss", "val_loss"]),
        *_validations(curves, by_category),
        ("Parts of the loss", "loss", parts),
        ("The adversary", "accuracy", ["modality_accuracy"]),
        ("The discriminators", "accuracy", [key for key in curves if key.endswith("discriminator_accuracy")]),
        ("The adversary's pull", "factor", ["gradient_ratio", "reversal_strength"]),
        ("Learning rate", "learning rate", [key for key in curves if key.startswith("learning_rate")]),
    ):
        keys = [key for key in keys if key in curves]
        for start in range(0, len(keys), CURVES_A_FIGURE):
            groups.append((title, y_label, {key: curves[key] for key in keys[start : start + CURVES_A_FIGURE]}))
    in_a_row = 3 if len(groups) % 2 and len(groups) > 1 else 2
    stages = stage_starts(history)
    found = []
    for title, y_label, chosen in groups:
        summary = "; ".join(f"{key} from {number(y[0])} to {number(y[-1])}" for key, (_, y) in chosen.items())
        svg = figures.line_plot(chosen, "epoch", y_label, in_a_row, stages)
        note = CURVE_NOTES.get(title, "")
        found.append({"title": title, "svg": svg, "summary": summary, "note": note, "in_a_row": in_a_row})
    return found


def _validations(curves, by_category):
    """Title, label and columns of the figures of validation: measures by direction, those of one unit in one figure.

    What sums both directions up lies between their curves, or has a scale of its own.
    """
    measures = {key: find_measure(key) for key in curves if key.startswith(VALIDATION)}
    measures = {key: measure for key, measure in measures.items() if measure and measure.directions}
    by_item = not (by_category and any(measure.section == CATEGORY for measure in measures.values()))
    figures = {}
    for section in SECTIONS:
        title = {RETRIEVAL: "Validation", CATEGORY: "Validation by category"}.get(section, f"Validation: {section}")
        for key, measure in measures.items():
            if measure.section == section and (by_item or section != RETRIEVAL):
                label = "share" if measure.unit == "%" else measure.heading
                figures.setdefault((title, label), []).append(key)
    return [(*figure, keys) for figure, keys in figures.items()]


def stage_starts(history: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The first epoch of each stage of a log, as a dict from the stage's name; empty for a training without stages."""
    starts = {}
    for row in history:
        if row.get("stage"):
            starts.setdefault(row["stage"], row["epoch"])
    return starts


def _finite(value):
    """A float, or `None` for what is none or is not finite."""
    try:
        value = float(value)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
