"""The poolings of published text towers, and what they say of padding."""

import keras
import numpy as np
import pytest

from mmkeras.encoders import build_text_encoder
from mmkeras.errors import MmkerasError

from ..model_checks import check_model

IDS = np.array([[4, 9, 5, 11, 3], [8, 11, 2, 0, 0], [6, 0, 11, 11, 11]], "int32")
ENDS = np.array([3, 1, 2])


def build(**settings):
    base = {"vocabulary_size": 12, "sequence_length": 5, "width": 8, "depth": 1, "heads": 2, "embedding_dim": 5}
    return build_text_encoder("transformer", **{**base, "dropout": 0.0, "mlp_ratio": 1.5, **settings})


@pytest.mark.parametrize("settings", [{"pooling": "end", "end_id": 11}, {"pooling": "last"}])
def test_is_a_sound_model(settings, tmp_path):
    shapes = {"tokens": (3, 5, 8), "embedding": (3, 5)}
    check_model(lambda: build(**settings), IDS, shapes, tmp_path, 2 + 16 + 2 + 1, ["key/bias"], half=("tokens",))


@pytest.mark.parametrize("end_id", [11, None])
def test_what_stands_behind_the_end_of_a_text_changes_nothing(end_id, tmp_path):
    encoder = build(pooling="end", end_id=end_id, embedding_dim=None)
    encoded = encoder(IDS)
    np.testing.assert_array_equal(encoded["embedding"], encoded["tokens"].numpy()[np.arange(3), ENDS])
    changed = np.where(np.arange(5) > ENDS[:, None], 1, IDS)
    np.testing.assert_array_equal(encoder(changed)["embedding"], encoded["embedding"])
    encoder.save(tmp_path / "encoder.keras")
    for one in (encoder, keras.saving.load_model(tmp_path / "encoder.keras")):
        assert not one.padding_counts and one.end_token.end_id == end_id
        np.testing.assert_array_equal(one.mask_of_tokens(IDS), np.arange(5) <= ENDS[:, None])
    before = IDS.copy()
    before[2, 1] = 1  # the 0 in there is an id like others
    assert np.abs(encoder(before)["embedding"] - encoded["embedding"])[2].max() > 1e-3


def test_padding_counts_where_the_last_place_is_the_embedding(tmp_path):
    encoder = build(pooling="last", embedding_dim=None)
    encoded = encoder(IDS)
    np.testing.assert_array_equal(encoded["embedding"], encoded["tokens"][:, -1])
    assert encoder.input.shape == (None, 5)
    encoder.save(tmp_path / "encoder.keras")
    for one in (encoder, keras.saving.load_model(tmp_path / "encoder.keras")):
        assert one.padding_counts and one.end_token is None
        assert np.asarray(one.mask_of_tokens(IDS)).all()
    padded = np.where(IDS == 0, 1, IDS)
    assert np.abs(encoder(padded)["embedding"] - encoded["embedding"])[1:].max(axis=1).min() > 1e-3


def test_padding_is_id_0_of_all_other_encoders():
    encoder = build()
    assert not encoder.padding_counts and encoder.end_token is None
    np.testing.assert_array_equal(encoder.mask_of_tokens(IDS), IDS != 0)
    bert = build_text_encoder("bert", vocabulary_size=12, sequence_length=5, width=8, depth=1, heads=2)
    np.testing.assert_array_equal(bert.mask_of_tokens(IDS), np.pad(IDS != 0, ((0, 0), (1, 0)), constant_values=True))


@pytest.mark.parametrize("settings", [{"pooling": "class"}, {"end_id": 3}, {"pooling": "last", "end_id": 3}])
def test_other_poolings_are_refused(settings):
    with pytest.raises(MmkerasError, match="Expected a pooling of 'mean', 'end' or 'last', and an end_id with 'end'"):
        build(**settings)
