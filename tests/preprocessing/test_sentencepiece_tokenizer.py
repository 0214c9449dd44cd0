"""The ids of published SentencePiece models: models of the published kinds, learnt here, against the library."""

import functools
import io
import re
import string

import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import SentencePieceTokenizer

from ..hard_texts import PIECES, hard_texts, names
from .tokenizer_checks import check_counts, check_everywhere, check_normalized, check_words

LENGTH = 64
# Options and special ids of published models: SigLIP's is T5's English one, SigLIP2's is Gemma's.
SIGLIP = {"model_type": "unigram", "pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1, "vocab_size": 1000}
GEMMA = {
    "model_type": "bpe",
    "pad_id": 0,
    "eos_id": 1,
    "bos_id": 2,
    "unk_id": 3,
    "vocab_size": 1200,
    "byte_fallback": True,
    "split_digits": True,
    "normalization_rule_name": "identity",
    "add_dummy_prefix": False,
    "remove_extra_whitespaces": False,
    "allow_whitespace_only_pieces": True,
    "user_defined_symbols": ["<mask>", "\n", "\n\n", "\u2581\u2581", "<table>", "</b>"],
}
CAMEMBERT = {**SIGLIP, "pad_id": -1, "unk_id": 0, "bos_id": 1, "eos_id": 2}
BYTES = {**CAMEMBERT, "byte_fallback": True, "vocab_size": 1200}


@functools.cache
def learnt(**options):
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*map(str.lower, names()), *names(200), *PIECES * 3]),
        model_writer=file,
        character_coverage=0.995,
        hard_vocab_limit=False,
        num_threads=2,
        minloglevel=2,
        **options,
    )
    return file.getvalue()


def learnt_of(options):
    options = dict(options)
    symbols = options.pop("user_defined_symbols", ())
    return learnt(**options, **({"user_defined_symbols": ",".join(symbols)} if symbols else {}))


def expected(model, texts, before=(), behind=(), pad=0, length=LENGTH):
    """The ids by SentencePiece's Python library, cut, framed and padded in Python."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    rows = np.full((len(texts), length), pad, np.int32)
    room = length - len(before) - len(behind)
    for row, ids in zip(rows, processor.encode(texts), strict=True):
        ids = [*before, *ids[:room], *behind]
        row[: len(ids)] = ids
    return rows


def canonical(text):
    """SigLIP's own lines."""
    text = text.lower().translate(str.maketrans("", "", string.punctuation))
    return re.sub(r"\s+", " ", text).strip()


def differing(received, wanted):
    return np.flatnonzero((received != wanted).any(axis=1))


def are_ties(model, received, wanted):
    """Whether rows differ by two ways of cutting the same text that have the same score."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return all(
        processor.decode(one.tolist()) == processor.decode(other.tolist())
        and np.isclose(*(sum(map(processor.get_score, ids.tolist())) for ids in (one, other)), atol=1e-4)
        for one, other in zip(received, wanted, strict=True)
    )


def test_siglip():
    model, texts = learnt_of(SIGLIP), known_to_python(hard_texts())
    tokenizer = SentencePieceTokenizer(model, LENGTH, add_eos=True, normalization="canonical", pad_id=1)
    received = tokenizer(texts).numpy()
    wanted = expected(model, [canonical(text) for text in texts], behind=[1], pad=1)
    rows = differing(received, wanted)
    assert len(rows) <= 5
    assert are_ties(model, received[rows], wanted[rows])
    assert (received[:, -1] == 1).all() and len(np.unique(received)) > 300
    assert tokenizer.resources() == []


def test_siglip2():
    model, texts = learnt_of(GEMMA), known_to_python(hard_texts())
    tokenizer = SentencePieceTokenizer(model, LENGTH, add_eos=True, normalization="lower")
    received = tokenizer(texts).numpy()
    lowered = ["".join(one.lower() for one in text) for text in texts]  # each by itself: a final sigma stays one
    assert differing(received, expected(model, lowered, behind=[1], pad=0)).tolist() == []
    assert len(np.unique(received)) > 500
    assert tokenizer.mask_id == 4 and tokenizer.special_ids[:4] == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("options", "most"),
    [(GEMMA, 0), ({**SIGLIP, "normalization_rule_name": "identity"}, 0), (CAMEMBERT, 25), (BYTES, 200)],
)
def test_ids_equal_the_librarys(options, most):
    model, texts = learnt_of(options), hard_texts()
    tokenizer = SentencePieceTokenizer(model, LENGTH, add_bos=options["bos_id"] >= 0, pad_id=options["unk_id"])
    before = [options["bos_id"]] if tokenizer.add_bos else []
    received, wanted = tokenizer(texts).numpy(), expected(model, texts, before, pad=options["unk_id"])
    rows = differing(received, wanted)
    assert len(rows) <= most
    assert are_ties(model, received[rows], wanted[rows])


@pytest.mark.parametrize("options", [SIGLIP, GEMMA])
def test_the_same_everywhere_and_nothing_is_kept(options, tmp_path):
    arguments = {"model": learnt_of(options), "sequence_length": LENGTH, "add_eos": True, "normalization": "lower"}
    tokenizer, fresh = SentencePieceTokenizer(**arguments), SentencePieceTokenizer(**arguments)
    used = check_everywhere(tokenizer, tmp_path, fresh)
    assert ("SentencepieceTokenizeOp" in used) == (options is GEMMA)
    assert not [name for name in used if "Table" in name or "VarHandle" in name]


@pytest.mark.parametrize("options", [SIGLIP, GEMMA])
def test_a_session_runs_what_was_saved(options, tmp_path):
    """As TensorFlow Serving does: without the objects of Python."""
    tokenizer = SentencePieceTokenizer(learnt_of(options), LENGTH, add_eos=True)
    module = tf.Module()
    module.resources = tokenizer.resources()
    serve = tf.function(
        lambda text: {"ids": tokenizer(text)}, input_signature=[tf.TensorSpec([None], tf.string, "text")]
    )
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": serve})
    texts = hard_texts(300)
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        saved = tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path))
        signature = saved.signature_def["serving_default"]
        fed = {signature.inputs["text"].name: [text.encode() for text in texts]}
        received = session.run(signature.outputs["ids"].name, fed)
    np.testing.assert_array_equal(received, tokenizer(texts))


@pytest.mark.parametrize("options", [SIGLIP, GEMMA])
def test_counts_words_and_normalisation(options):
    arguments = {"model": learnt_of(options), "add_eos": True, "normalization": "canonical"}
    tokenizer = SentencePieceTokenizer(sequence_length=LENGTH, **arguments)
    check_counts(
        SentencePieceTokenizer(sequence_length=24, **arguments),
        SentencePieceTokenizer(sequence_length=400, **arguments),
    )
    check_normalized(tokenizer)
    check_words(tokenizer, hard_texts(300))
    assert tokenizer.normalized(["  Zürich's\tCAFÉ "]) in (["▁zürichs▁café"], ["zürichs▁café"])
    words = tokenizer.words(tokenizer(["A latin omega, café"])[0])
    assert [word for word, _ in words] == ["a", "latin", "omega", "café"]


def test_special_tokens_in_a_text_are_text():
    tokenizer = SentencePieceTokenizer(learnt_of(GEMMA), LENGTH, add_bos=True, add_eos=True)
    ids = tokenizer(["<bos> a </s> <pad> <eos> <s>"])[0].numpy().tolist()
    stop = ids.index(tokenizer.end_id)
    assert ids[0] == tokenizer.begin_id and not {0, 1, 2, 3} & set(ids[1:stop]) and set(ids[stop + 1 :]) == {0}


def test_of_a_long_text_the_end_stays():
    tokenizer = SentencePieceTokenizer(learnt_of(GEMMA), 4, add_bos=True, add_eos=True)
    ids = tokenizer(["latin small letter omega", ""]).numpy()
    assert ids[0, [0, 3]].tolist() == [2, 1] and ids[1].tolist() == [2, 1, 0, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": b"junk"}, "4 bytes of something else"),
        ({"model": b""}, "0 bytes"),
        ({"model": "no base64!"}, "base64"),
        ({"add_bos": True}, "the id that add_bos asks for, 0 to .*-1"),
        ({"add_eos": 1}, "Expected a bool. Received: add_eos=1"),
        ({"pad_id": 100_000}, "pad_id asks for.*100000"),
        ({"normalization": "upper"}, "none, lower, canonical. Received: normalization='upper'"),
        ({"sequence_length": 1, "add_eos": True}, "2 or more. Received: sequence_length=1"),
    ],
)
def test_what_does_not_fit_is_told(changes, message):
    with pytest.raises(MmkerasError, match=message):
        SentencePieceTokenizer(**{"model": learnt_of(SIGLIP), "sequence_length": 8, **changes})


def known_to_python(texts):
    """Texts whose letters every supported Python lowers alike: those of Unicode 16 and later became cased there."""
    newer = re.compile("[\u1c89\ua7cb-\ua7dc\U00010d50-\U00010d65\U00016ea0-\U00016eb8]")
    return [text for text in texts if not newer.search(text)]
