"""What a device gets: the text encoder of a run in files, with a card."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import mmkeras
from mmkeras.atomic import new_folder
from mmkeras.encoders.frozen_features import picture_loader
from mmkeras.errors import MmkerasError
from mmkeras.export.item_index import write_item_index
from mmkeras.export.space import space_id
from mmkeras.export.tflite.card import device_card
from mmkeras.export.tflite.conversion import KINDS, Precision, check_takes_ids, convert, has_loop
from mmkeras.export.tflite.execution import NetworkRunner
from mmkeras.export.tflite.operators import operators
from mmkeras.on_device.model_file import packed
from mmkeras.progress import Progress
from mmkeras.search.agreement import recall_of_rounded

if TYPE_CHECKING:
    from mmkeras.models.image_text_model import ImageTextModel
    from mmkeras.training.run import Run

SET_UP_TEXTS = 400  # training texts by which the 8-bit precisions are set up
GOLDEN_TEXTS = 64
RECALL_AT = 10  # of a compact index against the exact search
# What every release is compared on beside texts of the data: where tokenizers and masks go wrong.
EDGES = (
    "",
    " ",
    "x",
    "x" * 10_000,
    "a\tb\nc",
    "e\u0301\u0302",
    "\u0130I\u0131i",
    "日本語 の 文",
    "👩‍👩‍👧‍👦 🇩🇪",
    "a\0b\0",
)
# The least cosine with Keras, over all texts, at which a file passes (`mmkeras parity`).
LEAST_COSINE = {"float32": 0.9999, "float16": 0.9999, "dynamic": 0.999, "int8": 0.995}


def export_tflite(
    run: Run,
    to: str | os.PathLike[str],
    precisions: Iterable[Precision] = ("dynamic",),
    index: Literal["", "float16", "int8"] = "",
    model: ImageTextModel | None = None,
) -> dict[str, Any]:
    """Write the text encoder of a finished run for devices.

        <to>/text_encoder_<precision>_ids.tflite        int32 ids in, builtin operators; the tokenizer inside
        <to>/text_encoder_<precision>_text.tflite       strings in, two operators of tensorflow-text
        <to>/text_encoder_<precision>_mediapipe.tflite  strings in, for MediaPipe's TextEmbedder
        <to>/tokenizer.model                            SentencePiece, for clients of other languages
        <to>/golden.npz                                 texts with the ids and embeddings of Keras
        <to>/card.md, device.json                       sizes, operators, fidelity, latency; for programs
        <to>/index/                                     with `index`: all items of the data set, their pictures embedded

    Everything is written beside `to` and renamed, so that a device's files are whole or not there. Equal weights give
    equal .tflite files.

    Args:
        run: `Run`.
        to: folder that does not exist.
        precisions: some of `float32`, `float16`, `dynamic`, `int8`.
        index: `float16` or `int8` writes an index of that precision; empty writes none.
        model: the run's model, where it is loaded already.

    Returns:
        dict, the content of `device.json`.

    Raises:
        MmkerasError: a run that has not finished, a text encoder that takes no ids or cannot be converted, a folder
            that exists.
    """
    with Progress("Loading the model"):
        model = model or run.load_model()
    check_takes_ids(model.text_encoder, model.text_preprocessor)
    with new_folder(to) as beside:
        loader = picture_loader(model.image_encoder, model.image_preprocessor)
        with Progress("Reading the data"):
            texts = _texts(run, loader, "train", SET_UP_TEXTS)
            golden = [*_texts(run, loader, "dev", GOLDEN_TEXTS), *EDGES]
        identity = space_id(model)
        expected = model.encode_text(golden)
        _write_golden(beside / "golden.npz", model, golden, expected)
        (beside / "tokenizer.model").write_bytes(model.text_preprocessor.model)
        described: dict[str, Any] = {
            "mmkeras": mmkeras.__version__,
            "system": type(model).__name__,
            "space_id": identity,
            "embedding_dim": model.embedding_dim,
            "sequence_length": model.text_preprocessor.sequence_length,
            "vocabulary_size": model.text_preprocessor.vocabulary_size,
            "texts": len(golden),
            "files": {},
            "left_out": {},
        }
        wanted = [(precision, kind) for precision in precisions for kind in KINDS]
        with Progress("Converting", len(wanted), "file") as bar:
            for precision, kind in wanted:
                name = f"text_encoder_{precision}_{kind}.tflite"
                bar.note = name
                if reason := _impossible(model.text_encoder, kind, precision):
                    described["left_out"][name] = reason
                    bar.advance()
                    continue
                tokenizer = model.text_preprocessor  # a `TextPreprocessor`, by `check_takes_ids`
                network = convert(model.text_encoder, tokenizer, kind, precision, texts)  # type: ignore[arg-type]
                shared = ("space_id", "embedding_dim", "sequence_length")
                settings = {"kind": kind, "precision": precision, **{key: described[key] for key in shared}}
                content = packed(network, settings, model.text_preprocessor.model if kind == "ids" else None)
                (beside / name).write_bytes(content)
                described["files"][name] = {
                    "kind": kind,
                    "precision": precision,
                    "bytes": len(content),
                    **_measured(network, model.text_preprocessor, golden, expected),
                }
                bar.advance()
        if not described["files"]:
            raise MmkerasError("; ".join(described["left_out"].values()))
        if index:
            with Progress("Reading the data"):
                items, seen = run.load_data("all", loader), run.load_data("train", loader, unread=True)
            with Progress("Indexing the data set"):
                pictures = write_item_index(beside / "index", model, identity, items, seen, precision=index)
                described["index"] = _index_measured(beside / "index", index, pictures, expected[: -len(EDGES)])
        (beside / "device.json").write_text(json.dumps(described, indent=2) + "\n")
        (beside / "card.md").write_text(device_card(described), encoding="utf-8")
    return described


def _texts(run, loader, split, count):
    """The first texts of a split; no picture is read."""
    data = run.load_data(split, loader, unread=True)
    return list(data.texts[:count])


def _write_golden(file, model, texts, embeddings):
    np.savez_compressed(
        file,
        # As UTF-8 with a stop behind it: an array of bytes drops zeros at an end.
        text=np.array([text.encode() + b"." for text in texts]),
        token_ids=model.text_preprocessor(texts).numpy(),
        embedding=embeddings,
    )


def _index_measured(folder, precision, pictures, queries):
    """Describe an index: its bytes, beside those of one in float32, and what a search in it finds for texts."""
    k = min(RECALL_AT, len(pictures))
    return {
        "precision": precision,
        "items": len(pictures),
        "bytes": sum(file.stat().st_size for file in folder.glob("*.npy")),
        "float32_bytes": sum(
            math.prod(np.load(file, mmap_mode="r").shape) * 4 for file in folder.glob("*_embeddings.npy")
        ),
        "k": k,
        "queries": len(queries),
        "recall": recall_of_rounded(pictures, queries, precision, k),
    }


def _impossible(text_encoder, kind, precision):
    if not has_loop(text_encoder):
        return ""
    if kind == "mediapipe":
        return "MediaPipe takes a network with a loop, such as a recurrent layer's, for another model"
    return "the quantiser does not survive a loop, such as a recurrent layer's" if precision == "int8" else ""


def _measured(network, text_preprocessor, texts, expected):
    runner = NetworkRunner(network, text_preprocessor)
    embeddings = runner.encode_text(texts)
    cosines = np.sum(embeddings * expected, axis=1) / np.maximum(np.linalg.norm(embeddings, axis=1), 1e-12)
    return {
        "operators": operators(network),
        "cosine": {"least": float(cosines.min()), "mean": float(cosines.mean())},
        "median_milliseconds": round(1000 * runner.median_seconds(texts[:GOLDEN_TEXTS]), 4),
    }
