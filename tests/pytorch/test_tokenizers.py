"""Our tokenizers beside those of transformers, of the same files, as they come without a setting."""

import json

import numpy as np
import pytest

from mmkeras.preprocessing.published_tokenizer import published_tokenizer

from ..hard_texts import hard_texts
from ..preprocessing.clip_reference import BEGIN, END, clip_reference, vocabulary_and_merges
from ..preprocessing.test_byte_pair import composed
from ..preprocessing.test_sentencepiece_tokenizer import SIGLIP, are_ties, differing, known_to_python, learnt_of
from .installed import import_torch

import_torch()
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

SPECIAL = (BEGIN, END, "<s>", "</s>", "<pad>", "<unk>", "[MASK]", "[CLS]", "[SEP]", "[PAD]", "[UNK]")


def written(folder, settings, **files):
    """A folder of a model's tokenizer; a double underscore in a name is a dot."""
    for name, content in {"tokenizer_config__json": json.dumps(settings), **files}.items():
        content = content if isinstance(content, bytes) else content.encode()
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def plain(texts):
    """Texts that spell no special token, which transformers would read as one."""
    return [text for text in texts if not any(token in text for token in SPECIAL)]


def theirs(tokenizer, texts, length):
    return np.array(tokenizer(texts, padding="max_length", truncation=True, max_length=length)["input_ids"], np.int32)


def test_clip(tmp_path):
    vocabulary, merges = vocabulary_and_merges(clip_reference())
    ids = json.dumps({piece: number for number, piece in enumerate(vocabulary)})
    rules = "\n".join(["#version: 0.2", *merges])
    tokens = {"pad_token": END, "bos_token": BEGIN, "eos_token": END, "unk_token": END}
    settings = {"tokenizer_class": "CLIPTokenizer", **tokens}
    folder = written(tmp_path, settings, vocab__json=ids, merges__txt=rules)
    texts, reordered = composed(plain(hard_texts()))
    assert reordered <= 5
    reference = transformers.CLIPTokenizer.from_pretrained(folder)
    rows = differing(published_tokenizer(folder, 77)(texts).numpy(), theirs(reference, texts, 77))
    assert [texts[row] for row in rows] == []


def test_siglip(tmp_path):
    settings = {"tokenizer_class": "SiglipTokenizer", "pad_token": "</s>", "model_max_length": 64}
    folder = written(tmp_path, settings, spiece__model=learnt_of(SIGLIP))
    # Of a text that is cut, two ways of the same score are cut at two places.
    texts = [text for text in known_to_python(plain(hard_texts(4000))) if len(text) < 100]
    wanted = theirs(transformers.SiglipTokenizer.from_pretrained(folder), texts, 64)
    received = published_tokenizer(folder)(texts).numpy()
    rows = differing(received, wanted)
    assert len(rows) <= 5
    assert are_ties(learnt_of(SIGLIP), received[rows], wanted[rows])


def test_minilm(real_data):
    folder = real_data / "all_minilm_l6_v2"
    reference = transformers.AutoTokenizer.from_pretrained(folder)
    texts = plain(hard_texts())
    rows = differing(published_tokenizer(folder, 48)(texts).numpy(), theirs(reference, texts, 48))
    assert [texts[row] for row in rows] == []
