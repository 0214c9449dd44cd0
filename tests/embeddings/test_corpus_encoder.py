"""Rows that fail alone, servers that take fewer rows, and embeddings that are none."""

import numpy as np
import pytest

from mmkeras.errors import MmkerasError


def test_a_strict_signature_tells_each_bad_row_and_embeds_the_others(look_up):
    encoder = look_up("encode_image")
    contents = [b"\1", b"bad", b"\2", b"\3", b"\1", b"bad too", b"\2", b"\3"]
    embeddings, errors = encoder.encode(contents)
    assert errors == [None, "expected a picture", None, None, None, "expected a picture", None, None]
    assert embeddings.argmax(axis=1)[[0, 2, 3, 4, 6, 7]].tolist() == [1, 2, 3, 1, 2, 3]
    assert not embeddings[[1, 5]].any()


def test_the_tolerant_signature_is_asked_once_and_the_strict_one_why(look_up):
    encoder = look_up("encode_image_tolerant")
    _, errors = encoder.encode([b"\1", b"bad", b"\2"])
    assert errors == [None, "expected a picture", None]
    assert encoder.rows == [3, 1]
    assert encoder.modality == "image" and look_up("encode_text").modality == "text"


def test_a_limit_of_rows_is_learnt_once(look_up):
    encoder = look_up("encode_image", most=3)
    for _ in range(2):
        embeddings, errors = encoder.encode([bytes([row]) for row in range(8)])
        assert errors == [None] * 8
        assert embeddings.argmax(axis=1).tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert encoder.rows == [8, 3, 3, 2, 3, 3, 2]


def test_embeddings_that_are_none(look_up):
    embeddings, errors = look_up().encode([b"\1", b"nan"])
    assert errors == [None, "the model's embedding holds NaN or infinity"]
    assert np.isfinite(embeddings).all()
    with pytest.raises(MmkerasError, match=r"expected embeddings of unit norm.* Received: one of norm 2$"):
        look_up(norm=2.0).encode([b"\1"])
    embeddings, errors = look_up().encode([])
    assert embeddings.shape == (0, 4) and errors == []


@pytest.mark.parametrize("signature", ["encode_pixels", "describe", "nothing"])
def test_a_signature_that_takes_something_else_is_refused(look_up, signature):
    with pytest.raises(
        MmkerasError, match=f"one of encode_image, encode_image_tolerant, encode_text. Received: .*{signature}"
    ):
        look_up(signature)
