import numpy as np
import pytest
import tensorflow as tf

from mmkeras.layers import PrependToken

IDS = np.array([[7, 300, 0], [0, 0, 0]], "int32")


def test_one_id_stands_before_every_row():
    assert PrependToken(2)(IDS).numpy().tolist() == [[2, 7, 300, 0], [2, 0, 0, 0]]
    assert PrependToken(2)(IDS[:, :0]).numpy().tolist() == [[2], [2]]
    assert PrependToken(30521)(IDS.astype("int64")).dtype == tf.int64
    assert PrependToken.from_config(PrependToken(5).get_config()).token_id == 5


def test_ids_stay_integers_under_mixed_precision():
    assert PrependToken(2, dtype="mixed_float16")(IDS).dtype == tf.int32


def test_a_negative_id_is_refused():
    with pytest.raises(ValueError, match="Received: token_id=-1"):
        PrependToken(-1)
