"""Feature sets: features of pictures and of texts in pairs, with a category each, as they are published."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np

from mmkeras.data.feature_layouts import find_parts
from mmkeras.data.paired import PairedData
from mmkeras.errors import MmkerasError

ORDER = ("train", "dev", "val", "valid", "test")  # in which rows are numbered; other splits come after them


def load_features(
    source: str | os.PathLike[str], split: str, limit: int = 0, targets: Literal["", "category"] = "category"
) -> PairedData:
    """Read one split of a feature set: row i of its pictures and row i of its texts are a pair.

    | layout | a split `train` |
    |---|---|
    | an `.npz` file | `image_train` (N, F), `text_train` (N, G), `label_train` (N,); optional `id_train`, names, and |
    | | `words_train`, what the texts say; and for all splits `categories`, their names, of labels from 1 |
    | a folder of `.mat` files | `train_img`, `train_txt`, `train_img_lab`, optional `train_txt_lab`: a variable each |
    | a folder of `.txt` files | `img_train_fea`, `txt_train_fea`: a row a line; `img_train_list` and optional |
    | | `txt_train_list`: lines `PATH LABEL` |

    These are the layouts of the shared Wikipedia features (Rasiwasia et al. 2010), of DSCMR's pack of Pascal Sentence
    and of the pack of XMediaNet. Where no split is called `dev`, `val` or `valid`, the rows of `test` are shared: of
    each category, in the file's order, one goes to `dev` and the next one to `test`. (XMediaNet's pack holds both
    together; which rows are which, it does not say.)

    Args:
        source: path of the file or the folder.
        split: `train`, `dev`, `test`, or `all`; several are joined by `+`.
        limit: only the first so many pairs of each; 0 is all.
        targets: `category`, or `""`, which leaves the labels away.

    Returns:
        `PairedData`, its `images` float32 (N, F), its `texts` float32 (N, G), named by their ids, and `text_names` what
        they say where the set knows it. A pair's id is the number of its row in the whole set, so that splits agree.

    Raises:
        MmkerasError: no such layout or split, or an array that does not fit: a row that is not finite, another number
            of rows, a label that is no category, two categories of one pair, each with the file and the row.

    Example:
        >>> load_features("wikipedia/features.npz", "dev").texts.shape
        (231, 10)
    """
    if targets not in ("", "category"):
        raise MmkerasError(
            f"Expected targets to be category or empty for {source}: a pair of a feature set has one category. "
            f"Received: targets={targets!r}"
        )
    splits, categories = find_parts(source)
    in_order = sorted(splits, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    label_of = {name: _labels(splits[name]) for name in in_order}
    names, label_of = _categories(source, categories, splits, label_of)
    first_row, start = {}, 0
    for name, label in label_of.items():
        first_row[name], start = start, start + len(label)
    rows_of = _rows_of_splits(source, split, label_of)
    parts = {
        name: _read_rows(splits[name], rows[:limit] if limit else rows, label_of[name], first_row[name], name)
        for name, rows in rows_of.items()
    }
    for key in ("image", "text"):
        widths = {name: part[key].shape[1] for name, part in parts.items()}
        if len(set(widths.values())) > 1:
            raise MmkerasError(f"{source}: expected {key} features of one length in all splits. Received: {widths}")
    joined = {key: np.concatenate([part[key] for part in parts.values()]) for key in ("image", "text", "label", "id")}
    named = {key: [one for part in parts.values() for one in part[key]] for key in ("name", "words")}
    labels = {"label": joined["label"], "text_label": joined["label"], "label_names": names} if targets else {}
    pairs = np.arange(len(joined["id"]), dtype=np.int32)
    return PairedData(
        name=f"{Path(source).name}/{split}",
        images=joined["image"],
        texts=joined["text"],
        image_id=joined["id"],
        text_image_id=joined["id"],
        pairs=np.column_stack([pairs, pairs]),
        image_names=named["name"],
        text_names=named["words"],
        **labels,
    )


def _labels(parts):
    """The labels of a split, int (N,), equal for pictures and texts where both have some."""
    label = _whole_numbers(parts["label"])
    if "text_label" in parts:
        of_text = _whole_numbers(parts["text_label"])
        if len(of_text) != len(label):
            raise MmkerasError(
                f"{parts['text_label'].where}: expected {len(label)} rows, as in {parts['label'].where}. "
                f"Received: {len(of_text)}"
            )
        if (label != of_text).any():
            row = int(np.argmax(label != of_text))
            raise MmkerasError(
                f"{parts['text_label'].where}, row {row}: expected the category of its picture, {label[row]}, "
                f"as in {parts['label'].where}. Received: {of_text[row]}"
            )
    return label


def _whole_numbers(part):
    label = np.asarray(part.read())
    label = label.ravel() if label.ndim == 2 and 1 in label.shape else label  # MATLAB has no vectors
    if label.dtype.kind not in "iuf" or label.ndim != 1:
        raise MmkerasError(
            f"{part.where}: expected a whole number a row, the category. Received: {label.dtype} of shape {label.shape}"
        )
    bad = label != np.floor(label)  # of NaN too
    if bad.any():
        row = int(np.argmax(bad))
        raise MmkerasError(f"{part.where}, row {row}: expected a whole number, the category. Received: {label[row]}")
    return label.astype(np.int64)


def _categories(source, categories, splits, label_of):
    """Names of the categories, and the labels as places among them."""
    if categories is None:
        present = np.unique(np.concatenate(list(label_of.values())))
        places = {split: np.searchsorted(present, label).astype(np.int32) for split, label in label_of.items()}
        return tuple(str(label) for label in present.tolist()), places
    names = tuple(str(name) for name in categories.read().tolist())
    for split, label in label_of.items():
        bad = (label < 1) | (label > len(names))
        if bad.any():
            row = int(np.argmax(bad))
            raise MmkerasError(
                f"{splits[split]['label'].where}, row {row}: expected 1 to {len(names)}, a place in the categories of "
                f"{source}. Received: {label[row]}"
            )
    return names, {split: (label - 1).astype(np.int32) for split, label in label_of.items()}


def _rows_of_splits(source, split, label_of):
    """Which rows of which arrays a split is made of: dict from a split of the files to rows."""
    rows = {name: np.arange(len(label)) for name, label in label_of.items()}
    dev = next((name for name in ("dev", "val", "valid") if name in rows), None)
    chosen = {"dev": (dev, rows[dev])} if dev else {}
    if not dev and "test" in rows:
        of_dev = _every_other(label_of["test"])
        chosen = {"dev": ("test", rows["test"][of_dev]), "test": ("test", rows["test"][~of_dev])}
    chosen = {name: (name, of_file) for name, of_file in rows.items()} | chosen
    found = {}
    for wanted in split.split("+"):
        if wanted != "all" and wanted not in chosen:
            raise MmkerasError(f"{source} has no split {wanted!r}; it has {', '.join(sorted(chosen))}")
        for file, more in [*rows.items()] if wanted == "all" else [chosen[wanted]]:
            found[file] = np.union1d(found.get(file, more), more)
    return found


def _every_other(label):
    """Of each category the first row, the third and so on: bool (N,)."""
    order = np.argsort(label, kind="stable")
    sizes = np.unique(label, return_counts=True)[1]
    place = np.arange(len(label)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = np.zeros(len(label), bool)
    chosen[order] = place % 2 == 0
    return chosen


def _read_rows(parts, rows, label, first_row, split):
    """Some rows of a split of the files, checked as a whole."""
    found = {key: _vectors(parts[key], len(label))[rows] for key in ("image", "text")}
    names = _strings(parts["id"], len(label)) if "id" in parts else [f"{split}-{row}" for row in range(len(label))]
    words = _strings(parts["words"], len(label)) if "words" in parts else names
    return found | {
        "label": label[rows],
        "id": (first_row + rows).astype(np.int64),
        "name": [names[row] for row in rows],
        "words": [words[row] for row in rows],
    }


def _vectors(part, rows):
    """An array of features, float32 (N, F), finite."""
    vectors = np.asarray(part.read())
    if vectors.dtype.kind not in "iuf" or vectors.ndim != 2 or len(vectors) != rows:
        raise MmkerasError(
            f"{part.where}: expected features, numbers of shape ({rows}, F), a row for each label. "
            f"Received: {vectors.dtype} of shape {vectors.shape}"
        )
    with np.errstate(over="ignore"):
        vectors = vectors.astype(np.float32)
    bad = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise MmkerasError(
            f"{part.where}, row {row}: expected finite numbers. Received: {vectors[row][~np.isfinite(vectors[row])][0]}"
        )
    return vectors


def _strings(part, rows):
    names = np.asarray(part.read())
    if names.ndim != 1 or len(names) != rows:
        raise MmkerasError(f"{part.where}: expected {rows} rows, one for each label. Received: shape {names.shape}")
    return [str(name) for name in names.tolist()]
