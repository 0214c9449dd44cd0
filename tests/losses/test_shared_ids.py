import math

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.losses import InfoNCE, Triplet, info_nce, sample_hard_negatives, share_id, triplet_loss

# Pictures 0 and 1 have one caption, 7; picture 1 has another one too, 1; picture 2 its own.
IMAGE_ID = np.array([[7, -1], [1, 7], [2, -1]], "int64")
TEXT_ID = np.array([7, 1, 2], "int64")  # of the rows' texts: the shared one, picture 1's own, picture 2's own
RIGHT = [[True, False, False], [True, True, False], [False, False, True]]


def test_who_shares_an_id():
    assert share_id([3, 4, 3]).numpy().tolist() == [[True, False, True], [False, True, False], [True, False, True]]
    assert share_id(IMAGE_ID, TEXT_ID).numpy().tolist() == RIGHT
    assert share_id(TEXT_ID, IMAGE_ID).numpy().tolist() == np.transpose(RIGHT).tolist()


def test_what_fills_up_is_no_id():
    assert share_id([[1, -1], [2, -1]], [[3, -1], [1, -1]]).numpy().tolist() == [[False, True], [False, False]]


def test_several_ids_by_hand():
    """All embeddings in one point, temperature 1: each sum is over as many rows as are no wrong answers, and itself.

    Picture 0 has the wrong texts 1 and 2, picture 1 only text 2, picture 2 texts 0 and 1; text 0 has the wrong picture
    2 alone, text 1 pictures 0 and 2, text 2 pictures 0 and 1.
    """
    same = np.ones((3, 1), "float32")
    expected = [(math.log(3) + math.log(2)) / 2, (math.log(2) + math.log(3)) / 2, math.log(3)]
    np.testing.assert_allclose(info_nce(same, same, 1.0, IMAGE_ID, TEXT_ID), expected, rtol=1e-6)
    loss = InfoNCE(reduction=None)(share_id(IMAGE_ID, TEXT_ID), (same, same, 1.0))
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


@pytest.mark.parametrize(("negatives", "expected"), [("sum", [0.6, 0.6, 0.8]), ("hardest", [0.4, 0.4, 0.4])])
def test_several_ids_of_the_triplet_loss_by_hand(negatives, expected):
    """All embeddings in one point: a wrong answer costs the margin, .2, in its direction."""
    same = np.ones((3, 1), "float32")
    np.testing.assert_allclose(triplet_loss(same, same, 0.2, negatives, IMAGE_ID, TEXT_ID), expected, rtol=1e-5)
    loss = Triplet(0.2, negatives, reduction=None)(share_id(IMAGE_ID, TEXT_ID), (same, same))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_negatives_are_drawn_among_the_wrong_answers():
    related = share_id(IMAGE_ID, TEXT_ID)
    drawn = [sample_hard_negatives(tf.zeros((3, 3)), related, seed)[0].numpy() for seed in range(40)]
    assert [set(column) for column in np.transpose(drawn).tolist()] == [{1, 2}, {2}, {0, 1}]
    drawn = [sample_hard_negatives(tf.zeros((3, 3)), tf.transpose(related), seed)[0].numpy() for seed in range(40)]
    assert [set(column) for column in np.transpose(drawn).tolist()] == [{2}, {0, 2}, {0, 1}]
