"""`sentencepiece_of_json`: a byte-pair model with byte fallback, of a `tokenizer.json`, as SentencePiece runs it."""

from __future__ import annotations

import os
from typing import Any

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.sentencepiece_message import model_message

_SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
_NAMES = {"unk": "<unk>", "bos": "<bos>", "eos": "<eos>", "pad": "<pad>"}


def sentencepiece_of_json(described: dict[str, Any], file: str | os.PathLike[str]) -> bytes:
    """Return the serialised SentencePiece model that gives the ids of a `tokenizer.json` as Gemma's.

    Its rules become scores: SentencePiece merges the pair with the highest one first. Tokens that were added are
    never cut where they are no special ones, and never read from a text where they are.

    Args:
        described: the content of `tokenizer.json`.
        file: its path, for messages.

    Raises:
        MmkerasError: another kind of model, or other steps before it.
    """
    model = described.get("model") or {}
    normalizer = described.get("normalizer") or {}
    steps = normalizer.get("normalizers") if normalizer.get("type") == "Sequence" else [normalizer]
    before = [step for step in steps or () if step != {"type": "Lowercase"}]
    if model.get("type") != "BPE" or not model.get("byte_fallback") or before != [_SPACES]:
        raise MmkerasError(
            f"{file}: expected byte-pair encoding with byte_fallback, and spaces as the one thing that is replaced "
            f"before it. Received: model {model.get('type')!r}, normalizer {str(normalizer)[:200]}"
        )
    ids = dict(model["vocab"])
    added = {token["content"]: token for token in described.get("added_tokens") or ()}
    ids |= {content: token["id"] for content, token in added.items()}
    pieces = sorted(ids, key=ids.__getitem__)
    if [ids[piece] for piece in pieces] != list(range(len(pieces))):
        raise MmkerasError(f"{file}: expected a vocabulary with the ids 0 to {len(pieces) - 1}, each once")
    ranks: dict[str, int] = {}
    for rank, rule in enumerate(model.get("merges") or ()):
        left, right = rule.split(" ") if isinstance(rule, str) else rule
        ranks.setdefault(left + right, rank)
    proto = model_message()()
    kinds = proto.SentencePiece
    for piece in pieces:
        kind = kinds.NORMAL
        if piece == model.get("unk_token"):
            kind = kinds.UNKNOWN
        elif piece in added:
            kind = kinds.CONTROL if added[piece].get("special") else kinds.USER_DEFINED
        elif len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            kind = kinds.BYTE
        proto.pieces.add(piece=piece, score=-float(ranks.get(piece, len(ranks))), type=kind)
    trained, rules = proto.trainer_spec, proto.normalizer_spec
    trained.model_type, trained.byte_fallback, trained.vocab_size = trained.BPE, True, len(pieces)
    for name, piece in _NAMES.items():
        setattr(trained, f"{name}_id", ids.get(piece, -1))
        setattr(trained, f"{name}_piece", piece)
    rules.name, rules.escape_whitespaces = "identity", True
    rules.add_dummy_prefix = rules.remove_extra_whitespaces = False
    return proto.SerializeToString(deterministic=True)
