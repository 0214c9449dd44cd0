"""What goes into a text encoder on a device."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError
from mmkeras.export.tflite.encoder_input import EncoderInput
from mmkeras.export.tflite.operators import TEXT_OPERATORS
from mmkeras.preprocessing.strings import StringPreprocessor
from mmkeras.preprocessing.text import TextPreprocessor
from mmkeras.tensors import Tensor

# Of the texts that ranges of values are measured on beside the training texts.
_WORDS, _REPEATED = 40, 40


class TextInput(EncoderInput):
    """Texts, as `ids`, as strings (`text`), or as strings for `mediapipe`.

    Args:
        encoder: `Encoder` from `token_ids`.
        preprocessor: the tokenizer that makes them. As operators of a device there is that of a `TextPreprocessor`;
            with another one `ids` alone are possible.

    Raises:
        MmkerasError: an encoder over features, or one that takes strings or lacks its tokenizer.
    """

    modality = "text"
    kinds = ("ids", "text", "mediapipe")
    signature = "encode_text"
    examples = "texts"

    def check(self) -> None:
        if self.encoder.takes == "features":
            raise MmkerasError(
                "Expected a text encoder of texts. Received: one over feature vectors that somebody else computes, "
                "which takes no text on a device either"
            )
        if self.preprocessor is None or isinstance(self.preprocessor, StringPreprocessor):
            has = "no text_preprocessor" if self.preprocessor is None else "an encoder that holds its own tokenizer"
            raise MmkerasError(f"Expected a text encoder over the ids of a tokenizer. Received: {has}")

    def spec(self, kind: str) -> tf.TensorSpec:
        if kind == "ids":
            return tf.TensorSpec([1, self.preprocessor.sequence_length], tf.int32, name="token_ids")
        return tf.TensorSpec([1], tf.string, name="text")

    def prepare(self, kind: str) -> Callable[[Tensor], Tensor]:
        length = self.preprocessor.sequence_length
        if kind == "ids":
            return lambda token_ids: token_ids
        return lambda text: tf.reshape(self.preprocessor(text), [1, length])  # ensure_shape is no operator of TFLite

    def batch(self, examples: Iterable[str]) -> NDArray[np.int32]:
        return self.preprocessor(list(examples)).numpy()

    def unusual(self, examples: list[str]) -> list[str]:
        words = list(dict.fromkeys(word for text in examples for word in text.split()))[:_WORDS]
        repeated = [f"{word} " * _REPEATED for word in words] + words
        letters = list(string.ascii_lowercase + string.digits + string.punctuation)
        unknown = ["\u4e00", "\ud55c\uae00 " * 5, "\U0001f600" * 9, "\u0301\u0302" * 20, "q\u4e00" * _REPEATED]
        return ["", *repeated, *letters, *(letter * _REPEATED for letter in letters), *unknown]

    def custom_operators(self, kind: str) -> set[str]:
        return set() if kind == "ids" else TEXT_OPERATORS

    def impossible(self, kind: str, precision: str) -> str:
        if kind != "ids" and not isinstance(self.preprocessor, TextPreprocessor):
            return f"no device runtime has the operators of a {type(self.preprocessor).__name__}; ids are possible"
        if not has_loop(self.encoder):
            return ""
        if kind == "mediapipe":
            return "MediaPipe takes a network with a loop, such as a recurrent layer's, for another model"
        # It ends the process (tensorflow#75140).
        return "the quantiser does not survive a loop, such as a recurrent layer's" if precision == "int8" else ""


def has_loop(encoder: keras.Model) -> bool:
    """Return whether an encoder has a recurrent layer, which becomes a loop with subgraphs of its own."""
    return any(isinstance(layer, (keras.layers.RNN, keras.layers.Bidirectional)) for layer in encoder.layers)
