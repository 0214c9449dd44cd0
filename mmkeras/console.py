"""What the terminal shows: tables, and none of TensorFlow's log.

What draws and what measures is imported where it is used: help is instant, and the client can print what it found.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from mmkeras.printable import printable

if TYPE_CHECKING:
    from mmkeras.data.checking import DataFindings
    from mmkeras.evaluation.comparison.comparison import Comparison
    from mmkeras.gate import GateVerdict
    from mmkeras.parity import Comparison as ParityComparison
    from mmkeras.query import Answer

MOST_COLUMNS = 4  # of a comparison, to be read in 100 columns of text
MOST_PLACES = 10  # of a problem, that a terminal shows
MOST_WIDTH = 100  # of running text
LONGEST_LABEL = 36  # of a row of numbers, with its markup


def print_metrics(title: str, metrics: Mapping[str, Any]) -> None:
    """Print metrics as tables: retrieval, a row a direction, categories and the modality gap, as far as measured."""
    from mmkeras.evaluation.report.tables import (
        category_table,
        gap_table,
        representation_table,
        retrieval_table,
        summary_rows,
    )
    from mmkeras.metrics.measures import CATEGORY, GAP, REPRESENTATIONS

    retrieval = retrieval_table(metrics)
    if retrieval:
        rows = []
        for group in retrieval["groups"]:
            rows.append((f"[bold]{group['name']}[/]", *[""] * len(retrieval["columns"])))
            rows += [(f"  {row['name']}", *row["cells"]) for row in group["rows"]]
        print_table(title, ("Direction", *retrieval["columns"]), rows, numbers=True)
    for row in summary_rows(metrics):
        note = f" ({row['note']})" if row["note"] else ""
        again = f", re-ranked {row['reranked']}" if row["reranked"] else ""
        print(f"{row['name']} {row['figure']}{again}{note}\n")
    for name, table in (
        (CATEGORY if retrieval else title, category_table(metrics)),
        (REPRESENTATIONS, representation_table(metrics)),
    ):
        if table:
            rows = [(row["name"], *row["cells"]) for row in table["rows"]]
            print_table(name, ("Direction", *table["columns"]), rows, numbers=True)
    gap = [
        (row["name"], row["untrained"] or "-", row["trained"], row["better"])
        for row in gap_table(metrics, with_retrieval=False)
    ]
    if gap:
        print_table(GAP, ("Measure", "Untrained", "Trained", ""), gap)


def print_recipe(name: str) -> None:
    """Print a recipe's file, which gives its reasons, and every setting with its value there and what it means.

    Args:
        name: of a recipe, or the path of a TOML file.
    """
    from rich.markup import escape

    from mmkeras.training.recipe import Recipe, recipe_text
    from mmkeras.training.settings import settings_of
    from mmkeras.training.stage import Stage

    recipe = Recipe.load(name)
    print(recipe_text(name))
    columns = ("setting", "value", "meaning")

    def row(field, value):
        shown = repr(value) if isinstance(value, str) else str(value)
        return field.name, escape(shown), escape(field.metadata["help"])

    settings = {field.name: field for field in settings_of(Recipe)}
    tables = settings.pop("optimizers"), settings.pop("stages")
    rows = [row(field, getattr(recipe, field.name)) for field in settings.values()]
    print_table(f"Settings of {name}: key=value on the command line", columns, rows)
    of_stages = [
        field for field in settings_of(Stage) if field.name not in {*settings, "optimizers"} or field.name == "epochs"
    ]
    rows = [(field.name, escape(field.metadata["help"])) for field in of_stages]
    print_table("A stage also has: stages.NAME.key=value", ("setting", "meaning"), rows)
    for field in tables:
        print(f"{field.name}: {field.metadata['help']}\n")


def print_parity(title: str, comparisons: Iterable[ParityComparison], names: str = "signature") -> None:
    """Print the comparisons of a parity check as a table, to be read in 80 columns: the largest difference, off by
    which an output is, and the least cosine.

    `names` heads the first column; of file names such as `*_encoder_*.tflite` that shows what each `*` stands for.
    """
    constant = [part for part in names.split("*") if part] if "*" in names else []
    rows = []
    for c in comparisons:
        name = c.signature
        for part in constant:
            name = name.replace(part, " ")
        figures = str(c.rows), f"{c.max_abs_difference:.1e}", f"{c.min_cosine:.6f}"
        rows.append((name.strip(), c.output, *figures, _verdict(c.passed)))
    print_table(title, (names, "output", "rows", "off by", "cosine", ""), rows)


def print_gate(title: str | os.PathLike[str], verdict: GateVerdict) -> None:
    """Print how a new version compares with the one that is served, and the verdict."""
    rows = []
    for name, before, after in verdict.rows:
        scale, unit = (1, "") if name == "rsum" else (100, " %")
        rows.append(
            (name, f"{scale * before:.1f}{unit}", f"{scale * after:.1f}{unit}", f"{scale * (after - before):+.1f}")
        )
    versions = f"version {verdict.current}", f"version {verdict.candidate}"
    print_table(f"{title} on {verdict.measured}", ("", *versions, "difference"), rows, numbers=True)
    if verdict.same_space:
        print("Both embed in one space: an index of the one is an index of the other")
    print(verdict.sentence)


def print_device(folder: str | os.PathLike[str], described: Mapping[str, Any]) -> None:
    """Print what `export_tflite` wrote as a table, what it left out, and which files are far from Keras."""
    from mmkeras.export.tflite.card import far_from_keras

    rows = [
        (
            name,
            f"{file['bytes'] / 1e6:.2f}",
            f"{file['cosine']['least']:.5f}",
            f"{file['cosine']['mean']:.5f}",
            f"{file['median_milliseconds']:.3f}",
        )
        for name, file in described["files"].items()
    ]
    print_table(str(folder), ("file", "MB", "least cosine", "mean", "ms"), rows)
    if index := described.get("index"):
        print(
            f"Index: {index['items']:,} items, {index['precision']}, {index['bytes'] / 1e6:.2f} MB of "
            f"{index['float32_bytes'] / 1e6:.2f} as float32, recall@{index['k']} {index['recall']:.4f}"
        )
    for name, reason in described["left_out"].items():
        print(f"Left out: {name}: {reason}")
    for sentence in far_from_keras(described):
        print(sentence)


def print_comparison(comparison: Comparison) -> None:
    """Print runs side by side: a few as the columns of one table, more as the rows of one table a section."""
    from rich.console import Console
    from rich.markup import escape

    sections, titles = comparison.sections(), [escape(group.title) for group in comparison.groups]
    measured = {group.measured for group in comparison.groups} - {""}
    title = f"Comparison on {measured.pop()}" if len(measured) == 1 else "Comparison"
    if len(titles) <= MOST_COLUMNS:
        rows = []
        for section in sections:
            rows.append((f"[bold]{section['title']}[/]", *[""] * len(titles)))
            rows += [(f"  {row['measure'].label}", *map(_figure, row["cells"])) for row in section["rows"]]
        print_table(title, ("", *titles), rows, numbers=True)
    else:
        print(title)
        for section in sections:
            figures = zip(*(map(_figure, row["cells"]) for row in section["rows"]), strict=True)
            rows = [(name, *cells) for name, cells in zip(titles, figures, strict=True)]
            print_table(section["title"], ("", *(row["measure"].label for row in section["rows"])), rows, numbers=True)
    several = any(len(group.runs) > 1 for group in comparison.groups)
    seeds = "; ×3, ±: mean and deviation of 3 seeds (apart: --each)" if several else ""
    print(f"↑ higher is better, ↓ lower, * the best{seeds}")
    for warning in comparison.warnings:
        Console(soft_wrap=True).print(f"[yellow]{escape(warning)}[/]", highlight=False)


def _figure(cell):
    return f"[bold green]*{cell['text']}[/]" if cell["best"] else cell["text"]


def print_answer(answer: Answer) -> None:
    """Print what a query found as a table."""
    from rich.markup import escape

    matched = any(r.match is not None for r in answer.results)
    rows = []
    for r in answer.results:
        match = ("" if r.match is None else f"{r.match:.3f}",) if matched else ()
        item = escape(str(r.item["id"])), escape(r.item["text"]), _seen(r.item)
        rows.append((str(r.rank), *match, f"{r.score:.3f}", *item))
    columns = ("rank", *(("match",) if matched else ()), "score", "item", "text", "")
    print_table(answer.query, columns, rows)


def print_data(findings: DataFindings) -> None:
    """Print what a check of data found: its splits, what is in it, and what must be mended or looked at."""
    from rich.markup import escape

    from mmkeras.data.checking.wording import VERDICTS, facts

    rows = [(escape(split), *(f"{count:,}" for count in counts.values())) for split, counts in findings.counts.items()]
    if rows:
        print_table(
            os.path.basename(findings.source), ("split", *next(iter(findings.counts.values()))), rows, numbers=True
        )
    lines: list[tuple[str, str]] = []
    for section, of_section in facts(findings).items():
        lines.append((f"[bold]{section}[/]", ""))
        lines += [(f"  {label}", escape(text)) for label, text in of_section]
    print_table("", ("What is in it", ""), lines)
    for title, problems in (("To be mended:", findings.problems), ("To be looked at:", findings.notes)):
        if problems:
            print(title)
        for problem in problems:
            _print_point("- ", problem.what)
            places = problem.places if problems is findings.problems else ()
            for place in places[:MOST_PLACES]:
                _print_point("    ", place)
            if len(places) > MOST_PLACES:
                print(f"    ... and {len(places) - MOST_PLACES:,} more: --json lists all, --html FILE shows them")
        if problems:
            print()
    print(printable(f"{os.path.basename(findings.source)}: {VERDICTS[findings.verdict]}"))


def _print_point(start, text):
    """Print a line of a list within the terminal's width; names and paths are not cut."""
    import shutil
    import textwrap

    width = min(MOST_WIDTH, shutil.get_terminal_size().columns)
    folded = textwrap.wrap(printable(text), width - len(start), break_long_words=False, break_on_hyphens=False)
    print("\n".join([start + line if not row else " " * len(start) + line for row, line in enumerate(folded)]))


def _seen(item):
    return "" if item.get("seen", True) else "unseen"


def _verdict(passed):
    return "[green]equal[/]" if passed else "[red]DIFFERS[/]"


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: bool = False) -> None:
    """Print rows of strings, which may hold rich's markup, as a table; a long line is folded, not cut.

    The first column, names to be copied, is folded with `numbers` only, where it is long; these align on the right.
    """
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(printable(title)), title_justify="left", box=box.SIMPLE_HEAD)
    rows = list(rows)
    whole = not numbers or max((len(row[0]) for row in rows), default=0) <= LONGEST_LABEL
    for place, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if numbers and place else "left"
        table.add_column(column, overflow="fold", justify=justify, no_wrap=whole and not place)
    for row in rows:
        table.add_row(*map(printable, row))
    Console().print(table)


def quiet_tensorflow() -> None:
    """Load TensorFlow without its log, the search for a GPU among it; what goes wrong is raised as an exception anyway.

    Its first lines come before TF_CPP_MIN_LOG_LEVEL counts, straight to the file descriptor, which points nowhere
    meanwhile.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow

        tensorflow.config.list_physical_devices()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
