"""`DeviceTokenizer`: the ids of a model's tokenizer without TensorFlow."""

from __future__ import annotations

import base64
import re
import string
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError

_LONGEST_WORD = 100  # characters, of WordPiece
_CLIP_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class DeviceTokenizer:
    """Makes the ids that a tokenizer makes in the graph, by the small libraries that published tokenizers come from.

    `sentencepiece` runs SentencePiece models, `tokenizers` WordPiece and byte-pair vocabularies. The ids are those of
    the graph for every string, but for letters in upper case and combining marks that are newer than the Unicode of
    this Python, and where a SentencePiece model has two ways of the same score, see `SentencePieceTokenizer`.

    Args:
        class_name: the tokenizer's class: `TextPreprocessor`, `SentencePieceTokenizer`, `WordPieceTokenizer` or
            `BytePairTokenizer`.
        config: dict, what its `get_config` returns.

    Attributes:
        sequence_length: int, L.

    Call arguments:
        texts: list of N str.

    Returns:
        int32 (N, L).

    Raises:
        MmkerasError: another class.
        MissingPartError: the library that runs it is not installed.

    Example:
        >>> tokenizer = DeviceTokenizer("WordPieceTokenizer", model.text_preprocessor.get_config())
        >>> tokenizer(["Two dachshunds!"])  # int32 (1, L)
    """

    sequence_length: int

    def __init__(self, class_name: str, config: Mapping[str, Any]) -> None:
        makers: dict[str, Callable[..., None]] = {
            "TextPreprocessor": self._set_sentencepiece,
            "SentencePieceTokenizer": self._set_sentencepiece,
            "WordPieceTokenizer": self._set_wordpiece,
            "BytePairTokenizer": self._set_byte_pairs,
        }
        if class_name not in makers:
            raise MmkerasError(f"Expected a tokenizer of {', '.join(makers)}. Received: class_name={class_name!r}")
        self.sequence_length = config["sequence_length"]
        try:
            makers[class_name](config)
        except ImportError as error:
            library = "SentencePiece" if makers[class_name] == self._set_sentencepiece else "the library tokenizers"
            raise MissingPartError(f"{class_name} needs {library} on devices", "on-device") from error

    def __call__(self, texts: Sequence[str]) -> NDArray[np.int32]:
        before, behind = ([] if one is None else [one] for one in (self._begin_id, self._end_id))
        room = self.sequence_length - len(before) - len(behind)
        rows = np.full((len(texts), self.sequence_length), self._pad_id, np.int32)
        for row, found in zip(rows, self._encode(list(texts)) if len(texts) else (), strict=True):
            ids = [*before, *found[:room], *behind]
            row[: len(ids)] = ids
        return rows

    def _set_sentencepiece(self, config):
        import sentencepiece

        pieces = sentencepiece.SentencePieceProcessor(model_proto=base64.b64decode(config["model"]))
        prepare = {"none": str, "lower": _lower, "canonical": _canonical}[config.get("normalization", "none")]
        self._encode = lambda texts: pieces.encode([prepare(text) for text in texts])
        self._begin_id = pieces.bos_id() if config.get("add_bos") else None
        self._end_id = pieces.eos_id() if config.get("add_eos") else None
        self._pad_id = config.get("pad_id", 0)

    def _set_wordpiece(self, config):
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

        ids = {piece: number for number, piece in enumerate(config["vocabulary"].split("\n"))}
        unknown = config["unknown"]
        tokenizer = Tokenizer(models.WordPiece(ids, unk_token=unknown, max_input_chars_per_word=_LONGEST_WORD))
        tokenizer.normalizer = normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=config["split_chinese"],
            strip_accents=config["strip_accents"],
            lowercase=config["lower"],
        )
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        self._set_frame(tokenizer, ids, config["begin"], config["end"], config["pad"])

    def _set_byte_pairs(self, config):
        from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

        ids = {piece: number for number, piece in enumerate(config["vocabulary"].split("\n"))}
        rules = [tuple(rule.split(" ")) for rule in config["merges"].split("\n") if rule]
        end = config["end"]
        unknown = config["unknown"] or end
        tokenizer = Tokenizer(
            models.BPE(ids, rules, unk_token=unknown, continuing_subword_prefix="", end_of_word_suffix="</w>")
        )
        tokenizer.normalizer = normalizers.Lowercase()
        words = pre_tokenizers.Split(Regex(_CLIP_WORDS), behavior="removed", invert=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False)])
        # Composed by Python: the library's tables of combining marks are older than those of the graph.
        self._set_frame(tokenizer, ids, config["begin"], end, config["pad"] or end, _composed)

    def _set_frame(self, tokenizer, ids, begin, end, pad, prepare=str):
        self._encode = lambda texts: [found.ids for found in tokenizer.encode_batch([prepare(text) for text in texts])]
        self._begin_id, self._end_id, self._pad_id = ids[begin], ids[end], ids[pad]


def _composed(text):
    return unicodedata.normalize("NFC", text)


def _lower(text):
    # Each letter by itself: Python's own would look at the letters around a sigma.
    return "".join(letter.lower() for letter in text)


def _canonical(text):
    kept = text.lower().translate(dict.fromkeys(map(ord, string.punctuation)))
    return re.sub(r"\s+", " ", kept).strip()
