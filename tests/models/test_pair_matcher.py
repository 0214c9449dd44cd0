"""PairMatcher: scores by `match` and the embeddings, of pictures and texts that were encoded once."""

import errno

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.errors import MmkerasError
from mmkeras.models.pair_matcher import PairMatcher

from .small_soft_mask import IMAGES, TOKEN_IDS, build


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_scores_any_pairs_by_match_and_the_cosine(policy):
    keras.config.set_dtype_policy(policy)
    model = build(compiled=False, fusion={"initializer_range": 0.5}, negatives_temperature=0.4)
    matcher = PairMatcher(model, IMAGES, TOKEN_IDS, batch_size=4)
    pictures, texts = np.divmod(np.arange(36), 6)
    scores = matcher(pictures, texts)
    assert scores.dtype == "float32" and np.ptp(scores) > 0.1
    expected = np.asarray(model.match(IMAGES[pictures], TOKEN_IDS[texts]))
    tolerance = 1e-5 if policy == "float32" else 2e-2
    cosine = (model.encode_image(IMAGES)[pictures] * model.text_encoder(TOKEN_IDS)["embedding"].numpy()[texts]).sum(1)
    log_odds = scores - cosine / 0.07  # where the temperature of the contrast starts
    np.testing.assert_allclose(matcher.log_odds(pictures, texts), log_odds, atol=1e-4)
    np.testing.assert_allclose(1 / (1 + np.exp(-log_odds)), expected, atol=tolerance)
    np.testing.assert_allclose(matcher.image_embedding, model.encode_image(IMAGES), atol=tolerance)
    text_embedding = model.text_encoder(TOKEN_IDS)["embedding"]
    np.testing.assert_allclose(matcher.text_embedding, text_embedding, atol=tolerance)


@pytest.fixture
def eager():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_every_picture_and_text_is_encoded_once(monkeypatch, eager):
    model, rows = build(compiled=False), []
    for encoder in (model.image_encoder, model.text_encoder):
        call = encoder.call
        seen = lambda batch, call=call, **k: (rows.append(len(batch)), call(batch, **k))[1]  # noqa: E731
        monkeypatch.setattr(encoder, "call", seen)
    matcher = PairMatcher(model, IMAGES, TOKEN_IDS, batch_size=4)
    matcher([0, 1], [2, 3])
    matcher([5, 5, 0], [5, 4, 2])
    assert rows == [4, 2, 4, 2]


def test_pairs_that_are_certain_do_not_tie():
    model = build(compiled=False, fusion={"initializer_range": 0.5})
    head = model.fusion.matching_head
    head.kernel.assign(head.kernel * 1e4)
    head.bias.assign([0.0, 1e6])
    pictures = np.arange(6)
    assert set(np.asarray(model.match(IMAGES, TOKEN_IDS)).tolist()) == {1.0}
    assert len(set(PairMatcher(model, IMAGES, TOKEN_IDS)(pictures, pictures).tolist())) == 6


def test_pictures_and_texts_are_checked():
    model = build(compiled=False)
    with pytest.raises(MmkerasError, match="Received: images of shape"):
        model.matcher(IMAGES[:, :4], ["a"])
    with pytest.raises(MmkerasError, match="Expected a list of strings"):
        model.matcher(IMAGES, "a")


def test_a_full_disk_is_told(monkeypatch):
    model = build(compiled=False)

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def write(self, content):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", Full)
    with pytest.raises(MmkerasError, match="The tokens of 6 rows could not be kept in .*No space left"):
        PairMatcher(model, IMAGES, TOKEN_IDS)
