import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from mmkeras.encoders import build_text_encoder
from mmkeras.errors import MmkerasError

from ..model_checks import check_model

SETTINGS = {
    "bag_of_tokens": {"width": 6, "dropout": 0.0, "token_dropout": 0.0},
    "transformer": {"width": 8, "depth": 2, "heads": 2, "dropout": 0.0},
    "text_cnn": {"width": 8, "kernel_sizes": (1, 2, 3, 4), "filters": 3, "dropout": 0.0},
    "gru": {"width": 8, "units": 6, "dropout": 0.0},
}
TOKEN_WIDTH = {"bag_of_tokens": 6, "transformer": 8, "text_cnn": 12, "gru": 6}
WEIGHTS = {"bag_of_tokens": 1 + 1, "transformer": 2 + 2 * 16 + 2 + 1, "text_cnn": 1 + 4 * 2 + 1, "gru": 1 + 3 + 1}
IDS = np.array([[4, 9, 5, 7, 3], [8, 4, 2, 0, 0], [6, 0, 0, 0, 0], [0, 0, 0, 0, 0]], "int32")
every_kind = pytest.mark.parametrize("kind", SETTINGS)


def build(kind, **settings):
    settings = {"vocabulary_size": 12, "sequence_length": 9, "embedding_dim": 5, **SETTINGS[kind], **settings}
    return build_text_encoder(kind, **settings)


def train(encoder, steps=5):
    """Train towards random directions: biases leave 0, batch statistics leave their start."""
    generator = np.random.default_rng(0)
    optimizer = keras.optimizers.Adam(0.05)
    for _ in range(steps):
        ids = generator.integers(1, 12, (8, 5)) * (np.arange(5) < generator.integers(1, 6, (8, 1)))
        target = generator.normal(size=(8, 5)).astype("float32")
        with tf.GradientTape() as tape:
            loss = ops.sum(encoder(ids, training=True)["embedding"] * target)
        optimizer.apply(
            tape.gradient(loss, [v.value for v in encoder.trainable_variables]), encoder.trainable_variables
        )
    return encoder


@every_kind
def test_is_a_sound_model(kind, tmp_path):
    shapes = {"tokens": (4, 5, TOKEN_WIDTH[kind]), "embedding": (4, 5)}
    without_gradient = ["key/bias"] if kind == "transformer" else []
    check_model(lambda: build(kind), IDS, shapes, tmp_path, WEIGHTS[kind], without_gradient, half=("tokens",))


def test_hidden_layers_stand_between_the_pooled_maps_and_the_projection(tmp_path):
    shapes = {"tokens": (4, 5, 12), "embedding": (4, 5)}
    weights = WEIGHTS["text_cnn"] + 2 + 2 * 2  # the norm and two dense layers
    check_model(lambda: build("text_cnn", hidden=(7, 6)), IDS, shapes, tmp_path, weights, half=("tokens",))
    assert build("text_cnn", hidden=(7, 6)).get_layer("projection").input.shape == (None, 6)


@every_kind
def test_inputs_and_outputs_have_the_names_of_the_seam(kind):
    model = build(kind)
    assert (model.input.name, model.input.dtype, model.input.shape) == ("token_ids", "int32", (None, None))
    assert model.name == "text_encoder"
    assert set(model.output) == {"tokens", "embedding"}


@every_kind
@pytest.mark.parametrize("trained", [False, True])
def test_more_padding_changes_nothing(kind, trained):
    model = train(build(kind)) if trained else build(kind)
    short = model(IDS)
    for more in (1, 4):
        longer = model(np.pad(IDS, ((0, 0), (0, more))))
        np.testing.assert_allclose(longer["embedding"], short["embedding"], atol=2e-6)
        real = IDS > 0
        np.testing.assert_allclose(longer["tokens"][:, :5][real], short["tokens"][real], atol=2e-6)


@every_kind
def test_a_text_does_not_know_its_batch(kind):
    model = train(build(kind))
    together = np.asarray(model(IDS)["embedding"])
    for row, length in enumerate([5, 3, 1]):
        alone = model(IDS[row : row + 1, :length])["embedding"]
        np.testing.assert_allclose(alone[0], together[row], atol=2e-6)


@every_kind
def test_every_real_token_counts(kind):
    """Another token at any real position, the last one too, gives another embedding."""
    model = train(build(kind))
    before = np.asarray(model(IDS)["embedding"])
    for row, length in enumerate([5, 3, 1]):
        for position in range(length):
            changes = []
            for other in (1, 10, 11):
                changed = IDS.copy()
                changed[row, position] = other
                difference = np.abs(np.asarray(model(changed)["embedding"]) - before)
                changes.append(difference[row].max())
                assert np.delete(difference, row, axis=0).max() < 2e-6
            assert max(changes) > 1e-3, (row, position)


@pytest.mark.parametrize("kind", [kind for kind in SETTINGS if kind != "bag_of_tokens"])
def test_the_order_of_tokens_counts(kind):
    model = train(build(kind))
    assert np.abs(model(IDS[:1])["embedding"] - model(IDS[:1, ::-1])["embedding"]).max() > 1e-3


def test_a_bag_of_tokens_is_the_mean_of_its_tokens():
    model = build("bag_of_tokens", embedding_dim=None)
    table = np.asarray(model.token_embedding.embeddings)
    np.testing.assert_allclose(model(IDS)["embedding"][1], table[[8, 4, 2]].mean(axis=0), atol=1e-7)
    np.testing.assert_array_equal(model(IDS)["embedding"][3], np.zeros(6))
    hidden = build("bag_of_tokens", embedding_dim=None, token_dropout=0.5)(IDS, training=True)["tokens"]
    lost = (np.asarray(hidden) == 0)[0]
    np.testing.assert_array_equal(lost.all(axis=1), lost.any(axis=1))  # a token as a whole


@every_kind
def test_an_empty_text_is_finite_and_has_length_1_once_trained(kind):
    assert np.isfinite(build(kind)(IDS[3:])["embedding"]).all()
    embedding = np.asarray(train(build(kind))(IDS[3:])["embedding"])
    assert np.linalg.norm(embedding) == pytest.approx(1, rel=1e-5)


@every_kind
def test_ids_of_64_bits_are_the_same_ids(kind):
    model = build(kind)
    np.testing.assert_array_equal(model(IDS.astype("int64"))["embedding"], model(IDS)["embedding"])


@every_kind
def test_dropout_works_in_training_only(kind):
    model = build(kind, dropout=0.5)
    np.testing.assert_array_equal(model(IDS)["tokens"], model(IDS)["tokens"])
    one, other = (np.asarray(model(IDS[:3], training=True)["embedding"]) for _ in range(2))
    assert np.abs(one - other).max() > 1e-2


def test_features_of_texts_go_through_an_mlp_or_stay_as_they_are(tmp_path):
    features = np.random.default_rng(0).normal(size=(3, 10)).astype("float32")

    def mlp():
        return build_text_encoder("features", features=10, hidden=[8], embedding_dim=5)

    def identity():
        return build_text_encoder("features", features=10, hidden=[], embedding_dim=None)

    check_model(mlp, features, {"embedding": (3, 5)}, tmp_path, weights=2 + 2 + 1)
    check_model(identity, features, {"embedding": (3, 10)}, tmp_path, weights=0)
    np.testing.assert_array_equal(identity()(features)["embedding"], features)
    assert (mlp().input.name, mlp().input.dtype, mlp().name) == ("text", "float32", "text_encoder")
    assert mlp().takes == "features" and build("gru").takes == "token_ids"
    with pytest.raises(MmkerasError, match="Expected no text_preprocessor before .* vocabulary_size=12"):
        build_text_encoder("features", features=10, vocabulary_size=12)
    assert build_text_encoder("features", features=10, vocabulary_size=None, sequence_length=None)


def test_without_a_projection_the_pooled_maps_are_the_embedding():
    """Kim's 3 x 100 maps, of which a system makes its own space."""
    model = build("text_cnn", embedding_dim=None, kernel_sizes=(3, 4, 5), filters=100)
    embedding = np.asarray(model(IDS)["embedding"])
    assert embedding.shape == (4, 300) and embedding.min() == 0 < embedding.max()


def test_token_dropout_hides_whole_tokens():
    """At a rate near 1 nearly every text looks empty in training, and none does outside it."""
    model = build("text_cnn", token_dropout=0.999, kernel_sizes=(1,))
    ids = np.arange(1, 11, dtype="int32")[None].repeat(20, 0)
    seen = np.abs(np.asarray(model(ids, training=True)["tokens"])).max(-1) > 0  # biases are 0: hidden tokens give 0
    assert seen.mean() < 0.05
    assert (np.abs(np.asarray(model(ids)["tokens"])).max(-1) > 0).mean() > 0.5


def test_the_transformer_refuses_texts_longer_than_its_positions():
    with pytest.raises(ValueError, match="Expected at most 9 token ids a row. Received: 10"):
        build("transformer")(np.ones((1, 10), "int32"))


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="Expected a width that 3 heads divide. Received: width=8"):
        build("transformer", heads=3)


def test_an_unknown_kind_is_refused():
    kinds = "bag_of_tokens, bert, features, gru, hub, pretrained, text_cnn, transformer"
    with pytest.raises(MmkerasError, match=f"kind of {kinds}. Received: kind='lstm'"):
        build_text_encoder("lstm")
