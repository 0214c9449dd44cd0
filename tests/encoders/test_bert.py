import numpy as np
import pytest

from mmkeras.encoders import build_text_encoder, load_bert
from mmkeras.errors import MmkerasError
from mmkeras.preprocessing.text import BEGIN

from ..model_checks import check_model
from .published_transformers import bert_shapes, bert_tokens, random_arrays

SETTINGS = {"vocabulary_size": 12, "sequence_length": 9, "width": 8, "depth": 2, "heads": 2, "dropout": 0.0}
IDS = np.array([[4, 9, 5, 7, 3], [8, 4, 2, 0, 0], [6, 0, 0, 0, 0], [0, 0, 0, 0, 0]], "int32")


def build(**settings):
    return build_text_encoder("bert", **{**SETTINGS, "embedding_dim": 5, **settings})


def random_encoder(**settings):
    """An encoder with random weights, biases too: at the start no text differs much from another."""
    encoder = build(**settings)
    generator = np.random.default_rng(0)
    encoder.set_weights([generator.normal(size=w.shape, scale=0.5) for w in encoder.get_weights()])
    return encoder


def test_is_a_sound_model(tmp_path):
    shapes = {"tokens": (4, 1 + 5, 8), "embedding": (4, 5)}
    check_model(lambda: build(depth=1), IDS, shapes, tmp_path, 3 + 2 + 16 + 2, ["key/bias"], half=("tokens",))
    model = build()
    assert (model.input.name, model.input.dtype, model.input.shape) == ("token_ids", "int32", (None, None))


@pytest.mark.parametrize("class_id", [2, None])
def test_agrees_with_numpy_on_published_weights(class_id):
    arrays = random_arrays(bert_shapes(width=8, depth=2, vocabulary=12))
    encoder = build(class_id=class_id)
    load_bert(encoder, arrays)
    ids = np.concatenate([np.full((3, 1), 2), IDS[:3]], axis=1)
    encoded = encoder(ids if class_id is None else IDS[:3])
    tokens = bert_tokens(arrays, ids, heads=2, layers=range(2))
    np.testing.assert_allclose(encoded["tokens"], tokens, rtol=1e-4, atol=1e-4)
    projection = encoder.get_layer("projection")
    embedding = tokens[:, 0] @ np.asarray(projection.kernel) + np.asarray(projection.bias)
    embedding /= np.linalg.norm(embedding, axis=-1, keepdims=True)
    np.testing.assert_allclose(encoded["embedding"], embedding, rtol=1e-4, atol=1e-4)


def test_the_class_token_stands_before_the_ids():
    ids = build().ids_of_tokens(IDS)
    assert ids.numpy()[1].tolist() == [BEGIN, 8, 4, 2, 0, 0]  # which the preprocessor reserves
    assert build(class_id=None).ids_of_tokens(IDS).numpy().tolist() == IDS.tolist()
    assert build(class_id=11).ids_of_tokens(IDS)[3].numpy().tolist() == [11, 0, 0, 0, 0, 0]


def test_more_padding_changes_nothing():
    encoder = random_encoder()
    short, longer = encoder(IDS), encoder(np.pad(IDS, ((0, 0), (0, 4))))
    np.testing.assert_allclose(longer["embedding"], short["embedding"], atol=2e-6)
    real = encoder.ids_of_tokens(IDS) != 0
    np.testing.assert_allclose(longer["tokens"][:, :6][real], short["tokens"][real], atol=2e-5)


def test_every_real_token_and_its_place_counts():
    encoder = random_encoder()
    before = np.asarray(encoder(IDS)["embedding"])
    for row, length in enumerate([5, 3, 1]):
        for position in range(length):
            changed = IDS.copy()
            changed[row, position] = 10
            difference = np.abs(np.asarray(encoder(changed)["embedding"]) - before)
            assert difference[row].max() > 1e-3, (row, position)
            assert np.delete(difference, row, axis=0).max() < 2e-6
    assert np.abs(encoder(IDS[:1, ::-1])["embedding"] - before[:1]).max() > 1e-3


def test_an_empty_text_is_its_class_token():
    encoder = random_encoder()
    np.testing.assert_allclose(encoder(IDS[3:])["embedding"], encoder(IDS[3:, :0])["embedding"], atol=1e-6)
    assert np.isfinite(random_encoder(class_id=None)(IDS[3:])["embedding"]).all()


def test_a_text_may_be_as_long_as_it_says_and_no_longer():
    assert build()(np.ones((1, 9), "int32"))["tokens"].shape == (1, 10, 8)
    with pytest.raises(ValueError, match="Expected at most 10 token ids a row. Received: 11"):
        build()(np.ones((1, 10), "int32"))


def test_dropout_works_in_training_only():
    encoder = build(dropout=0.5)
    np.testing.assert_array_equal(encoder(IDS)["tokens"], encoder(IDS)["tokens"])
    one, other = (np.asarray(encoder(IDS, training=True)["embedding"]) for _ in range(2))
    assert np.abs(one - other).max() > 1e-2


def test_the_projection_may_end_in_batch_statistics():
    assert build(batch_norm=True).get_layer("projection_norm")
    assert build(embedding_dim=None)(IDS)["embedding"].shape == (4, 8)


def test_the_mean_of_all_tokens_may_be_the_embedding():
    encoder = random_encoder(pooling="mean", embedding_dim=None, activation="relu", epsilon=1e-5)
    encoded = encoder(IDS)
    for row, length in enumerate([6, 4, 2, 1]):  # the class token among them
        mean = np.mean(encoded["tokens"][row, :length], axis=0)
        np.testing.assert_allclose(encoded["embedding"][row], mean, rtol=1e-4, atol=1e-5)
    longer = encoder(np.pad(IDS, ((0, 0), (0, 3))))["embedding"]
    np.testing.assert_allclose(longer, encoded["embedding"], rtol=1e-4, atol=1e-5)
    with pytest.raises(MmkerasError, match="'class' or 'mean'. Received: pooling='last'"):
        build(pooling="last")
