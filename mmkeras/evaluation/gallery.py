"""Queries with their best results, rights and wrongs, as the report shows them."""

import base64
import io

import numpy as np
from PIL import Image

from mmkeras.metrics.retrieval import ranks

THUMBNAIL = 112  # px; shown at half of it on screens of double density
PNG_BYTES = 6000  # above it, a photograph: JPEG keeps a report of some hundred pictures below 2 MB


def draw_queries(evaluation, direction, seed, count=8, results=5):
    """Draw queries whose best relevant result ranks first, and others whose does not, with their top results.

    Args:
        evaluation: `Evaluation` with `relevance_ids`.
        direction: `"text_to_image"` or `"image_to_text"`.
        seed: of the draw; both directions draw on their own.
        count: how many of each kind, or all where there are fewer.
        results: length of the result lists.

    Returns:
        dict: `right` and `wrong`, lists of queries, and `right_count`, `wrong_count`, of how many they were drawn. A
        query is a dict with its item (`Items.show`), `rank` (of the best relevant result, from 1), `results` (items
        with `score` and `mark`: `"match"`, `"look-alike"` or `""`) and `expected`, the best relevant item, where none
        of the results is.
    """
    data = evaluation.data
    image_id, text_id = evaluation.relevance_ids
    paired = data.paired  # by category there are no look-alikes: all of the category match
    images = _Side(evaluation.image_embeddings, image_id, data.image_item)
    texts = _Side(evaluation.text_embeddings, text_id, data.text_item)
    items = Items(data)
    if direction == "text_to_image":
        queries, gallery, show_query, show_result = texts, images, items.text, items.picture
    else:
        queries, gallery, show_query, show_result = images, texts, items.picture, items.text
    answered = np.flatnonzero(np.isin(queries.ids, gallery.ids))
    rank = ranks(queries.embeddings[answered], gallery.embeddings, queries.ids[answered], gallery.ids)
    generator = np.random.default_rng([seed, direction == "text_to_image"])
    drawn = {}
    for kind, rows in (("right", np.flatnonzero(rank == 1)), ("wrong", np.flatnonzero(rank > 1))):
        chosen = np.sort(generator.choice(rows, min(count, len(rows)), replace=False)) if len(rows) else rows
        drawn[kind], drawn[f"{kind}_count"] = [], len(rows)
        for place in chosen:
            query = answered[place]
            score = (gallery.embeddings @ queries.embeddings[query]).astype(np.float32)
            relevant = gallery.ids == queries.ids[query]
            exact = relevant & (gallery.strict == queries.strict[query]) if paired else relevant
            best = np.lexsort([relevant, -score])[:results]  # ties: the irrelevant first, as the ranks count them
            shown = [
                show_result(row)
                | {
                    "score": float(score[row]),
                    "mark": "match" if exact[row] else "look-alike" if relevant[row] else "",
                }
                for row in best
            ]
            nearest = int(np.argmax(np.where(relevant, score, -np.inf)))
            expected = None if relevant[best].any() else show_result(nearest)
            drawn[kind].append(show_query(query) | {"rank": int(rank[place]), "results": shown, "expected": expected})
    return drawn


class Items:
    """How pictures and texts of a data set are shown.

    Args:
        data: `PairedData`.
    """

    def __init__(self, data):
        self.data = data
        self.names = {}
        if len(data.pairs):
            for item, text in zip(data.text_item.tolist(), data.texts, strict=True):
                self.names.setdefault(item, text)

    def picture(self, row):
        """Return `picture` (a data URI, `None` for feature vectors), `name`, and `text`, the picture's own if known."""
        item = int(self.data.image_item[row])
        is_picture = self.data.images.ndim == 4
        return {
            "kind": "picture",
            "picture": data_uri(self.data.images[row]) if is_picture else None,
            "text": self.names.get(item, "" if is_picture else f"category {self._category(row)}"),
            "item": item,
            "name": self.data.image_names[row],
        }

    def text(self, row):
        """Return `text`."""
        return {"kind": "text", "picture": None, "text": self.data.texts[row], "item": int(self.data.text_item[row])}

    def _category(self, row):
        label = self.data.label
        return "" if label is None or label.ndim != 1 else self.data.label_names[label[row]]


def data_uri(image):
    """Return a picture as a data URI, no edge longer than `THUMBNAIL`.

    Args:
        image: uint8 (H, W, 3) or (H, W, 1).
    """
    picture = Image.fromarray(np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image))
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    if len(encoded := _encoded(picture, "PNG", optimize=True)) <= PNG_BYTES:
        return "data:image/png;base64," + base64.b64encode(encoded).decode()
    return "data:image/jpeg;base64," + base64.b64encode(_encoded(picture.convert("RGB"), "JPEG", quality=80)).decode()


def _encoded(picture, kind, **settings):
    stream = io.BytesIO()
    picture.save(stream, kind, **settings)
    return stream.getvalue()


class _Side:
    """Embeddings of one modality with both kinds of ids."""

    def __init__(self, embeddings, ids, strict):
        self.embeddings, self.ids, self.strict = embeddings, ids, strict
