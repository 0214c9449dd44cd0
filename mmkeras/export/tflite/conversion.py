"""Converting a text encoder to TFLite: the one route that keeps the weights, and what is refused."""

from __future__ import annotations

import re
import string
import tempfile
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias, get_args

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from mmkeras.errors import MmkerasError
from mmkeras.export.tflite.eight_bit import float_nodes
from mmkeras.export.tflite.operators import (
    TEXT_OPERATORS,
    VARIABLES,
    custom_operators,
    for_mediapipe,
    operators,
    tokenizer_operators,
)
from mmkeras.export.tflite.preparation import prepared_for_devices
from mmkeras.export.tflite.trimming import trimmed
from mmkeras.preprocessing.text import TextPreprocessor

Kind: TypeAlias = Literal["ids", "text", "mediapipe"]
Precision: TypeAlias = Literal["float32", "float16", "dynamic", "int8"]
KINDS = get_args(Kind)
PRECISIONS = get_args(Precision)
SIGNATURE = "encode_text"
# Of the texts that ranges of values are measured on beside the training texts.
_WORDS, _REPEATED = 40, 40


def check_takes_ids(text_encoder: keras.Model, text_preprocessor: Any) -> None:
    """Refuse a text encoder that is no network over the ids of a `TextPreprocessor`.

    Raises:
        MmkerasError: an encoder over features, or one that takes strings or lacks its tokenizer.
    """
    if text_encoder.takes == "features":
        raise MmkerasError(
            "Expected a text encoder of texts. Received: one over feature vectors that somebody else computes, "
            "which takes no text on a device either"
        )
    if not isinstance(text_preprocessor, TextPreprocessor):
        has = "no text_preprocessor" if text_preprocessor is None else "an encoder that holds its own tokenizer"
        raise MmkerasError(f"Expected a text encoder over the ids of a TextPreprocessor. Received: {has}")


def has_loop(text_encoder: keras.Model) -> bool:
    """Return whether a text encoder has a recurrent layer, which becomes a loop with subgraphs of its own."""
    return any(isinstance(layer, (keras.layers.RNN, keras.layers.Bidirectional)) for layer in text_encoder.layers)


def convert(
    text_encoder: keras.Model,
    text_preprocessor: TextPreprocessor,
    kind: Kind = "ids",
    precision: Precision = "dynamic",
    texts: Iterable[str] = (),
) -> bytes:
    """Convert a text encoder to a TFLite network of batch 1 with the signature `encode_text`.

    Args:
        text_encoder: functional model from `token_ids`.
        text_preprocessor: the `TextPreprocessor` that feeds it.
        kind: `ids` takes `token_ids`, int32 (1, L), and has builtin operators only; `text` takes `text`, string (1,),
            with the two operators of tensorflow-text that its tokenizer needs; `mediapipe` is that with the name that
            MediaPipe Tasks gives the tokenizer's.
        precision: `float32`; `float16`, weights of half the size; `dynamic`, weights of 8 bits, values rounded as they
            come; `int8`, with the ranges of values measured on `texts`.
        texts: list of str, some hundred training texts, by which the 8-bit precisions are set up.

    Returns:
        The network's bytes. Its output is `embedding`, float32 (1, D), unit norm.

    Raises:
        MmkerasError: an encoder that takes no ids; operators that no device runtime has, all of them listed; a network
            with a loop as `int8` or `mediapipe`; no texts for a precision of 8 bits.
    """
    for name, value, allowed in (("kind", kind, KINDS), ("precision", precision, PRECISIONS)):
        if value not in allowed:
            raise MmkerasError(f"Expected one of {', '.join(allowed)}. Received: {name}={value!r}")
    check_takes_ids(text_encoder, text_preprocessor)
    texts = list(texts)
    if precision in ("dynamic", "int8") and not texts:
        raise MmkerasError(f"Expected training texts, by which {precision} is set up. Received: texts=[]")
    if has_loop(text_encoder) and (kind == "mediapipe" or precision == "int8"):
        # MediaPipe takes several subgraphs for another model; the quantiser ends the process (tensorflow#75140).
        raise MmkerasError(
            f"Expected a network without a loop for {'MediaPipe' if kind == 'mediapipe' else 'int8'}. "
            "Received: a text encoder with a recurrent layer; ids and text in the other precisions are possible"
        )
    token_ids = text_preprocessor(texts).numpy() if precision == "dynamic" else None
    encoder = prepared_for_devices(text_encoder, token_ids)
    with tempfile.TemporaryDirectory() as folder:
        _write_saved_model(encoder, text_preprocessor, kind, folder)
        converter = _converter(folder, kind, precision)
        if precision == "int8":
            samples = _samples(text_preprocessor, kind, [*texts, *_unusual(texts)])
            network = _with_integers(converter, samples)
        else:
            network = _converted(converter)
    _check_operators(network, kind)
    network = trimmed(network)
    return for_mediapipe(network) if kind == "mediapipe" else network


def _write_saved_model(encoder, text_preprocessor, kind, folder):
    length = text_preprocessor.sequence_length

    def of_ids(token_ids):
        return {"embedding": encoder(token_ids, training=False)["embedding"]}

    def of_text(text):
        return of_ids(tf.reshape(text_preprocessor(text), [1, length]))  # ensure_shape is no operator of TFLite

    # Only this route is known to keep the weights of a Keras 3 model: from_concrete_functions with the model as its
    # trackable object loses them without a word.
    archive = keras.export.ExportArchive()
    archive.track(encoder)
    if kind == "ids":
        archive.add_endpoint(SIGNATURE, of_ids, [tf.TensorSpec([1, length], tf.int32, name="token_ids")])
    else:
        archive.add_endpoint(SIGNATURE, of_text, [tf.TensorSpec([1], tf.string, name="text")])
    archive.write_out(folder, verbose=False)


def _converter(folder, kind, precision="float32"):
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.allow_custom_ops = kind != "ids"
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return converter


def _converted(converter):
    try:
        return converter.convert()
    except Exception as error:  # ConverterError has no public name, and others come from below it
        listed = re.findall(r"^(?:TF Select|Custom|Flex) ops: (.+)$", str(error), re.MULTILINE)
        if not listed:
            raise MmkerasError(f"TFLite cannot convert this text encoder: {str(error)[:500]}") from error
        names = sorted({name.strip() for line in listed for name in line.split(",")})
        raise MmkerasError(_not_on_devices(names)) from error


def _not_on_devices(names):
    return (
        "Expected a text encoder of TFLite's builtin operators. "
        f"Received: {', '.join(names)}, which no device runtime has"
    )


def _check_operators(network, kind):
    lost = VARIABLES & operators(network).keys()
    if lost:
        raise MmkerasError(f"The converted network lost its weights: it reads them from {', '.join(sorted(lost))}")
    others = custom_operators(network) - (set() if kind == "ids" else TEXT_OPERATORS)
    if others:
        raise MmkerasError(_not_on_devices(sorted(others)))


def _unusual(texts):
    """Texts that no data set holds and users type: measured on ordinary ones alone, ranges cut these off."""
    words = list(dict.fromkeys(word for text in texts for word in text.split()))[:_WORDS]
    repeated = [f"{word} " * _REPEATED for word in words] + words
    letters = list(string.ascii_lowercase + string.digits + string.punctuation)
    unknown = ["\u4e00", "\ud55c\uae00 " * 5, "\U0001f600" * 9, "\u0301\u0302" * 20, "q\u4e00" * _REPEATED]
    return ["", *repeated, *letters, *(letter * _REPEATED for letter in letters), *unknown]


def _samples(text_preprocessor, kind, texts):
    if kind == "ids":
        return list(text_preprocessor(texts).numpy()[:, np.newaxis])
    return [np.array([text.encode()]) for text in texts]


def _with_integers(converter, samples):
    """Convert with 8-bit integers: with the ranges of the values on `samples`, and `float_nodes` left as they are."""
    converter.representative_dataset = lambda: ([sample] for sample in samples)
    # The public converter has no way to leave operators out; its QuantizationDebugger has, by these calls, but cannot
    # run the tokenizer's operators.
    if converter.allow_custom_ops:
        converter.target_spec._experimental_custom_op_registerers = list(tokenizer_operators())
    converter._experimental_calibrate_only = True
    calibrated = _converted(converter)
    return mlir_quantize(calibrated, denylisted_nodes=float_nodes(calibrated))
