"""Queries with their best results, rights and wrongs, as the report shows them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.data.paired import PairedData
from mmkeras.evaluation.measuring.evaluate import Evaluation
from mmkeras.evaluation.measuring.relevance import answered, best_ranks, relevant
from mmkeras.evaluation.thumbnails import DRAWING, data_uri

SHOWN_CHARACTERS = 300  # of a text: an article would be the whole page


def draw_queries(
    evaluation: Evaluation,
    direction: str,
    seed: int,
    count: int = 8,
    results: int = 5,
) -> dict[str, Any]:
    """Draw queries whose best relevant result ranks first, and others whose does not, with their top results.

    Args:
        evaluation: `Evaluation`; its `relevance` says what is right.
        direction: `"text_to_image"` or `"image_to_text"`.
        seed: decides what is drawn; both directions draw on their own.
        count: how many of each kind, or all where there are fewer.
        results: length of the result lists.

    Returns:
        dict: `right` and `wrong`, lists of queries, and `right_count`, `wrong_count`, of how many they were drawn. A
        query is a dict with its item (`Items`), `rank` (of the best relevant result, from 1), `results` (items
        with `score` and `mark`: `"match"`, `"look-alike"` or `""`) and `expected`, the best relevant item, where none
        of the results is.
    """
    data, relevance = evaluation.data, evaluation.relevance
    by_item = relevance.by == "item"  # by category there are no look-alikes: all of the category match
    images = _Side(evaluation.image_embeddings, relevance.image, data.image_item)
    texts = _Side(evaluation.text_embeddings, relevance.text, data.text_item)
    items = Items(data, show_categories=not by_item)
    if direction == "text_to_image":
        queries, gallery, show_query, show_result = texts, images, items.text, items.picture
    else:
        queries, gallery, show_query, show_result = images, texts, items.picture, items.text
    asked = np.flatnonzero(answered(queries.keys, gallery.keys))
    rank = best_ranks(queries.embeddings[asked], gallery.embeddings, queries.keys[asked], gallery.keys)
    generator = np.random.default_rng([seed, direction == "text_to_image"])
    drawn: dict[str, Any] = {}
    for kind, rows in (("right", np.flatnonzero(rank == 1)), ("wrong", np.flatnonzero(rank > 1))):
        chosen = np.sort(generator.choice(rows, min(count, len(rows)), replace=False)) if len(rows) else rows
        drawn[kind], drawn[f"{kind}_count"] = [], len(rows)
        for place in chosen:
            query = asked[place]
            score = (gallery.embeddings @ queries.embeddings[query]).astype(np.float32)
            right = relevant(queries.keys[[query]], gallery.keys)[0]
            exact = right & (gallery.strict == queries.strict[query]) if by_item else right
            best = np.lexsort([right, -score])[:results]  # ties: the irrelevant first, as the ranks count them
            shown = [
                show_result(row, queries.keys[query])
                | {
                    "score": float(score[row]),
                    "mark": "match" if exact[row] else "look-alike" if right[row] else "",
                }
                for row in best
            ]
            nearest = int(np.argmax(np.where(right, score, -np.inf)))
            expected = None if right[best].any() else show_result(nearest, queries.keys[query])
            drawn[kind].append(show_query(query) | {"rank": int(rank[place]), "results": shown, "expected": expected})
    return drawn


class Items:
    """How pictures and texts of a data set are shown: features by their names.

    Args:
        data: `PairedData`.
        show_categories: whether `category` says what they are; otherwise it is empty.
    """

    def __init__(self, data: PairedData, show_categories: bool = False) -> None:
        self.data = data
        self.show_categories = show_categories
        self.names = {}
        if len(data.pairs):
            for item, text in zip(data.text_item.tolist(), data.shown_texts, strict=True):
                self.names.setdefault(item, _shortened(text))

    def picture(self, row: int, asked: NDArray[Any] | None = None) -> dict[str, Any]:
        """Return `picture` (a data URI, `None` for feature vectors), `name`, `text`, its own if known, `category`.

        `drawing` says that it is small enough to be shown in whole pixels.
        """
        item, name = int(self.data.image_item[row]), self.data.image_names[row]
        text = self.names.get(item, "")
        picture = self.data.pictures[row] if self.data.pictures is not None else None
        return {
            "kind": "picture",
            "picture": None if picture is None else data_uri(picture),
            "drawing": picture is not None and max(picture.shape[:2]) <= DRAWING,
            "text": "" if text == name else text,  # features of both go by one name
            "item": item,
            "name": name,
            "category": self._category(self.data.label, row, asked),
        }

    def text(self, row: int, asked: NDArray[Any] | None = None) -> dict[str, Any]:
        """Return `text` and `category`, in which those of `asked`, the query's multi-hot ones, stand first."""
        return {
            "kind": "text",
            "picture": None,
            "text": _shortened(self.data.shown_texts[row]),
            "item": int(self.data.text_item[row]),
            "category": self._category(self.data.text_label, row, asked),
        }

    def _category(self, label, row, asked):
        if not self.show_categories:
            return ""
        if label.ndim == 1:
            return self.data.label_names[label[row]]
        chosen = np.flatnonzero(label[row])
        if asked is not None:
            chosen = sorted(chosen, key=lambda one: not asked[one])
        return ", ".join(self.data.label_names[one] for one in chosen) or "no category"


def _shortened(text):
    """A text as far as it is shown."""
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1].rstrip() + "…"


class _Side:
    """Embeddings of one modality, what makes them relevant, and their strict ids."""

    def __init__(self, embeddings, keys, strict):
        self.embeddings, self.keys, self.strict = embeddings, keys, strict
