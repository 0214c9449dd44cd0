"""Parity: a served model, or a device's file, answers what Keras answered, on golden examples that travel with it."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmkeras.archives import open_arrays
from mmkeras.errors import MmkerasError

TOLERANCE = 1e-4  # largest absolute difference; graph optimisation reorders float32 sums, which moves about 1e-6
MIN_COSINE = 0.9999

Golden: TypeAlias = dict[str, dict[str, dict[str, NDArray[Any]]]]
Predict: TypeAlias = Callable[[str, Mapping[str, NDArray[Any]]], Mapping[str, NDArray[Any]]]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How one output of one signature compares with Keras.

    Args:
        signature: name.
        output: name.
        rows: golden rows compared.
        max_abs_difference: over all values; 0 or infinity for strings.
        min_cosine: over the rows of an `embedding`; 1 for other outputs.
        passed: within `TOLERANCE` and `MIN_COSINE`.
    """

    signature: str
    output: str
    rows: int
    max_abs_difference: float
    min_cosine: float
    passed: bool


def check_exported(
    folder: str | os.PathLike[str],
    server: str | None = None,
    before_loading: Callable[[], object] | None = None,
) -> tuple[Path, list[Comparison]]:
    """Compare a model that was exported, or what was written for devices, with Keras.

    Args:
        folder: a model's folder, `savedmodels/NAME`, one version's, or one that `mmkeras tflite` wrote.
        server: `HOST:PORT` of a server that is to answer, in place of the files.
        before_loading: function without arguments that is called once nothing given is wrong, before TensorFlow is
            loaded.

    Returns:
        Path of what was compared, a version's folder or `folder`, and the list of `Comparison`.

    Raises:
        MmkerasError: nothing there that was exported, a server for what devices run, or what `check_parity` and
            `check_device_parity` raise.
    """
    from mmkeras.serving import Client
    from mmkeras.serving.reaching import reaching
    from mmkeras.serving.versions import latest_version

    for_devices = is_for_devices(folder)
    if for_devices and server:
        raise MmkerasError(f"{folder} is for devices: no server answers with it. Leave --server out")
    version = Path(folder) if for_devices else latest_version(folder).resolve()
    if before_loading is not None:
        before_loading()
    if for_devices:
        return version, check_device_parity(version)
    if server:
        # The golden examples are one version's own; during a rollout the server's newest may be another.
        name = version.parent.name
        with reaching(server, name), Client(server, name, version=int(version.name)) as client:
            return version, check_parity(golden_of(version), client.predict)
    return version, check_parity(golden_of(version), saved_model_predict(version))


def golden_of(version: str | os.PathLike[str]) -> Golden:
    """Return the golden examples of a version folder, as {signature: {"inputs": {...}, "outputs": {...}}}.

    Raises:
        MmkerasError: there are none, or the file is damaged.
    """
    from mmkeras.export.golden import by_signature

    file = Path(version) / "assets.extra" / "golden.npz"
    try:
        with open_arrays(file) as golden:
            examples = by_signature(dict(golden))
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise MmkerasError(f"{version} has no readable golden examples: {error}") from error
    if not examples:
        raise MmkerasError(f"{version} has no golden examples: {file} is empty")
    return examples


def check_parity(golden: Golden, predict: Predict) -> list[Comparison]:
    """Run every golden example through `predict` and compare.

    Args:
        golden: what `golden_of` returned.
        predict: function (signature, inputs dict of arrays) -> dict of arrays.

    Returns:
        List of `Comparison`, one an output.

    Raises:
        MmkerasError: `predict` does not return an output that Keras gave.

    Example:
        >>> all(row.passed for row in check_parity(golden_of(version), saved_model_predict(version)))
        True
    """
    comparisons = []
    for signature, example in golden.items():
        outputs = predict(signature, example["inputs"])
        for name, expected in example["outputs"].items():
            if name not in outputs:
                raise MmkerasError(f"Expected {signature} to return {name}. Received: {', '.join(sorted(outputs))}")
            comparisons.append(_compare(signature, name, expected, np.asarray(outputs[name])))
    return comparisons


def is_for_devices(folder: str | os.PathLike[str]) -> bool:
    """Say whether a folder is one that `mmkeras tflite` wrote."""
    return (Path(folder) / "device.json").is_file()


def check_device_parity(folder: str | os.PathLike[str]) -> list[Comparison]:
    """Run the golden texts and pictures of a folder for devices through each of its .tflite files and compare.

    Files that take ids or pixels run on LiteRT, where it is installed, with SentencePiece's own ids and the pixels that
    Pillow decodes; the others on the interpreter and the operators that TensorFlow brings.

    Args:
        folder: what `export_tflite` wrote.

    Returns:
        List of `Comparison`: of every file its `embedding`, which passes by its least cosine alone, with the bound of
        its precision; of those that take ids their `token_ids`, which must be equal, and of those that take pixels
        these, which may be one off.

    Raises:
        MmkerasError: a folder or a file that is damaged, or a file that is not there.
    """
    from mmkeras.export.tflite.release import LEAST_COSINE

    folder = Path(folder)
    try:
        files = json.loads((folder / "device.json").read_text())["files"]
        modality_of = {name: files[name]["encoder"] for name in sorted(files)}
        with open_arrays(folder / "golden.npz") as arrays:
            golden = dict(arrays)
        # Without the stop that keeps zero bytes at an end.
        examples = {key: [one[:-1] for one in golden[key].tolist()] for key in ("text", "picture") if key in golden}
        expected = {"text": golden.get("embedding"), "image": golden.get("image_embedding")}
        missing = [modality for modality in modality_of.values() if expected[modality] is None]
        if missing:
            raise KeyError(f"{missing[0]} examples")
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise MmkerasError(f"{folder} has no readable golden examples: {error}") from error
    comparisons = []
    for name, modality in modality_of.items():
        answer = _device_text_answers if modality == "text" else _device_image_answers
        inputs, embeddings, precision = answer(folder / name, examples["text" if modality == "text" else "picture"])
        found = _compare(name, "embedding", expected[modality], embeddings)
        passed = bool(found.min_cosine >= LEAST_COSINE[modality][precision])
        comparisons.append(dataclasses.replace(found, passed=passed))
        if inputs is not None and modality == "text":
            comparisons.append(_compare(name, "token_ids", golden["token_ids"], inputs))
        elif inputs is not None:
            found = _compare(name, "pixels", golden["pixels"], inputs)
            comparisons.append(dataclasses.replace(found, passed=found.max_abs_difference <= 1))
    return comparisons


def _device_text_answers(file, texts):
    """What a device's file makes of texts: the ids where it takes these, the embeddings, and its precision."""
    from mmkeras.export.tflite.execution import NetworkRunner
    from mmkeras.on_device import ModelFile, TextEncoder
    from mmkeras.preprocessing.text import TextPreprocessor

    model = ModelFile(file)
    precision = model.settings["precision"]
    if model.settings["kind"] != "ids":
        return None, NetworkRunner(model.network).encode(texts), precision
    if importlib.util.find_spec("ai_edge_litert") is not None:
        encoder = TextEncoder(file)
        return encoder.token_ids(texts), encoder.encode_text(texts), precision
    text_preprocessor = TextPreprocessor(model.tokenizer, model.settings["sequence_length"])
    runner = NetworkRunner(model.network, text_preprocessor)
    return text_preprocessor(texts).numpy(), runner.encode(texts), precision


def _device_image_answers(file, pictures):
    """What a device's file makes of encoded pictures: the pixels, the embeddings, and its precision."""
    from mmkeras.export.tflite.execution import NetworkRunner
    from mmkeras.on_device import ImageEncoder, ModelFile
    from mmkeras.preprocessing.image import ImagePreprocessor

    if importlib.util.find_spec("ai_edge_litert") is not None:
        encoder = ImageEncoder(file)
        return encoder.pixels(pictures), encoder.encode_image(pictures), encoder.precision
    model = ModelFile(file)
    pixels = ImagePreprocessor(**model.settings["image_preprocessor"]).load(pictures)
    return pixels, NetworkRunner(model.network).encode(pixels), model.settings["precision"]


def saved_model_predict(version: str | os.PathLike[str]) -> Predict:
    """Return a `predict` for `check_parity` that runs a SavedModel in this process.

    Raises:
        MmkerasError: the SavedModel does not load; and, from the function, lacks the signature or refuses the inputs.
    """
    import tensorflow as tf
    import tensorflow_text  # noqa: F401 - registers the tokenizer's operations

    try:
        loaded = tf.saved_model.load(str(version))
    except (OSError, tf.errors.OpError) as error:
        raise MmkerasError(f"{version} is no SavedModel that loads: {error}") from error

    def predict(signature, inputs):
        if signature not in loaded.signatures:
            raise MmkerasError(f"{version} has no signature {signature}. There are: {', '.join(loaded.signatures)}")
        try:
            outputs = loaded.signatures[signature](**{name: tf.constant(values) for name, values in inputs.items()})
        except (TypeError, tf.errors.OpError) as error:
            raise MmkerasError(f"{version} refused the inputs of {signature}: {error}") from error
        return {name: value.numpy() for name, value in outputs.items()}

    return predict


def _compare(signature, name, expected, received):
    if expected.shape != received.shape:
        difference, cosine = float("inf"), 0.0
    elif expected.dtype.kind in "SO":
        equal = all(bytes(a) == bytes(b) for a, b in zip(expected.ravel(), received.ravel(), strict=True))
        difference, cosine = (0.0 if equal else float("inf")), 1.0
    else:
        difference = float(np.abs(expected.astype(np.float64) - received).max())
        # Probabilities are no directions: a row of them may be all but zero.
        cosine = _min_cosine(expected, received) if name == "embedding" and expected.ndim == 2 else 1.0
    # Written so that NaN fails.
    passed = difference <= TOLERANCE and cosine >= MIN_COSINE
    return Comparison(signature, name, len(expected), difference, cosine, passed)


def _min_cosine(a, b):
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines = np.sum(a * b, axis=1) / np.maximum(norms, 1e-12)
    # What is no picture has an embedding of zeros, which has no direction.
    return float(np.where((a == 0).all(axis=1) & (b == 0).all(axis=1), 1.0, cosines).min())
