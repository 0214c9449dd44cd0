import numpy as np
import pytest

from mmkeras.layers import EndTokenPooling, LastTokenPooling

IDS = np.array([[7, 3, 9, 2, 9], [9, 1, 0, 4, 5], [1, 2, 3, 8, 0]])
TOKENS = np.arange(30, dtype="float32").reshape(3, 5, 2)


@pytest.mark.parametrize("end_id, places", [(9, [2, 0, 0]), (None, [2, 0, 3]), (0, [0, 2, 4])])
def test_a_text_is_pooled_where_it_ends(end_id, places):
    layer = EndTokenPooling.from_config(EndTokenPooling(end_id).get_config())
    np.testing.assert_array_equal(layer(TOKENS, IDS), TOKENS[np.arange(3), places])
    np.testing.assert_array_equal(layer.mask_of(IDS), np.arange(5) <= np.array(places)[:, None])


def test_a_negative_id_is_refused():
    with pytest.raises(ValueError, match="Received: end_id=-1"):
        EndTokenPooling(-1)


def test_the_last_place_counts_whatever_stands_there():
    np.testing.assert_array_equal(LastTokenPooling()(TOKENS), TOKENS[:, -1])
