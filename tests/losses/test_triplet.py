import numpy as np
import pytest

from mmkeras.losses import Triplet, triplet_loss

from ..pytorch.installed import import_torch

# Cosines of three pairs, rows are pictures: [[.8, .7, .1], [.3, .6, .65], [.2, .5, .9]].
IMAGES = np.eye(3, dtype="float32")
TEXTS = np.array([[0.8, 0.3, 0.2], [0.7, 0.6, 0.5], [0.1, 0.65, 0.9]], "float32")


@pytest.mark.parametrize(
    "negatives, worked_out",
    [
        # image to text: .1, 0 | 0, .25 | 0, 0; text to image: 0, 0 | .3, .1 | 0, 0
        ("sum", [0.1 + 0.0, 0.25 + 0.4, 0.0]),
        ("hardest", [0.1 + 0.0, 0.25 + 0.3, 0.0]),
        # the second row's .65 is closer than its own .6, so .3 counts; its column's .7 is, so .5 counts
        ("semi_hard", [0.1 + 0.0, 0.0 + 0.1, 0.0]),
    ],
)
def test_three_pairs_by_hand(negatives, worked_out):
    np.testing.assert_allclose(triplet_loss(IMAGES, TEXTS, 0.2, negatives), worked_out, atol=1e-6)


def test_semi_hard_takes_the_farthest_where_all_are_closer():
    texts = np.array([[0.1, 0, 0], [0.5, 0.9, 0], [0.4, 0, 0.9]], "float32")  # row 0: .1 against .5 and .4
    found = triplet_loss(IMAGES, texts, 0.2, "semi_hard")
    np.testing.assert_allclose(found[0], (0.2 - 0.1 + 0.4) + (0.2 - 0.1 + 0.0), atol=1e-6)


def test_pairs_of_one_picture_are_no_negatives():
    # Rows 0 and 1 are one picture: nothing but row 2 is left for them.
    found = triplet_loss(IMAGES, TEXTS, 0.2, "hardest", image_id=np.array([7, 7, 9]))
    np.testing.assert_allclose(found, [0.0, 0.25 + 0.1, 0.0], atol=1e-6)
    assert np.all(np.asarray(triplet_loss(IMAGES, TEXTS, 0.2, "sum", image_id=np.array([7, 7, 7]))) == 0)
    for negatives in ("sum", "hardest", "semi_hard"):
        assert np.asarray(triplet_loss(IMAGES[:1], TEXTS[:1], 0.2, negatives)).tolist() == [0.0]


@pytest.mark.parametrize("negatives", ["sum", "hardest", "semi_hard"])
def test_random_pairs_as_a_plain_loop_has_them(negatives):
    generator = np.random.default_rng(0)
    image, text = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in generator.normal(size=(2, 40, 5)))
    image_id = generator.integers(0, 25, 40)
    found = triplet_loss(image.astype("float32"), text.astype("float32"), 0.3, negatives, image_id)
    np.testing.assert_allclose(found, plain(image @ text.T, image_id, 0.3, negatives), atol=1e-5)
    loss = Triplet(0.3, negatives)(image_id + 2**53, (image.astype("float32"), text.astype("float32")))
    np.testing.assert_allclose(loss, np.mean(found), rtol=1e-5)


def plain(similarity, image_id, margin, negatives):
    losses = np.zeros(len(similarity))
    for scores in (similarity, similarity.T):
        for row in range(len(scores)):
            others = [scores[row, column] for column in range(len(scores)) if image_id[column] != image_id[row]]
            positive = scores[row, row]
            if negatives == "semi_hard":
                no_closer = [other for other in others if other <= positive]
                others = [max(no_closer)] if no_closer else [min(others)]
            hinges = [max(0.0, margin - positive + other) for other in others]
            losses[row] += sum(hinges) if negatives == "sum" else max(hinges)
    return losses


def test_all_embeddings_in_one_point_lose_twice_the_margin():
    point = np.tile(np.array([[0.6, 0.8]], "float32"), (5, 1))
    np.testing.assert_allclose(triplet_loss(point, point, 0.2, "hardest"), np.full(5, 0.4), atol=1e-6)


def test_equal_in_pytorch_with_its_gradient():
    torch = import_torch()
    import tensorflow as tf

    generator = np.random.default_rng(1)
    image, text = (
        (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("float32")
        for rows in generator.normal(size=(2, 16, 8))
    )
    theirs = [torch.tensor(rows, requires_grad=True) for rows in (image, text)]
    scores = theirs[0] @ theirs[1].T
    hinge = (0.2 - scores.diagonal()[:, None] + scores).clamp(min=0).fill_diagonal_(0)
    back = (0.2 - scores.diagonal()[None, :] + scores).clamp(min=0).fill_diagonal_(0)
    (hinge.max(dim=1).values + back.max(dim=0).values).mean().backward()
    ours = [tf.Variable(rows) for rows in (image, text)]
    with tf.GradientTape() as tape:
        loss = Triplet(0.2, "hardest")(np.arange(16), tuple(tf.convert_to_tensor(rows) for rows in ours))
    for gradient, other in zip(tape.gradient(loss, ours), theirs, strict=True):
        np.testing.assert_allclose(gradient, other.grad.numpy(), atol=1e-6)


@pytest.mark.parametrize("arguments, told", [({"margin": 0.0}, "margin"), ({"negatives": "max"}, "hardest")])
def test_what_is_not_allowed_is_refused(arguments, told):
    with pytest.raises(ValueError, match=told):
        Triplet(**arguments)


def test_it_is_rebuilt_from_its_config():
    config = Triplet(0.5, "sum").get_config()
    assert Triplet.from_config(config).get_config() == config
