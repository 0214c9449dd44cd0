"""Converting an encoder to TFLite: the one route that keeps the weights, and what is refused."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias, get_args

import keras
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from mmkeras.errors import MmkerasError
from mmkeras.export.tflite.eight_bit import float_nodes
from mmkeras.export.tflite.encoder_input import EncoderInput, Kind
from mmkeras.export.tflite.execution import rows_of
from mmkeras.export.tflite.operators import VARIABLES, custom_operators, for_mediapipe, operators, tokenizer_operators
from mmkeras.export.tflite.pixel_input import PixelInput
from mmkeras.export.tflite.preparation import prepared_for_devices
from mmkeras.export.tflite.text_input import TextInput
from mmkeras.export.tflite.trimming import trimmed

Precision: TypeAlias = Literal["float32", "float16", "dynamic", "int8"]
PRECISIONS = get_args(Precision)


def encoder_input(encoder: keras.Model, preprocessor: Any) -> EncoderInput:
    """Return what goes into an encoder on a device: a `PixelInput` or a `TextInput`, by what it takes.

    Raises:
        MmkerasError: an encoder that no device can feed, see there.
    """
    return (PixelInput if encoder.input.name == "image" else TextInput)(encoder, preprocessor)


def convert(
    encoder: keras.Model,
    preprocessor: Any,
    kind: Kind,
    precision: Precision = "dynamic",
    examples: Iterable[Any] = (),
) -> bytes:
    """Convert an encoder to a TFLite network of batch 1 with the signature `encode_text` or `encode_pixels`.

    Args:
        encoder: `Encoder` from `token_ids` or from pixels.
        preprocessor: the tokenizer or the `ImagePreprocessor` that feeds it.
        kind: of a text encoder `ids` takes `token_ids`, int32 (1, L), and has builtin operators only; `text` takes
            `text`, string (1,), with the two operators of tensorflow-text that its tokenizer needs; `mediapipe` is that
            with the name that MediaPipe Tasks gives the tokenizer's. Of an image encoder `pixels` takes `image`, uint8
            (1, H, W, C), and has builtin operators only.
        precision: `float32`; `float16`, weights of half the size; `dynamic`, weights of 8 bits, values rounded as they
            come; `int8`, with the ranges of values measured on `examples`.
        examples: some hundred training texts, or pixels of training pictures, uint8 (N, H, W, C), by which the 8-bit
            precisions are set up.

    Returns:
        The network's bytes. Its output is `embedding`, float32 (1, D), unit norm.

    Raises:
        MmkerasError: an encoder that no device can feed; operators that no device runtime has, all of them listed; a
            network with a loop as `int8` or `mediapipe`; no examples for a precision of 8 bits.
    """
    source = encoder_input(encoder, preprocessor)
    for name, value, allowed in (("kind", kind, source.kinds), ("precision", precision, PRECISIONS)):
        if value not in allowed:
            raise MmkerasError(f"Expected one of {', '.join(allowed)}. Received: {name}={value!r}")
    examples = list(examples)
    if precision in ("dynamic", "int8") and not examples:
        raise MmkerasError(
            f"Expected {source.examples} of the training data, by which {precision} is set up. Received: examples=[]"
        )
    if reason := source.impossible(kind, precision):
        raise MmkerasError(f"Expected another precision or kind than {precision} of {kind}: {reason}")
    prepared = prepared_for_devices(encoder, precision, source.batch(examples) if precision == "dynamic" else None)
    with tempfile.TemporaryDirectory() as folder:
        _write_saved_model(prepared, source, kind, folder)
        converter = _converter(source, kind, folder, precision)
        if precision == "int8":
            samples = rows_of(source.spec(kind).name, [*examples, *source.unusual(examples)], preprocessor)
            network = _with_integers(converter, source, samples)
        else:
            network = _converted(converter, source)
    _check_operators(network, source, kind)
    network = trimmed(network)
    return for_mediapipe(network) if kind == "mediapipe" else network


def _write_saved_model(prepared, source, kind, folder):
    inputs = source.prepare(kind)

    def answer(taken):
        return {"embedding": prepared(inputs(taken), training=False)["embedding"]}

    # Only this route is known to keep the weights of a Keras 3 model: from_concrete_functions with the model as its
    # trackable object loses them without a word.
    archive = keras.export.ExportArchive()
    archive.track(prepared)
    archive.add_endpoint(source.signature, answer, [source.spec(kind)])
    archive.write_out(folder, verbose=False)


def _converter(source, kind, folder, precision):
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[source.signature])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.allow_custom_ops = bool(source.custom_operators(kind))
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return converter


def _converted(converter, source):
    try:
        return converter.convert()
    except Exception as error:  # ConverterError has no public name, and others come from below it
        listed = re.findall(r"^(?:TF Select|Custom|Flex) ops: (.+)$", str(error), re.MULTILINE)
        if not listed:
            raise MmkerasError(f"TFLite cannot convert this {source.modality} encoder: {str(error)[:500]}") from error
        names = sorted({name.strip() for line in listed for name in line.split(",")})
        raise MmkerasError(_not_on_devices(names, source)) from error


def _not_on_devices(names, source):
    article = "an" if source.modality == "image" else "a"
    return (
        f"Expected {article} {source.modality} encoder of TFLite's builtin operators. "
        f"Received: {', '.join(names)}, which no device runtime has"
    )


def _check_operators(network, source, kind):
    lost = VARIABLES & operators(network).keys()
    if lost:
        raise MmkerasError(f"The converted network lost its weights: it reads them from {', '.join(sorted(lost))}")
    others = custom_operators(network) - source.custom_operators(kind)
    if others:
        raise MmkerasError(_not_on_devices(sorted(others), source))


def _with_integers(converter, source, samples):
    """Convert with 8-bit integers: with the ranges of the values on `samples`, and `float_nodes` left as they are."""
    converter.representative_dataset = lambda: ([sample] for sample in samples)
    # The public converter has no way to leave operators out; its QuantizationDebugger has, by these calls, but cannot
    # run the tokenizer's operators.
    if converter.allow_custom_ops:
        converter.target_spec._experimental_custom_op_registerers = list(tokenizer_operators())
    converter._experimental_calibrate_only = True
    calibrated = _converted(converter, source)
    return mlir_quantize(calibrated, denylisted_nodes=float_nodes(calibrated))
