"""`evaluate`: embed a split once, and measure on the embeddings everything that the report shows."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.atomic import replacing_file
from mmkeras.data.equal_texts import relate_equal_texts
from mmkeras.data.paired import PairedData
from mmkeras.errors import MmkerasError
from mmkeras.evaluation.measuring.relevance import Relevance, map_of_chance
from mmkeras.evaluation.measuring.zero_shot import zero_shot_metrics
from mmkeras.metrics.ids import linked_groups
from mmkeras.metrics.measures import REPRESENTATION, RERANKED, STRICT
from mmkeras.metrics.modality_gap import FEWEST_GROUPS, modality_gap_metrics
from mmkeras.metrics.representation import representation_maps
from mmkeras.metrics.reranking import reranked_metrics
from mmkeras.metrics.retrieval import mean_average_precision, retrieval_metrics
from mmkeras.progress import Progress

if TYPE_CHECKING:
    from mmkeras.models.image_text_model import ImageTextModel

K_TEST = 128  # candidates a query, where a model can match


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """Embeddings of one split, and their metrics.

    Args:
        metrics: flat dict of floats and counts, see `evaluate`.
        image_embeddings: float32 (P, D).
        text_embeddings: float32 (T, D).
        data: the `PairedData` that was embedded, row for row.
        relevance: the `Relevance` by which examples are shown: by category where the system trains on categories or the
            data are not paired, else by item.
    """

    metrics: dict[str, float]
    image_embeddings: NDArray[np.float32]
    text_embeddings: NDArray[np.float32]
    data: PairedData
    relevance: Relevance


def evaluate(
    model: ImageTextModel, data: PairedData, k_test: int | None = None, templates: Sequence[str] = ()
) -> Evaluation:
    """Embed all images and texts of `data` and compute the retrieval metrics both ways, and the modality gap.

    Args:
        model: `ImageTextModel`, or what has these of it: `supervision`; `encode_image(images) -> (P, D)` and
            `encode_text(texts) -> (T, D)`, of unit norm; `represent_image(images) -> (P, W)` and
            `represent_text(texts) -> (T, W)`, which are `None` where no representation stands before the embedding; and
            `matcher(images, texts)`, `None` where pairs have no score beside their embeddings, which encodes both once
            and returns a `PairMatcher`; and `text_preprocessor`, by which texts are equal; `None` where they are equal
            letter by letter.
        data: `PairedData`, one picture an item: pass `data.one_image_an_item()`. Without pairs only the mean average
            precision by category and the gap are measured.
        k_test: how many of the best candidates of each query are re-ranked by `matcher`; 0 re-ranks none, and `None`
            stands for 128 where the model has a `matcher`.
        templates: sentences with `{}`, by which pictures are classified by the names of their categories, see
            `zero_shot_metrics`; none leaves that out.

    Returns:
        `Evaluation`. Its `metrics` hold `pictures` and `texts` (counts); for paired data what `retrieval_metrics`
        returns, where look-alikes and pictures with one caption answer each other (`image_id`, see
        `relate_equal_texts`), and again by the strict items (`image_item`) under `strict_...`; with
        categories on both sides `image_to_text_map` and `text_to_image_map` (MAP@all, in [0, 1]) and `map_chance`,
        what a random order has; and of a model with `represent_image` and `represent_text`, what `representation_maps`
        returns under `representation_...`; and what `modality_gap_metrics` returns, with what these ids link as groups,
        where there are at least 10 of them on both sides (of fewer items it would be chance).

    Raises:
        MmkerasError: neither pairs nor categories, embeddings that do not fit the data or are not finite, an item
            without a partner, a `k_test` of a model that cannot match.

    Example:
        >>> evaluation = evaluate(model, Glyphs().split("dev").one_image_an_item())
        >>> evaluation.metrics["text_to_image_recall@1"]
    """
    data = relate_equal_texts(data, model.text_preprocessor)
    labelled = data.label is not None and data.text_label is not None
    if not data.paired and not labelled:
        raise MmkerasError(
            f"{data.name}: expected pairs, or categories of images and texts, to evaluate by. Received: neither"
        )
    k_test = checked_k_test(model, k_test) if data.paired else 0
    if k_test:
        matcher = model.matcher(data.images, data.texts)  # type: ignore[misc]
        image_embeddings, text_embeddings = matcher.image_embedding, matcher.text_embedding
    else:
        image_embeddings, text_embeddings = _embedded(model, data, "encode")
    metrics: dict[str, float] = {"pictures": len(data.images), "texts": len(data.texts)}
    if data.paired:
        ids = {"": (data.image_id, data.text_image_id), STRICT: (data.image_item, data.text_item)}
        with Progress("Measuring retrieval"):
            for prefix, pair in ids.items():
                metrics |= _named(prefix, retrieval_metrics(image_embeddings, text_embeddings, *pair))
        if k_test:
            found = reranked_metrics(image_embeddings, text_embeddings, matcher, list(ids.values()), k_test)
            metrics["k_test"] = k_test
            for prefix, of_pair in zip(ids, found, strict=True):
                metrics |= _named(f"{prefix}{RERANKED}", of_pair)
    if labelled:
        label: Any = data.label
        text_label: Any = data.text_label
        images, texts = (image_embeddings, label), (text_embeddings, text_label)
        for direction, (queries, query_label), (gallery, gallery_label) in (
            ("image_to_text", images, texts),
            ("text_to_image", texts, images),
        ):
            with Progress("Measuring retrieval by category"):
                metrics[f"{direction}_map"] = mean_average_precision(queries, gallery, query_label, gallery_label)
        metrics["map_chance"] = map_of_chance(label, text_label)
        if model.represent_image is not None:
            represented, represented_texts = _embedded(model, data, "represent")
            maps = representation_maps(represented, represented_texts, label, text_label)
            metrics |= _named(REPRESENTATION, maps)
    if templates:
        with Progress("Classifying by names"):
            metrics |= zero_shot_metrics(model, data, image_embeddings, templates)
    groups = linked_groups(data.image_id, data.text_image_id)
    if min(len(np.unique(group)) for group in groups) >= FEWEST_GROUPS:
        with Progress("Measuring the modality gap"):
            metrics |= modality_gap_metrics(image_embeddings, text_embeddings, *groups)
    relevance = Relevance.of(data, model.supervision)
    return Evaluation(metrics, image_embeddings, text_embeddings, data, relevance)


def checked_k_test(model: ImageTextModel, k_test: int | None = None) -> int:
    """Return how many candidates of a query are re-ranked: what was asked for, and else what the model can; 0 is none.

    Raises:
        MmkerasError: a number below 0, or one of a model that cannot match.
    """
    matches = model.matcher is not None
    if k_test is None:
        return K_TEST if matches else 0
    if k_test < 0:
        raise MmkerasError(f"Expected k_test to be 0 or more. Received: k_test={k_test}")
    if k_test and not matches:
        raise MmkerasError(
            "Expected a model that scores pairs by more than their embeddings, to re-rank by it. Received: "
            f"{type(model).__name__}, with k_test={k_test}; 0 measures the embeddings alone"
        )
    return k_test


def _named(prefix, metrics):
    return {f"{prefix}{key}": value for key, value in metrics.items()}


def _embedded(model, data, verb):
    """What a model makes of all images and all texts, by its methods `<verb>_image` and `<verb>_text`."""
    found = []
    for modality, rows in (("image", data.images), ("text", data.texts)):
        vectors = np.asarray(getattr(model, f"{verb}_{modality}")(rows))
        if vectors.ndim != 2 or len(vectors) != len(rows):
            raise MmkerasError(
                f"{data.name}: expected embeddings of shape ({len(rows)}, D) from {verb}_{modality}. "
                f"Received: {vectors.shape}"
            )
        found.append(vectors)
    return found


def save_metrics(metrics: Mapping[str, Any], file: str | os.PathLike[str]) -> None:
    """Write metrics as JSON, beside and renamed.

    Args:
        metrics: flat dict from names to finite numbers (NumPy's too), or to strings.
        file: path, usually `runs/<name>/metrics.json`.

    Raises:
        MmkerasError: a value that JSON has no number for (NaN, infinity) or that is no number; nothing is written.
    """
    plain = {}
    for key, value in metrics.items():
        value = value.item() if isinstance(value, np.generic) else value
        if not isinstance(value, (int, float, str)) or (isinstance(value, float) and not math.isfinite(value)):
            raise MmkerasError(f"Expected finite numbers to write to {file}. Received: {key}={value!r}")
        plain[key] = value
    with replacing_file(file) as beside:
        beside.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
