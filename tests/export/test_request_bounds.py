"""An exported graph bounds what it is asked, whatever serves it, and cuts no text."""

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.export import export_saved_model, request_bounds
from mmkeras.export.request_bounds import RequestBounds
from mmkeras.preprocessing import TextPreprocessor
from mmkeras.serving import Client, EmbeddedServer
from mmkeras.serving.server import request_limits
from tests.hard_texts import hard_strings


def in_graph(function, value):
    return tf.function(function)(value)


@pytest.mark.parametrize("run", [lambda function, value: function(value), in_graph], ids=["eager", "graph"])
def test_what_is_within_the_bounds_is_handed_on(run):
    bounds = RequestBounds(max_rows=3, max_text_bytes=4)
    assert run(bounds.texts, tf.constant(["", "1234", "äö"])).numpy().tolist() == [b"", b"1234", "äö".encode()]
    assert run(bounds.texts, tf.constant([], tf.string)).shape == (0,)
    assert run(bounds.rows, tf.ones([3, 2])).numpy().tolist() == [[1, 1]] * 3
    for values, text in (
        (["a"] * 4, "Task size 4 is larger than maximum input batch size 3"),
        (["1234", "12345", "123456"], "Expected texts of at most 4 bytes. Received: text of row 1 has 5 bytes"),
        (["", "", "äöü"], "Expected texts of at most 4 bytes. Received: text of row 2 has 6 bytes"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=text):
            run(bounds.texts, tf.constant(values))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Task size 5 is larger"):
        run(bounds.rows, tf.ones([5, 2]))


def test_they_are_the_servers_own():
    assert request_bounds.MAX_ROWS == request_limits.MAX_ROWS
    assert request_bounds.MAX_TEXT_BYTES == request_limits.MAX_TEXT_BYTES


@pytest.mark.parametrize("arguments", [{"max_rows": 0}, {"max_text_bytes": 0}, {"max_rows": True}])
def test_bounds_out_of_range(build_labelled_model, tmp_path, arguments):
    (name,) = arguments
    with pytest.raises(MmkerasError, match=f"Expected {name} to be an int of at least 1"):
        export_saved_model(build_labelled_model(), tmp_path / "1", **arguments)
    assert not (tmp_path / "1").exists()


def test_a_client_learns_the_rows_of_a_server_without_limits_from_the_graph(build_labelled_model, tmp_path):
    model = build_labelled_model()
    export_saved_model(model, tmp_path / "small" / "1", max_rows=5, max_text_bytes=100)
    texts = [f"omega {number}" for number in range(23)]
    with (
        EmbeddedServer(tmp_path / "small", max_rows=None, max_text_bytes=None) as server,
        Client(server.address, "small", timeout=30) as client,
    ):
        np.testing.assert_allclose(client.encode_text(texts), model.encode_text(texts), atol=1e-6)
        with pytest.raises(MmkerasError, match="text of row 2 has 101 bytes"):
            client.encode_text(["a", "b", "c" * 101])


@pytest.fixture(scope="module")
def of_letters():
    """A tokenizer that knows "a" at a word's start, and pairs of it."""
    from mmkeras.preprocessing.sentencepiece_message import model_message

    model = model_message().FromString(TextPreprocessor.train(["aa aaa b"] * 9, 12, 4).model)
    del model.pieces[4:]
    for piece, score in (("▁a", -1), ("▁aa", -1), ("aa", -1), ("▁", -100), ("a", -100), ("b", -100)):
        model.pieces.add(piece=piece, score=score)
    return TextPreprocessor(model.SerializeToString(), 1)


@pytest.mark.parametrize("length", [10, 1000, 65_536, 200_000])
def test_no_prefix_of_a_text_says_what_its_first_id_is(of_letters, length):
    """Why no text is cut: the last letter decides about the first piece, at any distance."""
    even, odd = of_letters(["a" * length, "a" * (length + 1)]).numpy()[:, 0].tolist()
    assert of_letters.words([even]) == [("aa", range(1))]
    assert of_letters.words([odd]) == [("a", range(1))]


def test_ids_are_those_of_the_uncut_tokenizer(build_labelled_model, labelled_version):
    """Texts up to the limit, of every kind: embeddings are those of the model outside of the graph."""
    model = build_labelled_model()
    random = np.random.default_rng(0)
    letters = [chr(code) for code in random.integers(0x21, 0xD7FF, 20_000)]
    texts = [
        *hard_strings()[:200],
        "x" * 65_536,
        "".join(letters),
        " ".join(letters[:16_000]),
        "omega " * 10_922,
        " " * 65_000 + "omega",
        "ω" * 32_768,
    ]
    assert max(len(text.encode()) for text in texts) == 65_536
    answer = tf.saved_model.load(str(labelled_version)).signatures["encode_text"](text=tf.constant(texts))
    np.testing.assert_allclose(answer["embedding"], model.encode_text(texts), atol=1e-6)
