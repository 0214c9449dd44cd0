"""The one path from strings to the token ids that a text encoder takes."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.sentencepiece_message import model_message
from mmkeras.preprocessing.sentencepiece_tokenizer import SentencePieceTokenizer

PAD, UNKNOWN, BEGIN, END = range(4)

# The learner's sums run in this many parts, whatever the machine: another number gives other last digits.
_LEARNER_THREADS = 4
FITTING, FITTED = 0.99, (8, 256)  # the share of texts that a fitted length holds; its bounds


@keras.saving.register_keras_serializable("mmkeras")
class TextPreprocessor(SentencePieceTokenizer):
    """Turns strings into token ids with a SentencePiece unigram model that it carries inside.

    The model is learnt by `train` from the training split. Its normalisation is explicit and small: A-Z become a-z,
    tab, line feed, carriage return and U+2581 (which SentencePiece writes for a space, and whose trailing ones tf-text
    reads otherwise) become spaces, runs of spaces become one, those at the ends go, nothing else changes. On that
    tf-text and SentencePiece's own library agree for every string.
    Ids: 0 padding, 1 unknown, 2 and 3 reserved for the begin and the end of a text. A text longer than
    `sequence_length` keeps its first ids; an empty or blank one is all padding.

    Args:
        model: the serialised SentencePiece model, as `bytes` or as a base64 `str`.
        sequence_length: int, L, the number of ids of every row.

    Call arguments:
        texts: string tensor (N,), UTF-8. Works in `tf.data` (batch first), in an exported graph and eagerly.

    Returns:
        int32 tensor (N, L).

    Raises:
        MmkerasError: the model is no SentencePiece unigram model with these ids, or the length is below 1.
        ImportError: tensorflow-text is not installed.

    Example:
        >>> preprocessor = TextPreprocessor.train(captions, vocabulary_size=8000, sequence_length=32)
        >>> token_ids = preprocessor(["A dog runs", ""])  # int32 (2, 32); the second row is 0
        >>> dataset = dataset.batch(256).map(preprocessor)

    Reference: Kudo, "Subword Regularization", ACL 2018, section 3.2 (the unigram model); Kudo & Richardson,
    "SentencePiece", EMNLP 2018.
    """

    # For a model without a tokenizer too. A text has no end of its own: the end's id is free to stand for hidden words.
    special_ids = (PAD, UNKNOWN, BEGIN, END)
    mask_id = END

    def __init__(self, model: bytes | str, sequence_length: int) -> None:
        super().__init__(model, sequence_length, pad_id=PAD)
        self.mask_id = END
        self._check_learnt_here()

    @classmethod
    def train(
        cls, texts: Iterable[str], vocabulary_size: int, sequence_length: int | None, character_coverage: float = 1.0
    ) -> Self:
        """Learn a model from texts: the same texts in the same order give the same bytes.

        Args:
            texts: iterable of str, the training split's texts and no others.
            vocabulary_size: int, the largest number of ids, the four reserved ones included. Texts that do not hold
                that many pieces give a smaller vocabulary: see the attribute `vocabulary_size`.
            sequence_length: int, L; `None` is the smallest that 99 % of the texts fit into, within 8 and 256.
            character_coverage: float in (0.98, 1], the share of the texts' characters that gets ids; the rarest of the
                rest become 1 (unknown). Below 1 where texts are in Chinese or Japanese, or dirty.

        Returns:
            A `TextPreprocessor`.

        Raises:
            MmkerasError: no texts, one that is not a string or is blank (its number is told), a vocabulary smaller
                than the texts' characters (the smallest possible one is told).
        """
        import sentencepiece

        if isinstance(texts, (str, bytes)):
            raise MmkerasError(f"Expected a list of texts. Received: texts={texts[:40]!r}; write [texts]")
        if (
            isinstance(vocabulary_size, bool)
            or not isinstance(vocabulary_size, (int, np.integer))
            or vocabulary_size < 5
        ):
            raise MmkerasError(f"Expected an int of 5 or more. Received: vocabulary_size={vocabulary_size!r}")
        if not 0.98 <= character_coverage <= 1:
            raise MmkerasError(f"Expected a float in 0.98..1. Received: character_coverage={character_coverage!r}")
        texts = [_check_text(text, position) for position, text in enumerate(texts)]
        if not texts:
            raise MmkerasError("Expected at least one text to learn a vocabulary from. Received: texts=[]")
        model = io.BytesIO()
        with tempfile.TemporaryDirectory() as folder:
            rules = Path(folder) / "rules.tsv"
            rules.write_text(_normalization_rules(), encoding="ascii")
            try:
                sentencepiece.SentencePieceTrainer.train(
                    sentence_iterator=iter(texts),
                    model_writer=model,
                    model_type="unigram",
                    vocab_size=int(vocabulary_size),
                    hard_vocab_limit=False,
                    character_coverage=character_coverage,
                    normalization_rule_tsv=str(rules),
                    pad_id=PAD,
                    unk_id=UNKNOWN,
                    bos_id=BEGIN,
                    eos_id=END,
                    max_sentence_length=max(4192, *(len(text.encode()) for text in texts)),
                    num_threads=_LEARNER_THREADS,
                    minloglevel=2,
                )
            except RuntimeError as error:
                raise MmkerasError(_training_problem(error, vocabulary_size)) from error
        content = _without_paths(model.getvalue())
        if sequence_length is None:
            shortest, longest = FITTED
            lengths = cls(content, longest).count_ids(texts)
            sequence_length = int(np.clip(np.ceil(np.quantile(lengths, FITTING)), shortest, longest))
        return cls(content, sequence_length)

    def _check_learnt_here(self):
        """Raise unless the model is as `train` learns it."""
        trained = self._proto.trainer_spec
        if trained.model_type != trained.UNIGRAM:
            raise MmkerasError(
                f"Expected a SentencePiece unigram model. Received: {len(self.model)} bytes, "
                f"model_type={trained.model_type}; SentencePieceTokenizer takes published models"
            )
        ids = tuple(getattr(self._pieces, f"{name}_id")() for name in ("pad", "unk", "bos", "eos"))
        if ids != (PAD, UNKNOWN, BEGIN, END):
            raise MmkerasError(f"Expected a model with pad, unk, bos, eos = 0, 1, 2, 3. Received: {ids}")

    def get_config(self) -> dict[str, Any]:
        return {name: value for name, value in super().get_config().items() if name in ("model", "sequence_length")}


def _check_text(text, position):
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if not isinstance(text, str):
        raise MmkerasError(f"Expected every text as str. Received: text {position} = {text!r}")
    if not text.strip():
        raise MmkerasError(f"Expected no blank text to learn from. Received: text {position} = {text!r}")
    return text


def _normalization_rules():
    lower = [(code, code + 32) for code in range(ord("A"), ord("Z") + 1)]
    return "".join(
        f"{old:X}\t{new:X}\n" for old, new in [*lower, (0x9, 0x20), (0xA, 0x20), (0xD, 0x20), (0x2581, 0x20)]
    )


def _training_problem(error, vocabulary_size):
    required = re.search(r"required_chars\. \d+ vs (\d+)", str(error))
    if required:
        return (
            f"Expected vocabulary_size of {required[1]} or more: the texts hold that many different characters and "
            f"reserved ids. Received: vocabulary_size={vocabulary_size}. Or set character_coverage below 1"
        )
    return f"SentencePiece could not learn a vocabulary of {vocabulary_size} from these texts: {error}"


def _without_paths(model):
    """Take the rule file's temporary name out of a model: it would differ at every training."""
    proto = model_message().FromString(model)
    proto.normalizer_spec.ClearField("normalization_rule_tsv")
    return proto.SerializeToString(deterministic=True)
