"""`published_tokenizer`: the tokenizer of a model that somebody published, from its folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.byte_pair import BytePairTokenizer
from mmkeras.preprocessing.sentencepiece_of_json import sentencepiece_of_json
from mmkeras.preprocessing.sentencepiece_tokenizer import SentencePieceTokenizer
from mmkeras.preprocessing.tokenizer import Tokenizer, checked_length
from mmkeras.preprocessing.wordpiece import WordPieceTokenizer

FITTING, SHORTEST = 0.99, 8  # the share of texts that a fitted length holds whole; its lower bound
_HUGE = 100_000  # what stands for "no limit" in published files is far above
_PICKLED = (".pkl", ".pickle", ".bin", ".pt")
_CLIP_SPECIAL = r"<\|startoftext\|>|<\|endoftext\|>|"
_CLIP_PARTS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
# What a tokenizer's settings may say without a difference to ids: names, and what happens to padding and to decoding.
_WITHOUT_EFFECT = {
    *("name_or_path", "tokenizer_class", "tokenizer_file", "special_tokens_map_file", "processor_class", "backend"),
    *("model_max_length", "max_length", "truncation_side", "truncation_strategy", "stride", "pad_to_multiple_of"),
    *("clean_up_tokenization_spaces", "spaces_between_special_tokens", "model_input_names", "added_tokens_decoder"),
    *("additional_special_tokens", "extra_special_tokens", "is_local", "local_files_only", "pad_token_type_id"),
    *("cls_token", "sep_token", "pad_token", "unk_token", "mask_token", "bos_token", "eos_token", "errors"),
    *("do_basic_tokenize", "chat_template", "padding", "use_fast", "do_lower_case", "strip_accents", "truncation"),
    *("tokenize_chinese_chars", "add_bos_token", "add_eos_token", "extra_ids", "vocab_file", "merges_file"),
}
# Settings that are known with one value only.
_KNOWN = {
    "padding_side": ("right",),
    "add_prefix_space": (False,),
    "never_split": (None, []),
    "sp_model_kwargs": (None, {}),
    "legacy": (None, True),
    "use_default_system_prompt": (False,),
    "split_special_tokens": (False, True),
}


def published_tokenizer(
    folder: str | os.PathLike[str], sequence_length: int | None = None, texts: Iterable[str] | None = None
) -> Tokenizer:
    """Return the tokenizer of a folder as Hugging Face's hub has them.

    Known are those of the BERT family (BERT, DistilBERT, ELECTRA, MPNet; MiniLM, BGE and E5 are of it), of CLIP, of
    SigLIP and of SigLIP2. The ids are those of the published tokenizer, but that no text can spell a special token.

    Args:
        folder: path, with `tokenizer_config.json` and the vocabulary: `tokenizer.json`, or `vocab.txt`, `spiece.model`,
            `tokenizer.model`, or `vocab.json` with `merges.txt`. `config.json` and `sentence_bert_config.json` tell the
            longest length.
        sequence_length: int, the ids of a row; `None`: of CLIP and SigLIP the published length, of BERT's family what
            99 % of `texts` fit into, from 8 to the published length, or without texts that length.
        texts: iterable of str, training texts.

    Raises:
        MmkerasError: no such folder or no tokenizer in it, one of another kind, a setting that is not known, a damaged
            file, or a length above the published one. What is refused is named, with its file.

    Example:
        >>> published_tokenizer("all_minilm_l6_v2", 32)(["Two dachshunds!"])  # int32 (1, 32)
    """
    files = _Files(Path(folder))
    settings = files.settings
    files.check_settings()
    name = str(settings.get("tokenizer_class") or "").removesuffix("Fast")
    make = _KINDS.get(name) or files.by_content(name)
    longest = files.longest(_LONGEST[make])
    if sequence_length is not None:
        if checked_length(sequence_length) > longest:
            raise MmkerasError(
                f"Expected a sequence_length up to {longest}, which {folder} was published with. "
                f"Received: sequence_length={sequence_length}"
            )
        return make(files, sequence_length)
    tokenizer = make(files, longest)
    texts = list(texts or ())
    if make is not _bert or not texts:
        return tokenizer
    fitted = int(np.ceil(np.quantile(tokenizer.count_ids(texts), FITTING)))
    return make(files, min(max(fitted, SHORTEST), longest))


class _Files:
    """What a folder says of its tokenizer."""

    def __init__(self, folder):
        self.folder = folder
        if not folder.is_dir():
            raise MmkerasError(f"Expected the folder of a published model. Received: {folder}")
        self.settings = self.json("tokenizer_config.json") or {}
        self.described = self.json("tokenizer.json") or {}
        self.config = self.json("config.json") or {}
        self.family = str(self.config.get("model_type") or "")

    def json(self, name):
        file = self.folder / name
        if not file.is_file():
            return None
        try:
            content = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise MmkerasError(f"{file} cannot be read: {error}") from error
        if not isinstance(content, dict):
            raise MmkerasError(f"{file}: expected an object. Received: {type(content).__name__}")
        return content

    def text(self, name):
        try:
            return (self.folder / name).read_text("utf-8")
        except (OSError, ValueError) as error:
            raise MmkerasError(f"{self.folder / name} cannot be read: {error}") from error

    def has(self, *names):
        return all((self.folder / name).is_file() for name in names)

    def check_settings(self):
        """Raise where a setting may change ids, and is not known."""
        file = self.folder / "tokenizer_config.json"
        for name, value in self.settings.items():
            if name == "auto_map":
                raise MmkerasError(f"{file} names code of its own ({name}), which is not run. Received: {value!r}")
            if name in _KNOWN and value not in _KNOWN[name]:
                allowed = " or ".join(map(repr, _KNOWN[name]))
                raise MmkerasError(f"{file}: expected {name} to be {allowed}. Received: {name}={value!r}")
            if name not in _KNOWN and name not in _WITHOUT_EFFECT and not name.endswith("_token"):
                raise MmkerasError(f"{file} has a setting that is not known. Received: {name}={value!r}")
        for token in self.described.get("added_tokens") or ():
            if not token.get("special") and self.kind_of_json() != "BPE with bytes":
                raise MmkerasError(
                    f"{self.folder / 'tokenizer.json'} has a token that was added as a word. "
                    f"Received: {token.get('content')!r}"
                )

    def kind_of_json(self):
        model = self.described.get("model") or {}
        return "BPE with bytes" if model.get("byte_fallback") else model.get("type")

    def by_content(self, name):
        """What makes a tokenizer whose class is not named, or by a name that tells nothing; or raise."""
        if name in ("", "PreTrainedTokenizer", "TokenizersBackend", "Tokenizers"):
            if self.kind_of_json() == "WordPiece" or (not self.described and self.has("vocab.txt")):
                return _bert
            if (self.described.get("model") or {}).get("end_of_word_suffix") or self.family.startswith("clip"):
                return _clip
            if self.family.startswith("siglip"):
                return _siglip2 if self.kind_of_json() == "BPE with bytes" else _siglip
        known = ", ".join(sorted(_KINDS))
        if name:
            raise MmkerasError(
                f"{self.folder} has a tokenizer of another kind. Expected one of {known}. "
                f"Received: tokenizer_class={name}"
            )
        pickled = sorted(file.name for file in self.folder.iterdir() if file.suffix in _PICKLED)
        told = f"pickled files ({', '.join(pickled)}), which may run any code and are not read" if pickled else "none"
        raise MmkerasError(
            f"Expected a tokenizer in {self.folder}: tokenizer_config.json with tokenizer_class, one of {known}, and "
            f"tokenizer.json, vocab.txt, spiece.model, tokenizer.model, or vocab.json with merges.txt. Received: {told}"
        )

    def longest(self, default):
        """The most ids of a row, as published; `default` where nothing says."""
        text = self.config.get("text_config") or {}
        sentence = self.json("sentence_bert_config.json") or {}
        found = [
            sentence.get("max_seq_length"),
            text.get("max_position_embeddings", self.config.get("max_position_embeddings")),
            self.settings.get("model_max_length"),
        ]
        # MPNet's and RoBERTa's positions begin behind the one of padding.
        offset = 2 if self.family in ("mpnet", "roberta") else 0
        found[1] = found[1] and found[1] - offset
        known = [int(length) for length in found if isinstance(length, (int, float)) and 0 < length < _HUGE]
        return min(known, default=default)

    def token(self, name, default):
        """A special token, as the settings or the map of special tokens name it."""
        for source in (self.settings, self.json("special_tokens_map.json") or {}):
            token = source.get(name)
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str):
                return token
        return default

    def vocabulary(self):
        """The pieces of `tokenizer.json` in the order of their ids, those that were added among them."""
        ids = dict(self.described["model"]["vocab"])
        ids |= {token["content"]: token["id"] for token in self.described.get("added_tokens") or ()}
        pieces = sorted(ids, key=ids.__getitem__)
        if [ids[piece] for piece in pieces] != list(range(len(pieces))):
            raise MmkerasError(
                f"{self.folder / 'tokenizer.json'}: expected a vocabulary with the ids 0 to {len(pieces) - 1}. "
                f"Received: ids up to {max(ids.values(), default=-1)}"
            )
        return pieces

    def expect(self, what, received, *allowed):
        if received not in allowed:
            told = " or ".join(map(repr, allowed))
            raise MmkerasError(
                f"{self.folder / 'tokenizer.json'}: expected {what} to be {told}. Received: {str(received)[:200]}"
            )


def _bert(files, sequence_length):
    settings, options = files.settings, {}
    if files.described:
        described = files.described
        normalizer = described.get("normalizer") or {}
        files.expect("the model", (described.get("model") or {}).get("type"), "WordPiece")
        files.expect("continuing_subword_prefix", described["model"].get("continuing_subword_prefix", "##"), "##")
        files.expect("max_input_chars_per_word", described["model"].get("max_input_chars_per_word", 100), 100)
        files.expect("the normalizer", normalizer.get("type"), "BertNormalizer")
        files.expect("clean_text", normalizer.get("clean_text", True), True)
        files.expect("the pre_tokenizer", (described.get("pre_tokenizer") or {}).get("type"), "BertPreTokenizer")
        vocabulary = files.vocabulary()
        options = {
            "lower": normalizer.get("lowercase", True),
            "strip_accents": normalizer.get("strip_accents"),
            "split_chinese": normalizer.get("handle_chinese_chars", True),
        }
    else:
        vocabulary = files.text("vocab.txt")
    names = {"lower": "do_lower_case", "strip_accents": "strip_accents", "split_chinese": "tokenize_chinese_chars"}
    options |= {name: settings[key] for name, key in names.items() if key in settings}
    mpnet = settings.get("tokenizer_class", "").startswith("MPNet")
    begin, end, pad, mask = ("<s>", "</s>", "<pad>", "<mask>") if mpnet else ("[CLS]", "[SEP]", "[PAD]", "[MASK]")
    return WordPieceTokenizer(
        vocabulary,
        sequence_length,
        unknown=files.token("unk_token", "[UNK]"),
        begin=files.token("cls_token", begin),
        end=files.token("sep_token", end),
        pad=files.token("pad_token", pad),
        mask=files.token("mask_token", mask),
        **options,
    )


def _clip(files, sequence_length):
    if files.described:
        model = files.described.get("model") or {}
        files.expect("the model", model.get("type"), "BPE")
        files.expect("end_of_word_suffix", model.get("end_of_word_suffix"), "</w>")
        files.expect("dropout", model.get("dropout"), None, 0.0)
        kinds = [part.get("type") for part in (files.described.get("normalizer") or {}).get("normalizers", ())]
        files.expect("the normalizers", kinds, ["NFC", "Replace", "Lowercase"])
        parts = (files.described.get("pre_tokenizer") or {}).get("pretokenizers") or [{}]
        pattern = (parts[0].get("pattern") or {}).get("Regex")
        files.expect("the pattern of words", pattern, _CLIP_PARTS, _CLIP_SPECIAL + _CLIP_PARTS)
        vocabulary, merges = files.vocabulary(), model.get("merges") or []
    else:
        ids = files.json("vocab.json")
        if ids is None or not files.has("merges.txt"):
            raise MmkerasError(f"Expected tokenizer.json, or vocab.json and merges.txt. Received: {files.folder}")
        vocabulary, merges = sorted(ids, key=ids.__getitem__), files.text("merges.txt")
    end = files.token("eos_token", "<|endoftext|>")
    return BytePairTokenizer(
        vocabulary,
        merges,
        sequence_length,
        begin=files.token("bos_token", "<|startoftext|>"),
        end=end,
        pad=files.token("pad_token", end),
        unknown=files.token("unk_token", end),
    )


def _siglip(files, sequence_length):
    if not files.settings.get("do_lower_case", True):
        file = files.folder / "tokenizer_config.json"
        raise MmkerasError(f"{file}: expected do_lower_case to be True. Received: do_lower_case=False")
    if not files.has("spiece.model"):
        raise MmkerasError(f"Expected spiece.model, SigLIP's vocabulary. Received: {files.folder} without it")
    model = (files.folder / "spiece.model").read_bytes()
    return _sentencepiece(files, model, sequence_length, "canonical", files.token("pad_token", "</s>"))


def _siglip2(files, sequence_length):
    if files.settings.get("tokenizer_class") != "Siglip2Tokenizer" and not files.family.startswith("siglip"):
        raise MmkerasError(
            f"{files.folder / 'config.json'}: expected model_type siglip or siglip2 beside a tokenizer of Gemma. "
            f"Received: model_type={files.family!r}"
        )
    if files.has("tokenizer.model"):
        model = (files.folder / "tokenizer.model").read_bytes()
    elif files.described:
        model = sentencepiece_of_json(files.described, files.folder / "tokenizer.json")
    else:
        raise MmkerasError(f"Expected tokenizer.model or tokenizer.json. Received: {files.folder} without them")
    # Its towers were trained on texts in lower case, whatever the files say of it.
    return _sentencepiece(files, model, sequence_length, "lower", files.token("pad_token", "<pad>"))


def _sentencepiece(files, model, sequence_length, normalization, pad):
    tokenizer = SentencePieceTokenizer(model, sequence_length, add_eos=True, normalization=normalization, pad_id=0)
    return SentencePieceTokenizer(
        model, sequence_length, add_eos=True, normalization=normalization, pad_id=tokenizer.id_of(pad)
    )


_KINDS: dict[str, Callable[[Any, int], Tokenizer]] = {
    **dict.fromkeys(("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MPNetTokenizer"), _bert),
    "CLIPTokenizer": _clip,
    "SiglipTokenizer": _siglip,
    **dict.fromkeys(("Siglip2Tokenizer", "GemmaTokenizer"), _siglip2),
}
_LONGEST = {_bert: 512, _clip: 77, _siglip: 64, _siglip2: 64}
