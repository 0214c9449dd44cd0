"""`TextEncoder`: texts to embeddings on LiteRT, without TensorFlow."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmkeras.errors import MmkerasError
from mmkeras.on_device.device_tokenizer import DeviceTokenizer
from mmkeras.on_device.model_file import ModelFile
from mmkeras.on_device.network import Network


class TextEncoder:
    """The text encoder of a trained model in a small process: LiteRT runs the network, `DeviceTokenizer` makes the ids.

    The ids are those of the SavedModel for every string. A lone surrogate, which UTF-8 cannot hold, counts as U+FFFD,
    as browsers write it. A text that is empty or blank is all padding and has the embedding of it, as everywhere; of a
    long one the first `sequence_length` ids count. May be used by several threads, one of which computes at a time.

    Args:
        file: an `*_ids.tflite` that `mmkeras tflite` wrote.
        threads: how many threads the interpreter takes.

    Attributes:
        space_id: the embedding space, 64 hexadecimal characters; embeddings of two spaces cannot be compared.
        embedding_dim: D.
        sequence_length: L, ids of a text.
        vocabulary_size: ids are 0 to `vocabulary_size` - 1.
        tokenizer_kind: the class of the tokenizer that makes the ids, see `DeviceTokenizer`.
        precision: `float32`, `float16`, `dynamic` or `int8`.

    Raises:
        MmkerasError: a file that is missing, damaged, cut off, of another kind, or refused by LiteRT.
        MissingPartError: LiteRT, or the library that makes the ids, is not installed.

    Example:
        >>> encoder = TextEncoder("device/text_encoder_dynamic_ids.tflite")
        >>> encoder.encode_text(["a dog runs on the beach"])  # float32 (1, D), unit norm
    """

    space_id: str
    embedding_dim: int
    sequence_length: int
    vocabulary_size: int
    tokenizer_kind: str
    precision: Literal["float32", "float16", "dynamic", "int8"]

    def __init__(self, file: str | os.PathLike[str], threads: int = 1) -> None:
        model = ModelFile(file)
        settings = model.settings
        if settings.get("kind") != "ids":
            raise MmkerasError(
                f"{file} takes strings (kind {settings.get('kind')!r}), which needs the operators of tensorflow-text "
                "or MediaPipe. Expected the file *_ids.tflite beside it"
            )
        self.space_id = settings["space_id"]
        self.embedding_dim = settings["embedding_dim"]
        self.sequence_length = settings["sequence_length"]
        # Files of earlier versions do not say it: there the tokenizer gives no other ids.
        self.vocabulary_size = settings.get("vocabulary_size", 2**31)
        self.precision = settings["precision"]
        self._tokenizer = _tokenizer_of(model)
        self.tokenizer_kind = "TextPreprocessor" if model.tokenizer_config is None else model.tokenizer_config["kind"]
        self._network = Network(model, "encode_text", threads)

    def token_ids(self, texts: Iterable[str | bytes]) -> NDArray[np.int32]:
        """Return the ids of texts, int32 (N, L), 0 is padding.

        Args:
            texts: list of str, or of UTF-8 bytes.

        Raises:
            MmkerasError: a string in place of a list, an entry that is none, bytes that are no UTF-8.
        """
        if isinstance(texts, (str, bytes)):
            raise MmkerasError(f"Expected a list of strings. Received: texts={texts[:40]!r}; write [texts]")
        strings = [_well_formed(text, position) for position, text in enumerate(texts)]
        return self._tokenizer(strings)

    def encode_text(self, texts: Iterable[str | bytes]) -> NDArray[np.float32]:
        """Embed texts, one after the other.

        Args:
            texts: see `token_ids`.

        Returns:
            float32 (N, D), unit norm.

        Raises:
            MmkerasError: see `token_ids`.
        """
        return self._network.embed(self.token_ids(texts))

    def encode_ids(self, token_ids: ArrayLike) -> NDArray[np.float32]:
        """Embed texts by their ids, one after the other.

        Args:
            token_ids: int (N, L), as the encoder's tokenizer makes them.

        Returns:
            float32 (N, D), unit norm.

        Raises:
            MmkerasError: another shape or type, ids outside of the vocabulary.

        Example:
            >>> tokenizer = tokenizers.Tokenizer.from_file("tokenizer.json")  # the published one
            >>> tokenizer.enable_truncation(encoder.sequence_length)
            >>> tokenizer.enable_padding(length=encoder.sequence_length)
            >>> encoder.encode_ids([tokenizer.encode("a dog runs on the beach").ids])
        """
        ids = np.asarray(token_ids)
        if ids.ndim != 2 or ids.shape[1] != self.sequence_length or ids.dtype.kind not in "iu":
            raise MmkerasError(
                f"Expected integers of shape (N, {self.sequence_length}). Received: {ids.dtype} of shape {ids.shape}"
            )
        if ids.size and not 0 <= ids.min() <= ids.max() < self.vocabulary_size:
            raise MmkerasError(f"Expected ids of 0 to {self.vocabulary_size - 1}. Received: {ids.min()} to {ids.max()}")
        return self._network.embed(ids.astype(np.int32))


def _tokenizer_of(model: ModelFile) -> DeviceTokenizer:
    """What makes the ids of a file's encoder."""
    if model.tokenizer_config is not None:
        return DeviceTokenizer(model.tokenizer_config["kind"], model.tokenizer_config["config"])
    if model.tokenizer is None:
        raise MmkerasError(f"{model.file} holds no tokenizer. Export it again with mmkeras tflite")
    config = {
        "model": base64.b64encode(model.tokenizer).decode(),
        "sequence_length": model.settings["sequence_length"],
    }
    return DeviceTokenizer("TextPreprocessor", config)


def _well_formed(text, position):
    """A text without lone surrogates; bytes decoded."""
    if isinstance(text, bytes):
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            raise MmkerasError(f"Expected texts in UTF-8. Received: text {position} = {text[:40]!r}") from error
    if not isinstance(text, str):
        raise MmkerasError(f"Expected a list of strings. Received: text {position} = {text!r}")
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
