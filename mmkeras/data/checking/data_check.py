"""`check_data`: what is in a data set, and what is wrong with it."""

from __future__ import annotations

import collections
import os
import posixpath
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from mmkeras.data.captioned_pictures import CaptionedPictures
from mmkeras.data.checking.caption_figures import caption_figures
from mmkeras.data.checking.class_figures import class_figures
from mmkeras.data.checking.data_findings import DataFindings
from mmkeras.data.checking.picture_figures import picture_figures
from mmkeras.data.checking.picture_looks import (
    kind_of_problem,
    look_at_headers,
    look_at_pictures,
)
from mmkeras.data.checking.problem import Problem, amount
from mmkeras.data.checking.shared_pictures import named_in_several_ways, shared_pictures
from mmkeras.data.checking.spread import Spread
from mmkeras.data.equal_texts import Normalizer
from mmkeras.data.feature_file import FeatureFile
from mmkeras.data.layouts import find_layout
from mmkeras.data.picture_copies import copies
from mmkeras.data.split_names import in_order

MAX_PIXELS = 50_000_000  # as of an `ImagePreprocessor`
# What a record lacks, by what was said of it; the first that matches.
RECORD_KINDS = (
    ("empty_captions", "an empty caption", r": caption \d+ of .* is empty$"),
    ("no_captions", "no caption", r"Received: no caption"),
    ("disagreeing", "another record says otherwise", r"expected one (labelling|id) of |expected an id in every record"),
    ("urls", "a URL in place of a file's name", r"URLs are not fetched"),
    ("broken_text", "text that is no Unicode", r"expected Unicode text"),
    ("bad_labels", "no label as expected", r"\bfor targets = |to be the name of a category|names of categories"),
    ("bad_records", "not what is expected", r""),
)


def check_data(
    data: CaptionedPictures,
    text_preprocessor: Normalizer | None = None,
    max_pixels: int = MAX_PIXELS,
    decode: bool = True,
    folder: str | os.PathLike[str] | None = None,
) -> DataFindings:
    """Look at a data set before somebody trains on it.

    With `decode` every picture is read, decoded as a model's `ImagePreprocessor` does, and compared with the others by
    its bytes; what was found is remembered by path, size and time of change, so that the next time costs little.
    Without it the answer takes seconds for a hundred thousand pictures: the beginnings of some are read, and which are
    copies is known from reading the data set.

    Args:
        data: what `mmkeras.data.read` returned; with `skip_unreadable=1` it has the records that can be read where
            others cannot, and those are told.
        text_preprocessor: the model's, which says how many ids captions have; it also says which captions are equal.
        max_pixels: the largest picture that is decoded.
        decode: whether pictures are decoded.
        folder: the cache folder; by default the user's.

    Returns:
        `DataFindings`.

    Example:
        >>> findings = check_data(mmkeras.data.read("captions.csv", skip_unreadable=1))
        >>> findings.verdict, [problem.what for problem in findings.problems]
        ('good', [])
    """
    written = _as_written(data) if decode else []
    where = {record.image: record.where for record in reversed(data.records)}
    where |= {name: line for name, _, line in reversed(written)}
    problem_of, figures, first_of = dict(data.missing), None, {}
    several: list[Problem] = []
    if not isinstance(data.pictures, FeatureFile):
        # Each file once, whatever links lead to it; a copy may be empty, so it is looked at too.
        files = {picture.stamp()[0]: name for name, picture in reversed(data.pictures.items())}
        names = list(files.values())[::-1]
        pictures = [data.pictures[name] for name in names]
        if decode:
            looks = look_at_pictures(pictures, max_pixels, folder)
            problem_of |= {name: look.problem for name, look in zip(names, looks, strict=True) if look.problem}
            first = _first([look.digest or row for row, look in enumerate(looks)])
        else:
            looks, first = look_at_headers(pictures), copies(pictures, folder).tolist()
        size = sum(picture.stamp()[1] for picture in pictures)
        figures = picture_figures(len(names) + len(data.missing), size, looks, len(problem_of))
        # An empty file is no copy of another one.
        first_of = {name: names[row] for name, row in zip(names, first, strict=True) if name not in problem_of}
        several = named_in_several_ways(
            [(data.pictures[name].stamp()[0], text) for name, text, _ in written if name in data.pictures]
        )
    names_of, captions_of = _by_split(data)
    captions = caption_figures(data.records, text_preprocessor, quick=not decode)
    classes = class_figures(data.records)
    return DataFindings(
        source=str(data.source),
        layout=data.layout,
        unused=data.unused,
        drawn=data.drawn,
        max_pixels=max_pixels,
        decoded=decode and figures is not None,
        records=data.count,
        counts=_counts(data, names_of, captions_of),
        captions_a_picture=Spread(np.array(list(_captions_of_pictures(data).values()), np.int64)),
        pictures=figures,
        captions=captions,
        classes=classes,
        problems=[
            *_record_problems(data),
            *_picture_problems(problem_of, where),
            *_empty_splits(data, names_of, captions_of, problem_of),
        ],
        notes=[
            *_not_for_training(names_of),
            *shared_pictures({split: list(names) for split, names in names_of.items()}, first_of),
            *several,
            *captions.notes,
            *(classes.notes if classes else ()),
        ],
    )


def _first(keys: Iterable[Any]):
    """For each key the row of the first that is equal."""
    rows: dict[Any, int] = {}
    return [rows.setdefault(key, row) for row, key in enumerate(keys)]


def _by_split(data):
    """The names of the pictures of each split, and the number of its captions; train, dev and test first."""
    names: dict[str, dict[str, None]] = {}
    captions: collections.Counter[str] = collections.Counter()
    for record in data.records:
        of_split = names.setdefault(record.split, {})
        if record.image is not None:
            of_split[record.image] = None
        captions[record.split] += len(record.captions)
    return {split: names[split] for split in in_order(names)}, captions


def _counts(data, names_of, captions_of):
    records = collections.Counter(record.split for record in data.records)
    return {
        split: {"records": records[split], "pictures": len(names), "captions": captions_of[split]}
        for split, names in names_of.items()
    }


def _captions_of_pictures(data):
    count: collections.Counter[str] = collections.Counter()
    for record in data.records:
        if record.image is not None:
            count[record.image] += len(record.captions)
    return count


def _as_written(data):
    """Of each record with a picture its name, the name as it is written, and where; the source is read once more."""
    rows = []
    for row in find_layout(data.source).rows():
        written = None if row.fields is None else row.fields.get("image")
        if isinstance(written, str) and written:
            rows.append((posixpath.normpath(written), written, row.where))
    return rows


def _record_problems(data):
    """What is wrong with the records, a `Problem` a kind."""
    by_kind: dict[tuple[str, str], list[str]] = {}
    for problem in data.left_out:
        kind, what, _ = next(one for one in RECORD_KINDS if re.search(one[2], problem))
        by_kind.setdefault((kind, what), []).append(problem.removeprefix(f"{data.source}, "))
    return [
        Problem(kind, f"{len(places):,} of {data.count:,} records cannot be read: {what}", len(places), places)
        for (kind, what), places in by_kind.items()
    ]


def _picture_problems(problem_of, where):
    """All pictures that cannot be read, a `Problem` a kind of reason, most frequent first."""
    by_kind: dict[str, list[str]] = {}
    for name, problem in problem_of.items():
        place = name if where[name] == name else f"{where[name]}: {name}"
        by_kind.setdefault(kind_of_problem(problem), []).append(f"{place}: {_reason(name, problem)}")
    kinds = sorted(by_kind, key=lambda kind: -len(by_kind[kind]))
    problems = []
    for kind in kinds:
        what = amount(len(by_kind[kind]), "picture", f"is {kind}", f"are {kind}")
        problems.append(Problem("unreadable_pictures", what, len(by_kind[kind]), by_kind[kind]))
    return problems


def _reason(name, problem):
    """What is wrong with a picture, without its name, which stands before it, and without advice."""
    problem = problem.partition(". Restore it")[0].partition(". Allow that")[0]
    return problem.removeprefix(f"the picture {name} ").removeprefix("is ")


def _not_for_training(names_of):
    if not names_of or {"train", "dev"} & set(names_of):
        return []
    what = f"the data have neither train nor dev, but {', '.join(names_of)}: they measure a model, and train none"
    return [Problem("no_training", what, 0)]


def _empty_splits(data, names_of, captions_of, problem_of):
    if not data.records:
        return [Problem("no_records", "there is no record that can be read")]
    readable = {split: sum(name not in problem_of for name in names) for split, names in names_of.items()}
    problems = []
    # Data to evaluate on may be one split; who trains on one measures on the other.
    needed = {"train", "dev"} if {"train", "dev"} & set(readable) else set()
    for split in [*readable, *sorted(needed - set(readable), reverse=True)]:
        lacks = "pictures" if not readable.get(split) else "captions" if not captions_of[split] else ""
        if lacks:
            use = {"train": "training reads it", "dev": "each epoch is measured on it"}.get(split, "")
            what = f"the split {split} has no {lacks} that can be read" + (f": {use}" if use else "")
            problems.append(Problem("empty_split", what, 0))
    return problems
