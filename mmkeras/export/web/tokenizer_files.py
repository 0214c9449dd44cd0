"""What makes the ids of texts in a browser: the tokenizer's files, or why there are none."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.byte_pair import BytePairTokenizer
from mmkeras.preprocessing.sentencepiece_tokenizer import SentencePieceTokenizer
from mmkeras.preprocessing.tokenizer import Tokenizer
from mmkeras.preprocessing.wordpiece import WordPieceTokenizer

MODEL, DESCRIBED, TABLES = "tokenizer.model", "tokenizer.json", "unicode_tables.json"


def tokenizer_files(tokenizer: Tokenizer) -> dict[str, bytes]:
    """Return the files by which `tokenizer.js` makes a tokenizer's ids.

    Args:
        tokenizer: of a text encoder that takes ids.

    Returns:
        dict from name to content: `tokenizer.json`; of a SentencePiece model `tokenizer.model`; where characters are
        mapped outside of it `unicode_tables.json`, those of the graph.

    Raises:
        MmkerasError: a tokenizer that the page does not have: a SentencePiece model that is not unigram, has bytes for
            what it does not know, or pieces that are never cut, such as SigLIP2's.
    """
    config = tokenizer.get_config()
    files: dict[str, bytes] = {}
    needs_tables = isinstance(tokenizer, (WordPieceTokenizer, BytePairTokenizer))
    if isinstance(tokenizer, SentencePieceTokenizer):
        if not tokenizer.runs_fast:
            raise MmkerasError(
                "Expected a SentencePiece unigram model with rules of normalisation, WordPiece or byte pairs, which a "
                "page has in JavaScript. Received: a SentencePiece model of another kind, as SigLIP2's is"
            )
        files[MODEL] = tokenizer.model
        del config["model"]
        needs_tables = tokenizer.normalization != "none"
    elif not needs_tables:
        raise MmkerasError(f"Expected a tokenizer that a page has. Received: {type(tokenizer).__name__}")
    described: dict[str, Any] = {
        "class": type(tokenizer).__name__,
        "sequence_length": tokenizer.sequence_length,
        "begin_id": getattr(tokenizer, "begin_id", None),
        "end_id": getattr(tokenizer, "end_id", None),
        "pad_id": tokenizer.pad_id,
        "config": config,
    }
    files[DESCRIBED] = json.dumps(described).encode()
    if needs_tables:
        files[TABLES] = (resources.files("mmkeras.preprocessing") / TABLES).read_bytes()
    return files
