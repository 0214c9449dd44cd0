import numpy as np
import pytest

from mmkeras.layers import TokenAndPositionEmbedding

from ..model_checks import check_layer, no_user_warning

IDS = np.array([[4, 1, 0], [2, 2, 2]], "int32")
ARGUMENTS = {"vocabulary_size": 5, "sequence_length": 3, "width": 4}


def test_is_a_sound_layer(tmp_path):
    check_layer(TokenAndPositionEmbedding, ARGUMENTS, [IDS], (2, 3, 4), tmp_path, weights=2)


def test_with_types_all_tokens_are_of_the_first(tmp_path):
    check_layer(TokenAndPositionEmbedding, {**ARGUMENTS, "types": 2}, [IDS], (2, 3, 4), tmp_path, weights=3)
    layer, without = TokenAndPositionEmbedding(**ARGUMENTS, types=2), TokenAndPositionEmbedding(**ARGUMENTS)
    layer.build(IDS.shape)
    without.build(IDS.shape)
    without.set_weights([layer.position_embedding, layer.token_embedding.embeddings])
    np.testing.assert_allclose(
        layer(IDS) - without(IDS), np.broadcast_to(layer.type_embedding[0], (2, 3, 4)), atol=1e-7
    )
    with pytest.raises(ValueError, match="Received: types=-1"):
        TokenAndPositionEmbedding(**ARGUMENTS, types=-1)


def test_is_the_sum_of_two_table_rows():
    layer = TokenAndPositionEmbedding(**ARGUMENTS)
    out = np.asarray(layer(IDS))
    tokens, positions = np.asarray(layer.token_embedding.embeddings), np.asarray(layer.position_embedding)
    np.testing.assert_allclose(out, tokens[IDS] + positions[None], rtol=1e-6)


def test_a_shorter_sequence_takes_the_first_positions():
    layer = TokenAndPositionEmbedding(**ARGUMENTS)
    np.testing.assert_array_equal(layer(IDS[:, :2]), layer(IDS)[:, :2])


def test_ids_of_64_bits_are_the_same_ids():
    layer = TokenAndPositionEmbedding(**ARGUMENTS)
    np.testing.assert_array_equal(layer(IDS.astype("int64")), layer(IDS))


def test_tables_of_one_shape_start_different():
    layer = TokenAndPositionEmbedding(3, 3, 4)
    with no_user_warning():
        layer.build((None, 3))
    assert np.abs(layer.token_embedding.embeddings - layer.position_embedding).max() > 1e-3


def test_a_longer_sequence_is_refused():
    with pytest.raises(ValueError, match="Expected at most 3 token ids a row. Received: 4"):
        TokenAndPositionEmbedding(**ARGUMENTS)(np.zeros((1, 4), "int32"))


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_size_of_0_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}=0"):
        TokenAndPositionEmbedding(**{**ARGUMENTS, name: 0})
