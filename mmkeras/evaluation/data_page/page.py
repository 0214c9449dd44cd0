"""`write_data_page`: one HTML file that shows what is in a data set, and what is wrong with it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmkeras.atomic import replacing_file
from mmkeras.data.checking import DataFindings
from mmkeras.data.checking.wording import VERDICTS, facts, share
from mmkeras.evaluation.data_page.figures import data_figures
from mmkeras.evaluation.rendering import render

MOST_UNREADABLE = 12  # pictures that are named beside those that are shown
MOST_PLACES = 2000  # of one problem, that the page lists


def write_data_page(file: str | os.PathLike[str], findings: DataFindings, sheet: Sequence[dict[str, Any]] = ()) -> None:
    """Write the page of a data check: one file, self-contained, in the look of a run's report.

    Args:
        file: path; written beside and renamed.
        findings: what `check_data` returned.
        sheet: what `picture_sheet` returned.

    Example:
        >>> write_data_page("data.html", check_data(data), picture_sheet(data, max_pixels=50_000_000))
    """
    page = render(
        __package__,
        "data.html.j2",
        title=Path(findings.source).name,
        findings=findings,
        verdict=VERDICTS[findings.verdict],
        tiles=_tiles(findings),
        facts=facts(findings),
        figures=data_figures(findings),
        sheet=sheet,
        unreadable=_unreadable(findings),
        most_places=MOST_PLACES,
    )
    with replacing_file(file) as beside:
        beside.write_text(page, encoding="utf-8", newline="\n")


def _unreadable(findings):
    """Some pictures that cannot be read: what each is, such as `empty`, and where."""
    return [
        (problem.what.partition(" are " if problem.count > 1 else " is ")[2], ": ".join(place.split(": ")[:2]))
        for problem in findings.problems
        if problem.kind == "unreadable_pictures"
        for place in problem.places
    ][:MOST_UNREADABLE]


def _tiles(findings):
    pictures, captions = findings.pictures, findings.captions
    splits = ", ".join(f"{split} {count['pictures']:,}" for split, count in findings.counts.items())
    count = sum(1 for _ in findings.captions_a_picture.values)
    tiles = [{"name": "Pictures", "value": f"{count:,}", "note": splits}]
    each = f", {findings.captions_a_picture.mean:.3g} a picture" if count else ""
    tiles.append({"name": "Captions", "value": f"{captions.count:,}", "note": f"{captions.words.median:g} words{each}"})
    bad = pictures.unreadable if pictures else 0
    lost = sum(problem.count for problem in findings.problems if problem.kind != "unreadable_pictures")
    tiles.append({"name": "Cannot be read", "value": f"{bad + lost:,}", "note": f"{bad:,} pictures, {lost:,} records"})
    shared = sum(note.count for note in findings.notes if note.kind == "shared_pictures")
    copied = sum(note.count for note in findings.notes if note.kind == "copies")
    tiles.append({"name": "In two splits", "value": f"{shared:,}", "note": f"{copied:,} copies in all"})
    if captions.ids is not None:
        tiles.append(
            {"name": "Cut captions", "value": share(captions.cut), "note": f"at {captions.sequence_length} ids"}
        )
    if findings.classes is not None:
        of_each = list(findings.classes.totals.values())
        tiles.append(
            {"name": "Classes", "value": f"{len(of_each):,}", "note": f"{of_each[0]:,} to {of_each[-1]:,} pictures"}
        )
    return tiles
