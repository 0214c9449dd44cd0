"""`TextEncoder`: texts to embeddings on LiteRT, without TensorFlow."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError
from mmkeras.on_device.device_tokenizer import DeviceTokenizer
from mmkeras.on_device.model_file import ModelFile


class TextEncoder:
    """The text encoder of a trained model in a small process: LiteRT runs the network, SentencePiece makes the ids.

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
        precision: `float32`, `float16`, `dynamic` or `int8`.

    Raises:
        MmkerasError: a file that is missing, damaged, cut off, of another kind, or refused by LiteRT.
        MissingPartError: LiteRT or SentencePiece is not installed.

    Example:
        >>> encoder = TextEncoder("device/text_encoder_dynamic_ids.tflite")
        >>> encoder.encode_text(["a dog runs on the beach"])  # float32 (1, D), unit norm
    """

    space_id: str
    embedding_dim: int
    sequence_length: int
    precision: Literal["float32", "float16", "dynamic", "int8"]

    def __init__(self, file: str | os.PathLike[str], threads: int = 1) -> None:
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise MmkerasError(f"Expected one thread or more. Received: threads={threads!r}")
        model = ModelFile(file)
        settings = model.settings
        if settings.get("kind") != "ids" or model.tokenizer is None:
            raise MmkerasError(
                f"{file} takes strings (kind {settings.get('kind')!r}), which needs the operators of tensorflow-text "
                "or MediaPipe. Expected the file *_ids.tflite beside it"
            )
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise MissingPartError("TextEncoder needs LiteRT and SentencePiece", "on-device") from error
        self.space_id = settings["space_id"]
        self.embedding_dim = settings["embedding_dim"]
        self.sequence_length = settings["sequence_length"]
        self.precision = settings["precision"]
        config = {"model": base64.b64encode(model.tokenizer), "sequence_length": self.sequence_length}
        self._tokenizer = DeviceTokenizer("TextPreprocessor", config)
        self._turn = threading.Lock()
        try:
            # By its path the file is mapped, not copied; what was digested is what is mapped, unless it is exchanged.
            self._interpreter = Interpreter(model_path=str(file), num_threads=threads)
            self._network = self._interpreter.get_signature_runner("encode_text")
        except (ValueError, RuntimeError) as error:
            raise MmkerasError(f"{file} does not run on this LiteRT: {error}") from error

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
        ids = self.token_ids(texts)
        embeddings = np.empty((len(ids), self.embedding_dim), np.float32)
        with self._turn:
            for row, out in zip(ids, embeddings, strict=True):
                out[:] = self._network(token_ids=row[np.newaxis])["embedding"][0]
        return embeddings


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
