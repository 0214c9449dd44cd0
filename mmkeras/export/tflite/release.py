"""What a device gets: the encoders of a run in files, with a card."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

import mmkeras
from mmkeras.atomic import new_folder
from mmkeras.encoders.frozen_features import picture_loader
from mmkeras.errors import MmkerasError
from mmkeras.export.item_index import write_item_index
from mmkeras.export.space import space_id
from mmkeras.export.tflite.card import device_card
from mmkeras.export.tflite.conversion import Precision, convert, encoder_input
from mmkeras.export.tflite.encoder_input import EncoderInput
from mmkeras.export.tflite.execution import NetworkRunner
from mmkeras.export.tflite.golden import EDGES, GOLDEN_TEXTS, golden_pictures, golden_texts, write_golden
from mmkeras.export.tflite.operators import operators
from mmkeras.on_device.model_file import TOKENIZER, TOKENIZER_CONFIG, packed
from mmkeras.preprocessing.text import TextPreprocessor
from mmkeras.progress import Progress
from mmkeras.search.agreement import recall_of_rounded

if TYPE_CHECKING:
    from mmkeras.models.image_text_model import ImageTextModel
    from mmkeras.training.run import Run

EncoderName: TypeAlias = Literal["text", "image"]
ENCODERS = get_args(EncoderName)
SET_UP = {"text": 400, "image": 200}  # training examples by which the 8-bit precisions are set up
RECALL_AT = 10  # of a compact index against the exact search
# The least cosine with Keras, over all golden examples, at which a file passes (`mmkeras parity`). A convolutional
# network of 50 layers rounds as often, and its projection takes off what all pictures have in common. A published BERT
# of 6 blocks has .998 on captions and .992 on an empty text in the precision `dynamic`; small text encoders have .999.
# A head that takes the roots of an EfficientNet's features, which are often near 0, has .993.
LEAST_COSINE = {
    "text": {"float32": 0.9999, "float16": 0.9999, "dynamic": 0.99, "int8": 0.995},
    "image": {"float32": 0.9999, "float16": 0.999, "dynamic": 0.99, "int8": 0.98},
}


def export_tflite(
    run: Run,
    to: str | os.PathLike[str],
    precisions: Iterable[Precision] = ("dynamic",),
    index: Literal["", "float16", "int8"] = "",
    model: ImageTextModel | None = None,
    encoders: Sequence[EncoderName] = (),
) -> dict[str, Any]:
    """Write the encoders of a finished run for devices.

        <to>/text_encoder_<precision>_ids.tflite        int32 ids in, builtin operators; the tokenizer inside
        <to>/text_encoder_<precision>_text.tflite       strings in, two operators of tensorflow-text
        <to>/text_encoder_<precision>_mediapipe.tflite  strings in, for MediaPipe's TextEmbedder
        <to>/image_encoder_<precision>_pixels.tflite    uint8 pixels in, builtin operators; how to make them inside
        <to>/tokenizer.model                            SentencePiece, for clients of other languages; of another
                                                        tokenizer tokenizer.json, its class and config
        <to>/golden.npz                                 texts and pictures with the ids, pixels and embeddings of Keras
        <to>/card.md, device.json                       sizes, operators, fidelity, latency; for programs
        <to>/index/                                     with `index`: all items of the data set, their pictures
                                                        embedded; neither their texts nor the pictures themselves

    Everything is written beside `to` and renamed, so that a device's files are whole or not there. Equal weights give
    equal .tflite files.

    Args:
        run: `Run`.
        to: folder that does not exist.
        precisions: some of `float32`, `float16`, `dynamic`, `int8`.
        index: `float16` or `int8` writes an index of that precision; empty writes none.
        model: the run's model, where it is loaded already.
        encoders: some of `text` and `image`; empty writes those that a device can feed, and says why not the other.

    Returns:
        dict, the content of `device.json`.

    Raises:
        MmkerasError: a run that has not finished, an encoder that takes feature vectors or cannot be converted, a
            folder that exists.
    """
    with Progress("Loading the model"):
        model = model or run.load_model()
    left_out: dict[str, str] = {}
    sources = _sources(model, encoders, left_out)
    with new_folder(to) as beside:
        loader = picture_loader(model.image_encoder, model.image_preprocessor)
        with Progress("Reading the data"):
            train, dev = (run.load_data(split, loader, unread=True) for split in ("train", "dev"))
            examples = {modality: _examples(train, modality) for modality in sources}
            shape = model.image_encoder.input.shape[1:]
            golden = write_golden(
                beside / "golden.npz",
                model,
                golden_texts(dev) if "text" in sources else [],
                golden_pictures(dev, shape) if "image" in sources else [],
            )
        described: dict[str, Any] = {
            "mmkeras": mmkeras.__version__,
            "system": type(model).__name__,
            "space_id": space_id(model),
            "embedding_dim": model.embedding_dim,
            "encoders": {modality: _settings(source) for modality, source in sources.items()},
            "examples": {modality: len(answers) for modality, (_, answers) in golden.items()},
            "files": {},
            "left_out": left_out,
        }
        if "text" in sources:
            for name, content in _tokenizer_files(model.text_preprocessor).items():
                (beside / name).write_bytes(content)
        wanted = [
            (source, precision, kind)
            for source in sources.values()
            for precision in precisions
            for kind in source.kinds
        ]
        with Progress("Converting", len(wanted), "file") as bar:
            for source, precision, kind in wanted:
                name = f"{source.modality}_encoder_{precision}_{kind}.tflite"
                bar.note = name
                reason = source.impossible(kind, precision)
                if precision in ("dynamic", "int8") and not examples[source.modality]:
                    reason = f"the data holds no {source.examples}, by which {precision} is set up"
                if reason:
                    left_out[name] = reason
                else:
                    network = convert(source.encoder, source.preprocessor, kind, precision, examples[source.modality])
                    content = _packed(network, source, kind, precision, described)
                    (beside / name).write_bytes(content)
                    described["files"][name] = {
                        "encoder": source.modality,
                        "kind": kind,
                        "precision": precision,
                        "bytes": len(content),
                        **_measured(network, source.preprocessor, *golden[source.modality]),
                        "least_cosine_expected": LEAST_COSINE[source.modality][precision],
                    }
                bar.advance()
        if not described["files"]:
            raise MmkerasError("; ".join(left_out.values()))
        if index:
            with Progress("Reading the data"):
                items, seen = run.load_data("all", loader), run.load_data("train", loader, unread=True)
            with Progress("Indexing the data set"):
                folder = beside / "index"
                # What a device reads: it looks for pictures, which it has by their ids or shows from elsewhere.
                pictures = write_item_index(
                    folder, model, described["space_id"], items, seen, index, texts=False, keep_pictures=False
                )
                queries = golden["text"][1][: -len(EDGES)] if "text" in golden else golden["image"][1]
                described["index"] = _index_measured(folder, index, pictures, queries)
        (beside / "device.json").write_text(json.dumps(described, indent=2) + "\n")
        (beside / "card.md").write_text(device_card(described), encoding="utf-8")
    return described


def _sources(model, encoders, left_out):
    """What goes into the encoders that are wanted, a dict of `EncoderInput`; of the others the reason in `left_out`."""
    if unknown := set(encoders) - set(ENCODERS):
        raise MmkerasError(f"Expected some of {', '.join(ENCODERS)}. Received: encoders={sorted(unknown)}")
    sources: dict[str, EncoderInput] = {}
    for modality in encoders or ENCODERS:
        encoder, preprocessor = (getattr(model, f"{modality}_{part}") for part in ("encoder", "preprocessor"))
        try:
            sources[modality] = encoder_input(encoder, preprocessor)
        except MmkerasError as error:
            if encoders:
                raise
            left_out[f"{modality}_encoder"] = str(error)
    if not sources:
        raise MmkerasError("; ".join(left_out.values()))
    return sources


def _examples(data, modality):
    """The first texts, or pixels, of a split."""
    if modality == "text":
        return list(data.texts[: SET_UP["text"]])
    if data.pictures is None:
        return []
    return list(np.asarray(data.pictures[: SET_UP["image"]]))


def _settings(source):
    """What a client has to know of what goes in."""
    if source.modality == "image":
        return {"image_preprocessor": source.preprocessor.get_config()}
    return {key: getattr(source.preprocessor, key) for key in ("sequence_length", "vocabulary_size")}


def _packed(network, source, kind, precision, described):
    settings = {"kind": kind, "precision": precision, **described["encoders"][source.modality]}
    settings |= {key: described[key] for key in ("space_id", "embedding_dim")}
    return packed(network, settings, *(_tokenizer(source.preprocessor) if kind == "ids" else ()))


def _tokenizer(preprocessor):
    """What makes ids as a file carries it: a SentencePiece model, or `None` and the tokenizer's class and config."""
    if isinstance(preprocessor, TextPreprocessor):
        return preprocessor.model, None
    return None, {"kind": type(preprocessor).__name__, "config": preprocessor.get_config()}


def _tokenizer_files(preprocessor):
    model, config = _tokenizer(preprocessor)
    if model is not None:
        return {TOKENIZER: model}
    return {TOKENIZER_CONFIG: (json.dumps(config, indent=2, sort_keys=True) + "\n").encode()}


def _index_measured(folder, precision, pictures, queries):
    """Describe an index: its bytes, beside those of one in float32, and what a search in it finds for texts."""
    k = min(RECALL_AT, len(pictures))
    return {
        "precision": precision,
        "items": len(pictures),
        "bytes": sum(file.stat().st_size for file in folder.glob("*/*_*.npy")),
        "float32_bytes": sum(
            math.prod(np.load(file, mmap_mode="r").shape) * 4 for file in folder.glob("*/*_embeddings.npy")
        ),
        "k": k,
        "queries": len(queries),
        "recall": recall_of_rounded(pictures, queries, precision, k),
    }


def _measured(network, preprocessor, examples, expected):
    runner = NetworkRunner(network, preprocessor)
    embeddings = runner.encode(examples)
    cosines = np.sum(embeddings * expected, axis=1) / np.maximum(np.linalg.norm(embeddings, axis=1), 1e-12)
    return {
        "operators": operators(network),
        "cosine": {"least": float(cosines.min()), "mean": float(cosines.mean())},
        "median_milliseconds": round(1000 * runner.median_seconds(examples[:GOLDEN_TEXTS]), 4),
    }
