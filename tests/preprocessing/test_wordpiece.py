"""BERT's ids: against Hugging Face's own library, for hard texts, with vocabularies of every kind."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from tokenizers import normalizers, pre_tokenizers, processors, trainers

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import WordPieceTokenizer

from ..hard_texts import PIECES, hard_texts, names
from .tokenizer_checks import check_counts, check_everywhere, check_normalized, check_words

LENGTH = 48
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def reference_of(lower=True, strip_accents=None, split_chinese=True):
    """A tokenizer of Hugging Face's library, of BERT's parts, with a vocabulary that it learns here."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(True, split_chinese, strip_accents, lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=900, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator([*names(), " ".join(PIECES)], trainer)
    return framed(tokenizer)


def framed(tokenizer):
    begin, end = (tokenizer.token_to_id(one) for one in ("[CLS]", "[SEP]"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", begin), ("[SEP]", end)]
    )
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding(length=LENGTH, pad_id=tokenizer.token_to_id("[PAD]"), pad_token="[PAD]")
    tokenizer.encode_special_tokens = True  # what a text spells is text
    return tokenizer


def vocabulary_of(reference):
    return [reference.id_to_token(number) for number in range(reference.get_vocab_size())]


def differing(tokenizer, reference, texts):
    """The texts whose ids are others."""
    expected = np.array([encoding.ids for encoding in reference.encode_batch(texts)], np.int32)
    return [texts[row] for row in np.flatnonzero((tokenizer(texts).numpy() != expected).any(axis=1))]


@pytest.fixture(scope="module")
def reference():
    return reference_of()


@pytest.fixture(scope="module")
def tokenizer(reference):
    return WordPieceTokenizer(vocabulary_of(reference), LENGTH)


@pytest.mark.parametrize(
    "options",
    [
        {"lower": True},
        {"lower": False},
        {"lower": True, "strip_accents": False},
        {"lower": False, "strip_accents": True, "split_chinese": False},
    ],
)
def test_ids_equal_those_of_the_published_tokenizer(options):
    reference, texts = reference_of(**options), hard_texts()
    assert len(set(texts)) > 9000
    tokenizer = WordPieceTokenizer(vocabulary_of(reference), LENGTH, **options)
    assert differing(tokenizer, reference, texts) == []
    assert len(np.unique(tokenizer(texts))) > 500


def test_ids_of_minilm_on_real_texts(real_data):
    pyarrow = pytest.importorskip("pyarrow.parquet", reason="pyarrow reads the Wikipedia articles")
    folder = real_data / "all_minilm_l6_v2"
    tokenizer = WordPieceTokenizer((folder / "vocab.txt").read_text("utf-8"), LENGTH)
    assert (tokenizer.vocabulary_size, tokenizer.special_ids, tokenizer.mask_id) == (
        30522,
        (0, 100, 101, 102, 103),
        103,
    )
    assert tokenizer(["Two dachshunds!"])[0, :9].numpy().tolist() == [101, 2048, 4830, 18069, 17157, 5104, 999, 102, 0]
    reference = framed(tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")))
    lines = (real_data / "flickr8k" / "captions.jsonl").read_text("utf-8").splitlines()
    captions = [caption for line in lines[:2000] for caption in json.loads(line)["captions"]]
    articles = pyarrow.read_table(real_data / "wikipedia" / "texts.parquet").column("text").to_pylist()
    parts = [article[start : start + 300] for article in articles for start in (0, 300, 600)]
    for texts in (captions, parts, hard_texts()):
        assert len(texts) > 3000
        assert differing(tokenizer, reference, texts) == []
    # Where nothing spells a special token, they are the ids of the tokenizer as it is published.
    reference.encode_special_tokens = False
    assert differing(tokenizer, reference, captions) == []


def test_a_text_cannot_spell_special_ids(tokenizer, reference):
    ids = tokenizer(["[MASK] a [SEP] b [CLS] [PAD]"])[0].numpy().tolist()
    special = {tokenizer.mask_id, tokenizer.begin_id, tokenizer.end_id, tokenizer.pad_id}
    stop = ids.index(tokenizer.end_id)
    assert (
        ids[0] == tokenizer.begin_id and not special & set(ids[1:stop]) and set(ids[stop + 1 :]) <= {tokenizer.pad_id}
    )
    reference.encode_special_tokens = False
    assert tokenizer.mask_id in reference.encode("[MASK] a").ids  # which the library lets it
    reference.encode_special_tokens = True


def test_the_same_everywhere_and_nothing_is_kept(tokenizer, tmp_path):
    fresh = WordPieceTokenizer(tokenizer.vocabulary, LENGTH)
    used = check_everywhere(tokenizer, tmp_path, fresh)
    assert not [name for name in used if "Table" in name or "VarHandle" in name]


def test_counts_words_and_normalisation(tokenizer):
    check_counts(tokenizer, WordPieceTokenizer(tokenizer.vocabulary, 400))
    check_normalized(tokenizer)
    check_words(tokenizer, hard_texts(300))
    assert tokenizer.normalized(["  Zürich's\tCAFÉ\0 "]) == ["zurich ' s cafe"]
    words = tokenizer.words(tokenizer(["A latin omega-🦄"])[0])
    assert [word for word, _ in words] == ["a", "latin", "omega", "-", "⁇"]
    assert words[0][1] == range(1, 2)


def test_of_a_long_text_the_end_stays(tokenizer):
    short = WordPieceTokenizer(tokenizer.vocabulary, 3)
    ids = short(["a b c", "", "a"]).numpy()
    begin, end, pad = tokenizer.begin_id, tokenizer.end_id, tokenizer.pad_id
    assert ids[0, [0, 2]].tolist() == [begin, end] and ids[1].tolist() == [begin, end, pad]
    assert ids[0].tolist() == ids[2].tolist()


def test_invalid_utf8_and_lone_surrogates(tokenizer):
    broken = tokenizer(tf.constant([b"\xff\xfe a\xc3", b"a"])).numpy()
    np.testing.assert_array_equal(broken[0], broken[1])
    assert tokenizer.count_ids(["a\ud800"]).tolist() == [3]


def test_the_vocabulary_as_a_file_is_written(tokenizer):
    text = "".join(f"{piece}\r\n" for piece in tokenizer.vocabulary)
    assert WordPieceTokenizer(text, LENGTH).vocabulary == tokenizer.vocabulary


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocabulary": ["[PAD]", "[UNK]", "[CLS]", "a"]}, r"special token end='\[SEP\]'.*4 pieces"),
        ({"vocabulary": [*SPECIAL, "a", "b", "a"]}, "7: 'a' again"),
        ({"vocabulary": [*SPECIAL, ""]}, "5: ''"),
        ({"vocabulary": [*SPECIAL, 3]}, "5: 3"),
        ({"begin": "<s>"}, "begin='<s>'"),
        ({"sequence_length": 2}, "3 or more.*sequence_length=2"),
        ({"sequence_length": 8.0}, "sequence_length=8.0"),
        ({"lower": 1}, "lower=1"),
        ({"strip_accents": "no"}, "strip_accents='no'"),
    ],
)
def test_what_is_no_vocabulary_is_told(changes, message):
    with pytest.raises(MmkerasError, match=message):
        WordPieceTokenizer(**{"vocabulary": [*SPECIAL, "a", "##b"], "sequence_length": 8, **changes})


def test_a_vocabulary_without_a_mask():
    tokenizer = WordPieceTokenizer([*SPECIAL[:4], "a"], 8)
    assert tokenizer.mask_id is None and tokenizer.special_ids == (0, 1, 2, 3)
