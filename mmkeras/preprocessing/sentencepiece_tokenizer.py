"""`SentencePieceTokenizer`: the token ids of a published SentencePiece model, in the graph."""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.characters import canonical, lower_characters
from mmkeras.preprocessing.sentencepiece_message import model_message
from mmkeras.preprocessing.tokenizer import UNKNOWN_TEXT, Tokenizer, checked_length, framed, in_batches
from mmkeras.tensors import Tensor, TensorLike

Normalization: TypeAlias = Literal["none", "lower", "canonical"]
SPACE = "\u2581"  # as SentencePiece writes it
MASKS = ("<mask>", "[MASK]")


@keras.saving.register_keras_serializable("mmkeras")
class SentencePieceTokenizer(Tokenizer):
    """Turns strings into the ids of a SentencePiece model that others trained: SigLIP's, SigLIP2's and others.

    The model may be of any kind, with any special ids. A unigram model runs as the operation that devices have too; one
    of byte-pair encoding, or with bytes for what it does not know, with pieces that are never cut or without rules of
    normalisation, runs as SentencePiece itself, which keeps the model as a resource: what exports it tracks
    `resources()`.

    The ids are those of SentencePiece's own library for every string, but where two ways of cutting a text have the
    same score to the last digit: of "...", in a unigram vocabulary with "." and "..", either may come. What a text
    spells as a special token, such as "</s>", is read as any other text.

    Args:
        model: the serialised SentencePiece model (`spiece.model`, `tokenizer.model`), as `bytes` or as a base64 `str`.
        sequence_length: int, L, the number of ids of every row, begin and end included.
        add_bos: bool, whether each text begins with the model's id of a begin.
        add_eos: bool, whether it ends with the model's id of an end. Of a text that is too long the end stays.
        normalization: what happens before the model's own rules: `none`; `lower`, each character becomes lower-case, as
            SigLIP2 has it; `canonical`, lower-case by Python's rules, no ASCII punctuation, white space as one space
            and none at the ends, as SigLIP has it.
        pad_id: int, what fills a row; `None` is the model's own. SigLIP fills with its end, 1.

    Attributes:
        runs_fast: bool, whether the model runs as the operation that devices and pages have too.

    Call arguments:
        texts: string tensor (N,), UTF-8. Works in `tf.data` (batch first), in an exported graph and eagerly.

    Returns:
        int32 tensor (N, L).

    Raises:
        MmkerasError: no SentencePiece model, one without the ids that are asked for, or a length that has no room.
        ImportError: tensorflow-text is not installed.

    Example:
        >>> model = Path("siglip-base-patch16-224/spiece.model").read_bytes()
        >>> tokenizer = SentencePieceTokenizer(model, 64, add_eos=True, normalization="canonical", pad_id=1)
        >>> tokenizer(["Two dachshunds!"])  # int32 (1, 64)

    References:
        Kudo & Richardson 2018 (arXiv 1808.06226); Zhai et al. 2023, SigLIP (arXiv 2303.15343), section 4.
    """

    def __init__(
        self,
        model: bytes | str,
        sequence_length: int,
        add_bos: bool = False,
        add_eos: bool = False,
        normalization: Normalization = "none",
        pad_id: int | None = None,
    ) -> None:
        for name, value in (("add_bos", add_bos), ("add_eos", add_eos)):
            if not isinstance(value, bool):
                raise MmkerasError(f"Expected a bool. Received: {name}={value!r}")
        if normalization not in get_args(Normalization):
            allowed = ", ".join(get_args(Normalization))
            raise MmkerasError(f"Expected one of {allowed}. Received: normalization={normalization!r}")
        self.sequence_length = checked_length(sequence_length, 1 + add_bos + add_eos)
        self.model = _as_bytes(model)
        self._proto = _parsed(self.model)
        self.vocabulary_size = self._pieces.vocab_size()
        self.add_bos, self.add_eos, self.normalization = add_bos, add_eos, normalization
        self.begin_id = self._own_id("add_bos", self._pieces.bos_id()) if add_bos else None
        self.end_id = self._own_id("add_eos", self._pieces.eos_id()) if add_eos else None
        self.unknown_id = self._pieces.unk_id()
        self.pad_id = self._own_id("pad_id", self._pieces.pad_id() if pad_id is None else pad_id)
        pieces = enumerate(self._proto.pieces)
        special = [number for number, piece in pieces if piece.type in (piece.UNKNOWN, piece.CONTROL)]
        masks = [number for mask in MASKS if (number := self._pieces.piece_to_id(mask)) != self.unknown_id]
        self.mask_id = masks[0] if masks else None
        self.special_ids = tuple(sorted({*special, self.pad_id, *masks}))

    def __call__(self, texts: TensorLike) -> Tensor:
        # A scalar or a matrix of strings must not reach a kernel of a server, which checks no shapes itself.
        texts = tf.ensure_shape(tf.convert_to_tensor(texts, tf.string), [None])
        pieces = self._tokenizer.tokenize(self._prepared(texts))
        return framed(pieces, self.sequence_length, self.begin_id, self.end_id, self.pad_id)

    def normalized(self, texts: Sequence[str]) -> list[str]:
        return self._pieces.normalize(self._read(texts)) if len(texts) else []

    def count_ids(self, texts: Sequence[str]) -> NDArray[np.int64]:
        counts = map(len, self._pieces.encode(self._read(texts)) if len(texts) else ())
        return np.fromiter(counts, np.int64, len(texts)) + self.add_bos + self.add_eos

    def words(self, token_ids: ArrayLike) -> list[tuple[str, range]]:
        """Tell which ids of a text make up each of its words, as spaces part them.

        Args:
            token_ids: int (L,), a row of what a call returned.

        Returns:
            list of pairs, a word a pair and in the text's order: the word as the vocabulary spells it (A-Z are a-z, and
            what it does not know is U+2047), and the `range` of its places in the row. A word at which the text was cut
            has the ids that are left.

        Example:
            >>> preprocessor.words(preprocessor(["Two dachshunds"])[0])
            [('two', range(0, 1)), ('dachshunds', range(1, 4))]
        """
        ids = np.asarray(token_ids).tolist()
        spans: list[range] = []
        for place, token_id in enumerate(ids):
            if token_id in self.special_ids and token_id != self.unknown_id:
                continue
            if spans and not self._pieces.id_to_piece(token_id).startswith(SPACE):
                spans[-1] = range(spans[-1].start, place + 1)
            else:
                spans.append(range(place, place + 1))
        return [(self._spelled([ids[place] for place in span]), span) for span in spans]

    def id_of(self, piece: str) -> int:
        """Return the id of a piece.

        Raises:
            MmkerasError: the model does not have it.
        """
        number = self._pieces.piece_to_id(piece)
        if self._pieces.id_to_piece(number) != piece:
            raise MmkerasError(f"Expected a piece of the model. Received: {piece!r}")
        return int(number)

    def resources(self) -> list[Any]:
        return [] if self.runs_fast else [self._tokenizer]

    def get_config(self) -> dict[str, Any]:
        return {
            "model": base64.b64encode(self.model).decode("ascii"),
            "sequence_length": self.sequence_length,
            "add_bos": self.add_bos,
            "add_eos": self.add_eos,
            "normalization": self.normalization,
            "pad_id": self.pad_id,
        }

    def _own_id(self, name, number):
        """An id that the model has."""
        is_int = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
        if not is_int or not 0 <= number < self.vocabulary_size:
            raise MmkerasError(
                f"Expected a model with the id that {name} asks for, 0 to {self.vocabulary_size - 1}. "
                f"Received: {number!r}, where -1 says that it has none"
            )
        return int(number)

    def _prepared(self, texts):
        """Texts as the model is handed them."""
        if self.normalization == "none":
            return texts
        return canonical(texts) if self.normalization == "canonical" else lower_characters()(texts)

    def _read(self, texts):
        """Texts as the model is handed them, a list of str."""
        if self.normalization == "none":
            return list(texts)
        return [text.decode() for part in in_batches(texts) for text in self._prepared(part).numpy()]

    def _spelled(self, token_ids):
        """What the ids of a word say."""
        word, known = "", []
        for token_id in [*token_ids, self.unknown_id]:
            if token_id != self.unknown_id:
                known.append(token_id)
                continue
            # By the library, which puts bytes together; a piece for the space in front would be lost at the beginning.
            word += self._pieces.decode(known).replace(SPACE, " ") + UNKNOWN_TEXT
            known = []
        return word.removesuffix(UNKNOWN_TEXT).strip(" ") or SPACE

    @functools.cached_property
    def _pieces(self):
        import sentencepiece

        return sentencepiece.SentencePieceProcessor(model_proto=self.model)

    @functools.cached_property
    def runs_fast(self) -> bool:
        """Whether the operation without a resource is right: of other models its ids are wrong."""
        trained, rules = self._proto.trainer_spec, self._proto.normalizer_spec
        whole = any(piece.type == piece.USER_DEFINED for piece in self._proto.pieces)
        unigram = trained.model_type == trained.UNIGRAM
        return bool(unigram and not trained.byte_fallback and not whole and rules.precompiled_charsmap)

    @functools.cached_property
    def _tokenizer(self):
        try:
            import tensorflow_text
        except ImportError as error:
            raise ImportError(
                f"{type(self).__name__} needs tensorflow-text of TensorFlow's own minor version: "
                "pip install tensorflow-text"
            ) from error
        with tf.init_scope():  # first met while a graph is traced, its constants would belong to that graph alone
            if self.runs_fast:
                return tensorflow_text.FastSentencepieceTokenizer(self.model)
            return tensorflow_text.SentencepieceTokenizer(self.model)


def _as_bytes(model):
    if isinstance(model, str):
        try:
            model = base64.b64decode(model, validate=True)
        except ValueError as error:
            raise MmkerasError(f"Expected `model` as bytes or base64. Received: model={model[:40]!r}...") from error
    return bytes(model)


def _parsed(model):
    """A serialised model as its message, or raise."""
    import sentencepiece

    try:
        # Other bytes would reach a C++ library that reads them as they are.
        proto = model_message().FromString(model)
        if len(proto.pieces) and sentencepiece.SentencePieceProcessor(model_proto=model).vocab_size():
            return proto
        problem = None
    except Exception as error:  # protobuf's DecodeError has no base class of its own
        problem = error
    raise MmkerasError(f"Expected a SentencePiece model. Received: {len(model)} bytes of something else") from problem
