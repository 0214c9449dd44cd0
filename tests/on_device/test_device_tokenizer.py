"""The ids on devices are those of the graph, for every kind of tokenizer."""

import json
import subprocess
import sys

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.missing_part_error import MissingPartError
from mmkeras.on_device import DeviceTokenizer
from mmkeras.preprocessing import BytePairTokenizer, SentencePieceTokenizer, TextPreprocessor, WordPieceTokenizer

from ..hard_texts import hard_texts, names
from ..preprocessing.clip_reference import clip_reference, vocabulary_and_merges
from ..preprocessing.test_sentencepiece_tokenizer import GEMMA, SIGLIP, are_ties, known_to_python, learnt_of
from ..preprocessing.test_wordpiece import reference_of, vocabulary_of

EXACT = {
    "learnt here": lambda: TextPreprocessor.train(names(), 500, 24),
    "siglip2": lambda: SentencePieceTokenizer(learnt_of(GEMMA), 64, add_bos=True, add_eos=True, normalization="lower"),
    "bert": lambda: WordPieceTokenizer(vocabulary_of(reference_of()), 32),
    "bert, cased": lambda: WordPieceTokenizer(vocabulary_of(reference_of(lower=False)), 32, lower=False),
    "clip": lambda: BytePairTokenizer(*vocabulary_and_merges(clip_reference()), 77),
    "openclip": lambda: BytePairTokenizer(*vocabulary_and_merges(clip_reference()), 40, pad="!"),
}


@pytest.mark.parametrize("kind", EXACT)
def test_ids_equal_those_of_the_graph(kind):
    tokenizer, texts = EXACT[kind](), hard_texts()
    if isinstance(tokenizer, SentencePieceTokenizer):
        texts = known_to_python(texts)
    on_device = DeviceTokenizer(type(tokenizer).__name__, tokenizer.get_config())
    assert on_device.sequence_length == tokenizer.sequence_length
    received, expected = on_device(texts), tokenizer(texts).numpy()
    assert received.dtype == np.int32
    assert [texts[row] for row in np.flatnonzero((received != expected).any(axis=1))] == []
    assert on_device([]).shape == (0, tokenizer.sequence_length)


def test_siglip_but_for_ties():
    model, texts = learnt_of(SIGLIP), known_to_python(hard_texts())
    tokenizer = SentencePieceTokenizer(model, 64, add_eos=True, normalization="canonical", pad_id=1)
    received = DeviceTokenizer("SentencePieceTokenizer", tokenizer.get_config())(texts)
    expected = tokenizer(texts).numpy()
    rows = np.flatnonzero((received != expected).any(axis=1))
    assert len(rows) <= 5
    assert are_ties(model, received[rows], expected[rows])


def test_another_class_and_a_missing_library(monkeypatch):
    with pytest.raises(MmkerasError, match="WordPieceTokenizer.*Received: class_name='Other'"):
        DeviceTokenizer("Other", {})
    config = EXACT["clip"]().get_config()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingPartError, match="BytePairTokenizer needs the library tokenizers"):
        DeviceTokenizer("BytePairTokenizer", config)


def test_no_tensorflow_is_loaded():
    config = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"], 4).get_config()
    program = (
        "import json, sys; from mmkeras.on_device import DeviceTokenizer; "
        "made = DeviceTokenizer('WordPieceTokenizer', json.loads(sys.argv[1])); "
        "print(made(['a']).tolist(), 'tensorflow' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, json.dumps(config)], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[[2, 4, 3, 0]] False\n"
