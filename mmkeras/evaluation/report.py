"""`write_report`: one HTML file that shows a run: figures, curves, and what it gets right and wrong."""

import math

from mmkeras.atomic import replacing_file
from mmkeras.evaluation import figures
from mmkeras.evaluation.gallery import draw_queries
from mmkeras.evaluation.gap_table import gap_table
from mmkeras.evaluation.rendering import flattened, number, render

DIRECTIONS = (("text_to_image", "Text to picture"), ("image_to_text", "Picture to text"))
CURVES_A_FIGURE = 4


def write_report(file, *, title, settings, versions, history, evaluation, untrained_missing="", seed=0):
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
        seed: of the queries, points and pairs that are drawn.

    Example:
        >>> write_report("runs/glyphs/report.html", title="glyphs", settings=settings, versions=versions,
        ...              history=rows, evaluation=evaluate(model, dev))
    """
    data, metrics = evaluation.data, evaluation.metrics
    relevance = evaluation.relevance_ids is not None
    projection, variance = figures.projection(evaluation, seed)
    histogram = None
    if relevance:
        svg, relevant, irrelevant = figures.similarity_histogram(evaluation, seed)
        histogram = {"svg": svg, "relevant": relevant, "irrelevant": irrelevant}
    page = render(
        "report.html.j2",
        title=title,
        data=data,
        metrics=metrics,
        paired=data.paired,
        has_pictures=data.images.ndim == 4,
        headlines=headlines(metrics),
        recall=recall_table(metrics),
        gap=gap_table(metrics),
        untrained_missing=untrained_missing,
        curves=training_curves(history),
        projection={"svg": projection, "variance": variance, "pairs": min(figures.TRUE_PAIRS, len(data.pairs))},
        histogram=histogram,
        galleries=[
            {"id": direction, "name": name, **draw_queries(evaluation, direction, seed)}
            for direction, name in DIRECTIONS
            if relevance
        ],
        tables={"Settings": flattened(settings), "Versions": versions, "All metrics": metrics},
        history=history,
        columns=list(dict.fromkeys(key for row in history for key in row)),
    )
    with replacing_file(file) as beside:
        beside.write_text(page, encoding="utf-8", newline="\n")


def headlines(metrics):
    """The figures at the top of the page: list of dicts with `name`, `value` and `note`."""
    found = []
    for direction, name in DIRECTIONS:
        gallery = metrics["pictures" if direction == "text_to_image" else "texts"]
        if f"{direction}_recall@1" in metrics:
            value = f"{100 * metrics[f'{direction}_recall@1']:.1f}%"
            found.append({"name": f"{name}, R@1", "value": value, "note": f"chance {100 / gallery:.2g}%"})
    if "rsum" in metrics:
        found.append({"name": "rsum", "value": f"{metrics['rsum']:.1f}", "note": "of 600"})
    for direction, name in DIRECTIONS:
        if f"{direction}_map" in metrics:
            value = f"{metrics[f'{direction}_map']:.3f}"
            found.append({"name": f"{name}, MAP", "value": value, "note": "by category"})
    return found


def recall_table(metrics):
    """Rows of the recall table, by direction, empty where the data have no pairs.

    Returns:
        list of dicts: `name` and `gallery` of a direction, and `rows`, dicts with `name`, `recall` (at 1, 5 and 10, in
        [0, 1]), `median_rank` and `mean_rank`. The last row is what chance would reach with one relevant item; a strict
        row is there where it differs.
    """
    strict = {key.removeprefix("strict_"): value for key, value in metrics.items() if key.startswith("strict_")}
    alike = any(metrics[key] != value for key, value in strict.items())  # else the strict row would say it all again
    kinds = (("Look-alikes count", ""), ("Strict", "strict_")) if alike else (("This model", ""),)
    table = []
    for direction, name in DIRECTIONS:
        if f"{direction}_recall@1" not in metrics:
            continue
        gallery = metrics["pictures" if direction == "text_to_image" else "texts"]
        rows = [
            {
                "name": name_of_row,
                "recall": [metrics[f"{prefix}{direction}_recall@{k}"] for k in (1, 5, 10)],
                "median_rank": metrics[f"{prefix}{direction}_median_rank"],
                "mean_rank": metrics[f"{prefix}{direction}_mean_rank"],
            }
            for name_of_row, prefix in kinds
        ]
        middle = (gallery + 1) / 2
        chance = [min(1.0, k / gallery) for k in (1, 5, 10)]
        rows.append({"name": "Chance", "recall": chance, "median_rank": middle, "mean_rank": middle})
        table.append({"name": name, "gallery": gallery, "rows": rows})
    return table


def training_curves(history):
    """Figures of a log: the loss, its parts, validation scores and the learning rate, as far as they are logged.

    Returns:
        list of dicts with `title`, `svg`, `summary` (the first and the last value of each curve) and `in_a_row`, how
        many figures the page shows beside each other.
    """
    curves = {}
    for position, row in enumerate(history):
        for key, value in row.items():
            if key != "epoch" and (value := _finite(value)) is not None:
                epoch = _finite(row.get("epoch"))
                x, y = curves.setdefault(key, ([], []))
                x.append(position if epoch is None else epoch)
                y.append(value)
    parts = [key for key in curves if key.endswith("loss") and key not in ("loss", "val_loss")]
    scores = [key for key in curves if key.endswith("recall@1")] or [key for key in curves if key.endswith("_map")]
    groups = []
    for title, y_label, keys in (
        ("Loss", "loss", [key for key in ("loss", "val_loss") if key in curves]),
        ("Validation", "mean average precision" if scores and scores[0].endswith("_map") else "share", scores),
        ("Parts of the loss", "loss", parts),
        ("Learning rate", "learning rate", [key for key in curves if key.startswith("learning_rate")]),
    ):
        for start in range(0, len(keys), CURVES_A_FIGURE):
            groups.append((title, y_label, {key: curves[key] for key in keys[start : start + CURVES_A_FIGURE]}))
    in_a_row = 3 if len(groups) % 2 and len(groups) > 1 else 2
    found = []
    for title, y_label, chosen in groups:
        summary = "; ".join(f"{key} from {number(y[0])} to {number(y[-1])}" for key, (_, y) in chosen.items())
        svg = figures.line_plot(chosen, "epoch", y_label, in_a_row)
        found.append({"title": title, "svg": svg, "summary": summary, "in_a_row": in_a_row})
    return found


def _finite(value):
    """A float, or `None` for what is none or is not finite."""
    try:
        value = float(value)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
