"""A run as a folder that searches in a browser: its text encoder, its pictures embedded, and the page."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmkeras.atomic import new_folder
from mmkeras.encoders.frozen_features import picture_loader
from mmkeras.export.dev_scores import dev_scores
from mmkeras.export.item_index import write_item_index
from mmkeras.export.space import space_id
from mmkeras.export.tflite.conversion import Precision, convert, encoder_input
from mmkeras.export.tflite.execution import NetworkRunner
from mmkeras.export.tflite.golden import golden_texts
from mmkeras.export.tflite.release import LEAST_COSINE, SET_UP
from mmkeras.export.web.index_blocks import write_blocks
from mmkeras.export.web.page_files import first_visit, pack, write_page
from mmkeras.export.web.runtime import runtime_files
from mmkeras.export.web.tokenizer_files import MODEL, TABLES, tokenizer_files
from mmkeras.progress import Progress
from mmkeras.search.column_facts import column_facts, keeps_pictures
from mmkeras.search.index import EmbeddingIndex

if TYPE_CHECKING:
    from mmkeras.models.image_text_model import ImageTextModel
    from mmkeras.training.run import Run


def export_web(
    run: Run,
    to: str | os.PathLike[str],
    precision: Precision = "dynamic",
    runtime: str | os.PathLike[str] | None = None,
    model: ImageTextModel | None = None,
) -> dict[str, Any]:
    """Write a folder that any host of files serves, and in which a browser searches by itself.

        <to>/index.html, static/, manifest.json    the page
        <to>/worker.js                             by which it works without a network from the second visit on
        <to>/litert/                               LiteRT.js with its licence
        <to>/data-<digest>/                        text_encoder.tflite, what makes its ids, info.json, and index/, the
                                                   pictures of the data set embedded, with the pictures themselves
        <to>/**/NAME.gz                            beside each file that compression makes smaller

    Everything is written beside `to` and renamed. Equal runs give equal folders.

    Args:
        run: `Run`.
        to: folder that does not exist.
        precision: of the text encoder: `float32`, `float16`, `dynamic` or `int8`.
        runtime: folder of the packages of LiteRT.js; `None` fetches them by npm, see `check_runtime`.
        model: the run's model, where it is loaded already.

    Returns:
        dict of `items`, `first_visit` (bytes of a first visit with a search, but for pictures), `pictures` (their
        bytes), `cosine` (least and mean, of the encoder's embeddings of golden texts with Keras') and
        `least_cosine_expected`.

    Raises:
        MmkerasError: a run that has not finished, an encoder that takes feature vectors or cannot be converted, a
            tokenizer that the page does not have, a runtime that cannot be had, a folder that exists.
    """
    with new_folder(to) as beside:
        with Progress("Fetching LiteRT.js"):
            files = runtime_files(runtime)
        with Progress("Loading the model"):
            model = model or run.load_model()
        source = encoder_input(model.text_encoder, model.text_preprocessor)
        tokenizer = tokenizer_files(source.preprocessor)
        loader = picture_loader(model.image_encoder, model.image_preprocessor)
        with Progress("Reading the data"):
            seen, dev = (run.load_data(split, loader, unread=True) for split in ("train", "dev"))
            items = run.load_data("all", loader)
        with Progress("Converting"):
            examples = list(seen.texts[: SET_UP["text"]])
            network = convert(source.encoder, source.preprocessor, "ids", precision, examples)
            golden = golden_texts(dev)
            embeddings = NetworkRunner(network, source.preprocessor).encode(golden)
            cosines = np.sum(embeddings * np.asarray(model.encode_text(golden)), axis=1)
        data = beside / "data"
        data.mkdir()
        for name, content in {"text_encoder.tflite": network, **tokenizer}.items():
            (data / name).write_bytes(content)
        with Progress("Indexing the data set"):
            identity = space_id(model)
            pictures = write_item_index(beside / "index", model, identity, items, seen, "int8", texts=False)
            index = EmbeddingIndex(beside / "index")
            write_blocks(index, data / "index", _captions(items))
        info = {
            "page": _told(run, model, index, dev_scores(model, dev, items, pictures)),
            "tokenizer": {"model": MODEL in tokenizer, "tables": TABLES in tokenizer},
        }
        (data / "info.json").write_text(json.dumps(info) + "\n")
        count = index.count
        index.close()
        shutil.rmtree(beside / "index")
        with Progress("Writing the page"):
            write_page(beside, Path(run.folder).name, files, data)
            sizes = pack(beside)
    return {
        "items": count,
        "first_visit": first_visit(sizes),
        "pictures": sum(size for name, size in sizes.items() if name.endswith(".bin")),
        "cosine": {"least": float(cosines.min()), "mean": float(cosines.mean())},
        "least_cosine_expected": LEAST_COSINE["text"][precision],
    }


def _captions(data):
    """All texts of each picture that has several, a dict from its name."""
    data = data.one_image_an_item()
    shown = data.shown_texts
    found: dict[str, list[str]] = {}
    for image, text in data.pairs.tolist():
        found.setdefault(data.image_names[image], []).append(shown[text])
    return {name: texts for name, texts in found.items() if len(texts) > 1}


def _told(run, model, index, scores):
    """What the page says of itself, as `GET api/info` of a server does."""
    return {
        "model": Path(run.folder).name,
        "version": None,
        "label": None,
        "space_id": index.space_id,
        "items": index.count,
        "modalities": ["image"],
        "columns": column_facts(index),
        "scores": {name: scores.get(name) for name in ("random_mean", "random_deviation", "threshold")},
        "tasks": {"text": True, "picture": False},
        "pictures": keeps_pictures(index),
        "feedback": False,
        "max_upload_bytes": 0,
        "server": "",
        "signatures": {},
    }
