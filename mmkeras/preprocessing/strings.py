"""The path from strings to a text encoder that takes strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import keras
import tensorflow as tf

from mmkeras._config import ConfigFromSignature
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.characters import lower_case
from mmkeras.tensors import Tensor, TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class StringPreprocessor(ConfigFromSignature):
    """Hands strings on to an encoder that holds its own tokenizer, as sentence encoders of TensorFlow Hub do.

    It changes nothing but what is asked for here. It has the attributes of a `Tokenizer` that encoders are built
    with, both `None`: `vocabulary_size` and `sequence_length`.

    Args:
        lower: bool, upper-case letters become lower-case, in all of Unicode.
        strip: bool, white space at both ends goes.

    Call arguments:
        texts: string tensor (N,), UTF-8. Works in `tf.data` (batch first), in an exported graph and eagerly.

    Returns:
        string tensor (N,).

    Raises:
        MmkerasError: an argument is no bool.

    Example:
        >>> StringPreprocessor(lower=True)(["A Dog"]).numpy()
        array([b'a dog'], dtype=object)
    """

    vocabulary_size: None = None
    sequence_length: None = None

    def __init__(self, lower: bool = False, strip: bool = False) -> None:
        for name, value in (("lower", lower), ("strip", strip)):
            if not isinstance(value, bool):
                raise MmkerasError(f"Expected a bool. Received: {name}={value!r}")
        self.lower = lower
        self.strip = strip

    def __call__(self, texts: TensorLike) -> Tensor:
        # A scalar or a matrix of strings must not reach a kernel of a server, which checks no shapes itself.
        texts = tf.ensure_shape(tf.convert_to_tensor(texts, tf.string), [None])
        if self.strip:
            texts = tf.strings.strip(texts)
        return lower_case(texts) if self.lower else texts

    def count_cut(self, texts: Sequence[str]) -> int:
        """Return 0: what an encoder's own tokenizer cuts off is not known here.

        Args:
            texts: list of str.
        """
        return 0

    def normalized(self, texts: Sequence[str]) -> list[str]:
        """Return texts as an encoder is handed them: two that are equal then are one to it.

        Args:
            texts: list of str.
        """
        return [text.decode() for text in self(list(texts)).numpy()] if len(texts) else []

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)
