"""The ids that `tokenizer.js` makes are those of the graph, for every kind of tokenizer that a page has."""

import base64
import json
import shutil
import subprocess
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.export.web.tokenizer_files import DESCRIBED, MODEL, TABLES, tokenizer_files
from mmkeras.on_device import DeviceTokenizer
from mmkeras.preprocessing import BytePairTokenizer, SentencePieceTokenizer, TextPreprocessor, WordPieceTokenizer

from ...hard_texts import hard_texts, names
from ...preprocessing.clip_reference import clip_reference, vocabulary_and_merges
from ...preprocessing.test_sentencepiece_tokenizer import GEMMA, SIGLIP, known_to_python, learnt_of
from ...preprocessing.test_wordpiece import reference_of, vocabulary_of

SCRIPT = Path(__file__).parent / "encode_texts.mjs"
EXACT = {
    "bert": lambda: WordPieceTokenizer(vocabulary_of(reference_of()), 32),
    "bert, cased": lambda: WordPieceTokenizer(vocabulary_of(reference_of(lower=False)), 32, lower=False),
    "clip": lambda: BytePairTokenizer(*vocabulary_and_merges(clip_reference()), 77),
    "openclip": lambda: BytePairTokenizer(*vocabulary_and_merges(clip_reference()), 40, pad="!"),
}


def page_ids(repository, tokenizer, texts):
    """The ids of texts as JavaScript makes them of a tokenizer's files, int (N, L)."""
    if shutil.which("node") is None:
        pytest.skip("needs node, which is not installed")
    files = tokenizer_files(tokenizer)
    told = {
        "described": json.loads(files[DESCRIBED]),
        "model": base64.b64encode(files[MODEL]).decode() if MODEL in files else None,
        "tables": json.loads(files[TABLES]) if TABLES in files else None,
        "texts": texts,
    }
    script = repository / "mmkeras" / "search_page" / "browser" / "tokenizer.js"
    done = subprocess.run(["node", SCRIPT, script], input=json.dumps(told), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout))


def has_new_marks(text):
    """Whether a text has characters that this Python's Unicode does not know, as a browser's may."""
    return any(unicodedata.category(character) == "Cn" for character in text)


@pytest.mark.parametrize("kind", EXACT)
def test_ids_equal_those_of_the_graph(repository, kind):
    tokenizer, texts = EXACT[kind](), hard_texts()
    received, expected = page_ids(repository, tokenizer, texts), tokenizer(texts).numpy()
    assert received.shape == (len(texts), tokenizer.sequence_length)
    rows = np.flatnonzero((received != expected).any(axis=1))
    if isinstance(tokenizer, BytePairTokenizer):  # composed by the browser
        assert len(rows) <= 3 and all(has_new_marks(texts[row]) for row in rows)
    else:
        assert [texts[row] for row in rows] == []


def learnt_here():
    return TextPreprocessor.train(names(), 500, 24)


def published(normalization):
    return SentencePieceTokenizer(learnt_of(SIGLIP), 64, add_eos=True, normalization=normalization, pad_id=1)


@pytest.mark.parametrize("kind", ["learnt here", "none", "lower", "canonical"])
def test_ids_of_sentencepiece_models_equal_those_of_sentencepiece(repository, kind):
    """Of two ways whose scores differ by rounding, "e" and "ee" in any order, the graph may take the other one."""
    tokenizer = learnt_here() if kind == "learnt here" else published(kind)
    texts = known_to_python(hard_texts())
    received = page_ids(repository, tokenizer, texts)
    expected = DeviceTokenizer(type(tokenizer).__name__, tokenizer.get_config())(texts)
    assert [texts[row] for row in np.flatnonzero((received != expected).any(axis=1))] == []
    rows = np.flatnonzero((received != tokenizer(texts).numpy()).any(axis=1))
    assert len(rows) <= (0 if kind == "learnt here" else 0.001 * len(texts))


def test_a_lone_surrogate_is_read_as_everywhere(repository):
    tokenizer = learnt_here()
    received = page_ids(repository, tokenizer, ["a\ud83d b", "\udc00", "\ud83d\udc00"])
    np.testing.assert_array_equal(received, tokenizer(["a\ufffd b", "\ufffd", "\U0001f400"]).numpy())


def test_a_tokenizer_that_a_page_does_not_have_is_refused():
    with pytest.raises(MmkerasError, match="Expected a SentencePiece unigram model.*SigLIP2"):
        tokenizer_files(SentencePieceTokenizer(learnt_of(GEMMA), 64, add_eos=True, normalization="lower"))
