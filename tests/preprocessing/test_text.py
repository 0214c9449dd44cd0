"""The ids: against SentencePiece's own library, and equal in tf.data, in a SavedModel and eagerly."""

import io
import json
import sys

import keras
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.preprocessing import TextPreprocessor

from ..hard_texts import hard_strings, names

LENGTH = 24


@pytest.fixture(scope="module")
def preprocessor():
    return TextPreprocessor.train(names(), vocabulary_size=500, sequence_length=LENGTH)


def spelled_out(preprocessor, strings):
    """The ids by SentencePiece's Python library, cut and padded in Python."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=preprocessor.model)
    ids = np.zeros((len(strings), preprocessor.sequence_length), np.int32)
    for row, found in zip(ids, processor.encode(strings), strict=True):
        found = found[: len(row)]
        row[: len(found)] = found
    return ids


def test_ids_equal_sentencepieces_own(preprocessor):
    strings = hard_strings()
    assert len(strings) > 500
    ids = preprocessor(strings)
    assert ids.dtype == tf.int32
    assert ids.shape == (len(strings), LENGTH)
    expected = spelled_out(preprocessor, strings)
    differing = [strings[row] for row in np.flatnonzero((ids.numpy() != expected).any(axis=1))]
    assert differing == []
    assert len(np.unique(expected)) > 200


def test_equal_in_tf_data_in_a_saved_model_and_eagerly(preprocessor, tmp_path):
    strings = hard_strings()
    eager = preprocessor(strings).numpy()
    batches = tf.data.Dataset.from_tensor_slices(strings).batch(100).map(preprocessor, num_parallel_calls=2)
    assert batches.element_spec.shape.as_list() == [None, LENGTH]
    np.testing.assert_array_equal(eager, np.concatenate(list(batches.as_numpy_iterator())))
    module = tf.Module()  # tracks nothing: the tokenizer is made of constants
    fresh = TextPreprocessor(preprocessor.model, LENGTH)  # its tokenizer is first made inside the graph
    module.serve = tf.function(fresh.__call__, input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(tmp_path))
    served = tf.saved_model.load(str(tmp_path)).serve
    np.testing.assert_array_equal(eager, served(tf.constant(strings)))
    np.testing.assert_array_equal(eager, fresh(strings))
    assert served(tf.zeros([0], tf.string)).shape == (0, LENGTH)
    assert preprocessor(tf.zeros([0], tf.string)).shape == (0, LENGTH)


def test_normalisation_is_what_it_says(preprocessor):
    def same(first, second):
        first, second = preprocessor([first, second]).numpy()
        return np.array_equal(first, second)

    assert same("LATIN Small", "latin small")
    assert same("latin\tsmall\nletter\r", "latin small letter")
    assert same("  latin   small ", "latin small")
    assert same("▁latin▁small▁", "latin small")
    assert not same("CAFÉ", "café")  # beyond A-Z nothing changes
    assert not same("e\u0301", "é")


def test_padding_and_truncation(preprocessor):
    ids = preprocessor(["", " \t", "latin small letter a", "latin small letter " * 50]).numpy()
    assert (ids[:2] == 0).all()
    count = np.count_nonzero(ids[2])
    assert 0 < count < LENGTH
    assert (ids[2, count:] == 0).all()
    assert (ids[3] > 3).all()
    assert ids[3, : count - 1].tolist() == ids[2, : count - 1].tolist()
    short = TextPreprocessor(preprocessor.model, 2)(["latin small letter a"]).numpy()
    assert short.tolist() == [ids[2, :2].tolist()]


def test_ids_are_counted_before_texts_are_cut(preprocessor):
    long = "alpha beta gamma " * 20
    counted = preprocessor.count_ids(["alpha", long, ""]).tolist()
    assert counted[0] == np.count_nonzero(preprocessor(["alpha"])) and counted[2] == 0
    assert counted[1] > LENGTH == np.count_nonzero(preprocessor([long]))
    assert preprocessor.count_cut(["alpha", long, ""]) == 1
    assert preprocessor.count_ids([]).shape == (0,)


def test_unknown_characters_are_1(preprocessor):
    assert 1 in preprocessor(["\U0001f984"]).numpy()
    assert 1 not in preprocessor(["日本語 café"]).numpy()


def test_invalid_utf8_and_other_shapes(preprocessor):
    assert preprocessor(tf.constant([b"\xff\xfe a\xc3", b"\x80"])).shape == (2, LENGTH)
    loose = tf.function(preprocessor.__call__, input_signature=[tf.TensorSpec(None, tf.string)])
    assert loose(tf.constant(["a"])).shape == (1, LENGTH)
    for wrong in ("a", [["a"]]):
        with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match="shape"):
            preprocessor(wrong)
        with pytest.raises(tf.errors.InvalidArgumentError, match="shape"):
            loose(tf.constant(wrong))


def test_vocabulary(preprocessor):
    processor = sentencepiece.SentencePieceProcessor(model_proto=preprocessor.model)
    assert [processor.id_to_piece(k) for k in range(4)] == ["<pad>", "<unk>", "<s>", "</s>"]
    assert preprocessor.vocabulary_size == processor.vocab_size() <= 500
    assert preprocessor(hard_strings()).numpy().max() < preprocessor.vocabulary_size
    small = TextPreprocessor.train(["ab ab", "ba"], vocabulary_size=5000, sequence_length=4)
    assert 5 < small.vocabulary_size < 20  # the limit is an upper one


def test_training_is_deterministic_and_silent(preprocessor, capfd):
    again = TextPreprocessor.train(iter(names()), vocabulary_size=500, sequence_length=LENGTH)
    assert again.model == preprocessor.model
    assert b"tsv" not in again.model  # no temporary file's name
    assert b"/tmp" not in again.model
    other = TextPreprocessor.train(names()[:-1], vocabulary_size=500, sequence_length=LENGTH)
    assert other.model != preprocessor.model
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_a_text_longer_than_the_learners_default_counts():
    long = "q" + " b" * 3000
    assert 1 not in TextPreprocessor.train([long, "b"], 50, 4)(["q b"]).numpy()


def test_config_travels_through_keras_saving(preprocessor):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(preprocessor)))
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again, TextPreprocessor)
    assert again.model == preprocessor.model
    assert again.sequence_length == LENGTH
    np.testing.assert_array_equal(again(["latin"]), preprocessor(["latin"]))


@pytest.mark.parametrize(
    ("texts", "size", "message"),
    [
        ([], 100, r"at least one text.*texts=\[\]"),
        (["a b", "  \n"], 100, r"text 1 = '  \\n'"),
        (["a b", None], 100, "text 1 = None"),
        ("a text", 100, r"write \[texts\]"),
        (["abcdefghij"], 5, r"vocabulary_size of 15 or more.*vocabulary_size=5"),
        (["a b"], 4, "5 or more.*vocabulary_size=4"),
        (["a b"], 10.0, "vocabulary_size=10.0"),
    ],
)
def test_training_problems_are_told(texts, size, message):
    with pytest.raises(MmkerasError, match=message):
        TextPreprocessor.train(texts, size, 8)


def test_other_models_are_refused(preprocessor):
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(names()), model_writer=file, model_type="bpe", vocab_size=300, minloglevel=2
    )
    default_ids = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(names()), model_writer=default_ids, vocab_size=300, minloglevel=2
    )
    for model, message in [
        (b"junk", "4 bytes of something else"),
        (b"", "0 bytes"),
        (preprocessor.model[:-100], "bytes"),
        ("not base64!", "base64"),
        (file.getvalue(), "unigram model"),
        (default_ids.getvalue(), r"0, 1, 2, 3. Received: \(-1, 0, 1, 2\)"),
    ]:
        with pytest.raises(MmkerasError, match=message):
            TextPreprocessor(model, 8)
    for length in (0, 2.0, True):
        with pytest.raises(MmkerasError, match=f"sequence_length={length}"):
            TextPreprocessor(preprocessor.model, length)


def test_without_tensorflow_text_the_package_to_install_is_named(preprocessor, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    fresh = TextPreprocessor(preprocessor.model, LENGTH)
    with pytest.raises(ImportError, match="pip install tensorflow-text"):
        fresh(["a"])


def test_the_words_that_ids_make_up(preprocessor):
    """Joined, pieces are what the text says, a word a run of places, for any text."""
    texts = [*names(60), "GREEK SMALL LETTER OMEGA", "  two\t spaces ", "a☃b ☃", "", "▁"]
    for text, ids in zip(texts, preprocessor(texts).numpy(), strict=True):
        words = preprocessor.words(ids)
        spelt = "".join(chr(ord(one) + 32) if "A" <= one <= "Z" else one for one in text)
        spelt = [word for word in spelt.replace("▁", " ").replace("\n", " ").replace("\t", " ").split(" ") if word]
        places = [place for _, span in words for place in span]
        assert places == list(range((ids != 0).sum()))
        for position, (word, _) in enumerate(words):
            if "⁇" not in word and position + 1 < len(words):
                assert word == spelt[position]
        if ids[-1] == 0 and "⁇" not in str(words):
            assert [word for word, _ in words] == spelt
    assert [word for word, _ in preprocessor.words(preprocessor(["a☃b ☃"])[0])] == ["a⁇b", "⁇"]
    assert preprocessor.words(np.array([2, 1, 0, 0])) == [("⁇", range(1, 2))]
