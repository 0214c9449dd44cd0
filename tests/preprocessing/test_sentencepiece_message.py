"""The message of a SentencePiece model, read without the code that sentencepiece generated for one protobuf."""

import importlib.util

import pytest

from mmkeras.preprocessing import TextPreprocessor
from mmkeras.preprocessing.sentencepiece_message import model_message


def test_a_model_is_written_as_it_was_read():
    model = TextPreprocessor.train(["red dog", "green cat", "blue bird"] * 9, 40, 8).model
    message = model_message().FromString(model)
    assert [piece.piece for piece in message.pieces][:4] == ["<pad>", "<unk>", "<s>", "</s>"]
    assert message.trainer_spec.vocab_size == len(message.pieces)
    assert message.SerializeToString(deterministic=True) == model


def test_what_sentencepiece_lacks_is_told(monkeypatch, tmp_path):
    empty = tmp_path / "empty.py"
    empty.write_text("DESCRIPTOR = None\n")
    for spec, reason in ((None, "is missing"), (importlib.util.spec_from_file_location("x", empty), "no description")):
        monkeypatch.setattr(importlib.util, "find_spec", lambda _, spec=spec: spec)
        with pytest.raises(ImportError, match=reason):
            model_message.__wrapped__()
