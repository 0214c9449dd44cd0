"""A release: the SavedModel of a run with everything that belongs to it, as the next version of a served model."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import mmkeras
from mmkeras.atomic import new_folder
from mmkeras.encoders.frozen_features import picture_loader
from mmkeras.errors import MmkerasError
from mmkeras.evaluation.measuring.reranking_worth import reranking, reranking_costs
from mmkeras.evaluation.report.model_card import model_card
from mmkeras.evaluation.report.tables import size_table
from mmkeras.export.golden import GOLDEN_ITEMS, golden_examples, write_warm_up
from mmkeras.export.item_index import write_item_index
from mmkeras.export.model_folder import check_model_folder
from mmkeras.export.saved_model import export_saved_model, written_signatures
from mmkeras.export.space import preprocessing_settings, space_id
from mmkeras.limits import MAX_ROWS, MAX_TEXT_BYTES
from mmkeras.progress import Progress
from mmkeras.search.approximate_building import LARGE_INDEX
from mmkeras.search.exported import beside_versions, point_to

if TYPE_CHECKING:
    from mmkeras.models.image_text_model import ImageTextModel
    from mmkeras.training.run import Run

WITHOUT_CATEGORY_WORD = (
    'The word that names a glyph\'s category, such as "GREEK", was taken out of its text: leave it out of queries too.'
)

RERANKING_COSTS = (
    "Re-ranked by match the results were worse than by the embeddings alone, in the measurement above: mmkeras query "
    "re-ranks only where --rerank says so."
)
FEATURES_ONLY = (
    "It takes texts as feature vectors that somebody else computes: mmkeras query cannot ask it with a sentence."
)


def export_run(
    run: Run,
    to: str | os.PathLike[str],
    model: ImageTextModel | None = None,
    *,
    max_rows: int = MAX_ROWS,
    max_text_bytes: int = MAX_TEXT_BYTES,
) -> Path:
    """Write a finished run as the next version below `to`.

        <to>/<version>/saved_model.pb, variables/    what TensorFlow Serving loads
        <to>/<version>/assets.extra/
            tf_serving_warmup_requests               a request for every signature
            golden.npz                               inputs with the outputs that Keras gave
            space.json                               identity of the embedding space, preprocessing
            model_card.md
            index/                                   all items of the data set, unseen ones marked
            index_of_texts/                          only where pictures and texts are not all paired: the texts;
                                                     index/ then holds the pictures alone
            indexes.json                             in place of both where there are more than 200,000 items: the
                                                     index is <to>/index-<version> then, which may be changed and
                                                     copied by itself; servers pass it over

    The version is written beside and renamed, so a server that polls the folder never sees half of one.

    Args:
        run: a finished `Run`.
        to: the model's folder, `savedmodels/NAME`; made where missing.
        model: the run's model, where it is in memory already.
        max_rows: the most rows of a request, see `export_saved_model`.
        max_text_bytes: the longest text of a request, in bytes.

    Returns:
        Path of the version's folder.

    Raises:
        MmkerasError: an unfinished run, a folder that cannot be written, a full disk; nothing is left half written.
    """
    to = check_model_folder(to)
    with Progress("Loading the model"):
        model = model or run.load_model()
        identity = space_id(model)
    loader = picture_loader(model.image_encoder, model.image_preprocessor)
    load = functools.partial(_read, run, loader)
    metrics = _metrics(run.file("metrics.json"))
    version = to / str(next_version(to))
    with beside_versions(version) as apart, new_folder(version) as beside:
        export_saved_model(model, beside, max_rows=max_rows, max_text_bytes=max_text_bytes)
        extra = beside / "assets.extra"
        extra.mkdir()
        data = load("dev", limit=GOLDEN_ITEMS)
        with Progress("Computing golden examples"):
            golden = golden_examples(model, data, identity)
        np.savez(extra / "golden.npz", **golden)
        write_warm_up(extra / "tf_serving_warmup_requests", to.name, golden)
        space = {
            "space_id": identity,
            "dim": model.embedding_dim,
            "system": type(model).__name__,
            "match": "cosine" if model.matcher is None else "probability",
            **reranking(model, metrics),
            "mmkeras": mmkeras.__version__,
            **preprocessing_settings(model),
        }
        (extra / "space.json").write_text(json.dumps(space, indent=2) + "\n")
        (extra / "model_card.md").write_text(_card(run, model, to.name, space, metrics, beside))
        items, seen = load("all"), load("train", unread=True)
        with Progress("Indexing the data set"):
            large = max(len(items.images), len(items.texts)) > LARGE_INDEX
            write_item_index(apart if large else extra / "index", model, identity, items, seen)
        if large:
            point_to(apart, extra)
    return version


def _read(run, loader, split, **how):
    with Progress(f"Reading the data: {split}"):
        return run.load_data(split, loader, **how)


def next_version(folder: str | os.PathLike[str]) -> int:
    """Return one more than the highest version number below a model's folder, 1 where there is none.

    The number of a version that was deleted counts while its index is there.
    """
    names = [child.name.removeprefix("index-") for child in Path(folder).glob("*")]
    versions = [int(name) for name in names if name.isascii() and name.isdecimal()]
    return max(versions, default=0) + 1


def _card(run, model, name, space, metrics, saved_model):
    """Render the model card from what the run measured, the space and the signatures as they were written."""
    source, targets = run.recipe.data, run.recipe.targets
    content = "pictures and captions with categories" if targets else "pictures with captions"
    if model.text_encoder.takes == "features":
        content = "features of pictures and of texts, in pairs" + (" with categories" if targets else "")
    own = {"description": f"{content}, from {source}", "licence": "the owner's"}
    taken_out = source == "glyphs" and targets == "category"
    return model_card(
        name=name,
        system=space["system"],
        data={
            "name": f"{Path(source).name}/train",
            "evaluated_on": metrics.get("data"),
            **({} if source == "glyphs" else own),
        },
        metrics={key: value for key, value in metrics.items() if key != "data"},
        signatures=written_signatures(saved_model),
        preprocessing=preprocessing_settings(model),
        space_id=space["space_id"],
        versions=run.info["versions"],
        embedding_dim=space["dim"],
        size=size_table(run.info),
        label_names=model.label_names,
        multi_label=model.multi_label,
        checkpoints=run.info.get("checkpoints", ()),
        trained=run.info.get("trained", True),
        limits=[
            *(f"{note}." for note in run.info.get("notes", ())),
            *([WITHOUT_CATEGORY_WORD] if taken_out else []),
            *([RERANKING_COSTS] if reranking_costs(metrics) else []),
            *([FEATURES_ONLY] if model.text_encoder.takes == "features" else []),
        ],
    )


def _metrics(file):
    """Return what `mmkeras evaluate` measured; an empty dict where it was not run."""
    if not file.exists():
        return {}
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise MmkerasError(f"{file} is damaged: {error}. Make it again with mmkeras evaluate") from error
