"""A training that begins with the best linear map between features and bags of tokens."""

import dataclasses
import tracemalloc

import keras
import numpy as np
import pytest
import scipy.linalg

from mmkeras.data import PairedData
from mmkeras.encoders import bag_of_tokens_encoder, conv_image_encoder, feature_mlp_encoder, text_cnn_encoder
from mmkeras.errors import MmkerasError
from mmkeras.metrics.retrieval import retrieval_metrics
from mmkeras.models import DualEncoder
from mmkeras.preprocessing import TextPreprocessor
from mmkeras.training import linear_start
from mmkeras.training.linear_start import POWER, begin_linearly, ridge_of

WORDS = "red green blue dog cat bird runs sleeps jumps water snow grass".split()


@pytest.fixture(scope="module")
def data():
    """Pictures whose features are a linear map of the words that stand at them, and noise."""
    random = np.random.default_rng(0)
    shown = random.random((300, len(WORDS))) < 0.3
    shown[:, 0] |= ~shown.any(axis=1)
    features = shown @ random.normal(size=(len(WORDS), 20)) + 0.3 * random.normal(size=(300, 20))
    texts = [" ".join(word for word, is_shown in zip(WORDS, row, strict=True) if is_shown) for row in shown]
    rows = np.arange(300)
    return PairedData("toy", features.astype("float32"), texts, rows, rows, np.stack([rows, rows], 1).astype("int32"))


def model_of(data, dim=32, image=None, text=None):
    keras.utils.set_random_seed(0)
    preprocessor = TextPreprocessor.train(data.texts, 60, 16)
    image = image or feature_mlp_encoder(20, hidden=(), embedding_dim=dim)
    text = text or bag_of_tokens_encoder(preprocessor.vocabulary_size, width=16, embedding_dim=dim)
    return DualEncoder(image, text, text_preprocessor=preprocessor)


def rsum(model, data):
    images, texts = model.encode_image(data.images), model.encode_text(data.texts)
    return retrieval_metrics(images, texts, data.image_id, data.text_image_id)["rsum"]


def test_held_out_pairs_are_found_from_the_start(data):
    train, held_out = data.chosen(np.arange(240), np.arange(240)), data.chosen(np.arange(240, 300), np.arange(240, 300))
    model = model_of(train)
    before = rsum(model, held_out)
    begin_linearly(model, train)
    assert before < 150 < 350 < rsum(model, held_out)


def test_the_similarities_are_those_of_canonical_correlation_analysis(data):
    """Against the textbook's form by symmetric roots, before the normalisation by batches."""
    model = model_of(data, dim=64)
    begin_linearly(model, data)
    head = keras.Model(model.image_encoder.input, model.image_encoder.get_layer("projection").output)
    text_head = keras.Model(model.text_encoder.input, model.text_encoder.get_layer("projection").output)
    ids = keras.ops.convert_to_numpy(model.text_preprocessor(data.texts))
    images, texts = head.predict(data.images, verbose=0), text_head.predict(ids, verbose=0)
    # --- the textbook ---
    norm = keras.Model(model.image_encoder.input, model.image_encoder.get_layer("input_norm").output)
    x = norm.predict(data.images, verbose=0).astype(np.float64)
    bags = np.zeros((300, model.text_encoder.get_layer("embedding").input_dim))
    for row, of_text in enumerate(ids):
        for one in of_text[of_text > 0]:
            bags[row, one] += 1 / (of_text > 0).sum()
    frequency = (bags > 0).sum(axis=0)
    y = bags * np.where(frequency > 0, np.log(300 / np.maximum(frequency, 1)), 0)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)

    def inverse_root(covariance):
        ridge = ridge_of(300) * np.trace(covariance) / len(covariance)
        return scipy.linalg.fractional_matrix_power(covariance + ridge * np.eye(len(covariance)), -0.5)

    of_x, of_y = inverse_root(x.T @ x / 300), inverse_root(y.T @ y / 300)
    u, s, vt = np.linalg.svd(of_x @ (x.T @ y / 300) @ of_y, full_matrices=False)
    kept = slice(0, 16)  # as wide as a token's embedding
    expected_x = x @ of_x @ u[:, kept] * s[kept] ** POWER
    expected_y = y @ of_y @ vt[kept].T * s[kept] ** POWER
    for ours, expected in ((images, expected_x), (texts, expected_y)):
        ours = ours - ours.mean(axis=0)
        products, wanted = ours @ ours.T, expected @ expected.T
        np.testing.assert_allclose(products / np.abs(products).max(), wanted / np.abs(wanted).max(), atol=2e-4)
    crossed, wanted = (images - images.mean(0)) @ (texts - texts.mean(0)).T, expected_x @ expected_y.T
    np.testing.assert_allclose(crossed / np.abs(crossed).max(), wanted / np.abs(wanted).max(), atol=2e-4)


def test_other_models_and_data_are_refused(data):
    with pytest.raises(MmkerasError, match=r"with hidden = \[\], to begin linearly"):
        begin_linearly(model_of(data, image=conv_image_encoder(8, 8, widths=(4,), embedding_dim=32)), data)
    with pytest.raises(MmkerasError, match=r"with hidden = \[\], to begin linearly"):
        begin_linearly(model_of(data, image=feature_mlp_encoder(20, hidden=(8,), embedding_dim=32)), data)
    cnn = text_cnn_encoder(60, 16, width=8, filters=8, embedding_dim=32)
    with pytest.raises(MmkerasError, match="text encoder of kind bag_of_tokens to begin linearly"):
        begin_linearly(model_of(data, text=cnn), data)
    alone = data.chosen(np.arange(300), np.arange(0))
    with pytest.raises(MmkerasError, match="Expected pairs of features and texts"):
        begin_linearly(model_of(data), alone)
    with pytest.raises(MmkerasError, match="Expected features that differ, to begin linearly. Received: toy, all eq"):
        begin_linearly(model_of(data), dataclasses.replace(data, images=np.ones_like(data.images)))
    same = dataclasses.replace(data, texts=["red dog"] * 300)
    with pytest.raises(MmkerasError, match="Expected texts that differ, to begin linearly. Received: toy, all equal"):
        begin_linearly(model_of(data), same)


def test_pairs_count_each_by_itself_and_blocks_change_nothing(data, monkeypatch):
    """A picture of several pairs is as good as copies of it, each with one text."""
    monkeypatch.setattr("mmkeras.training.linear_start.RIDGE_POWER", 0.0)  # the same ridge for more pairs
    random = np.random.default_rng(1)
    pairs = np.unique(np.stack([random.integers(0, 40, 400), random.integers(0, 300, 400)], 1), axis=0).astype("int32")
    several = dataclasses.replace(data, pairs=pairs)
    own = np.stack([np.arange(len(pairs))] * 2, 1).astype("int32")
    copies = data.chosen(pairs[:, 0], np.arange(300))
    copies = dataclasses.replace(copies, pairs=np.stack([own[:, 0], pairs[:, 1]], 1))
    models = [model_of(data) for _ in range(3)]
    begin_linearly(models[0], copies)
    begin_linearly(models[1], several)
    monkeypatch.setattr(linear_start, "BLOCK", 7)
    begin_linearly(models[2], several)
    image, text = models[0].encode_image(data.images), models[0].encode_text(data.texts)
    for model in models[1:]:
        # The directions' signs are free, and so is what the embeddings are rotated by: cosines are not.
        np.testing.assert_allclose(
            model.encode_image(data.images) @ model.encode_text(data.texts).T, image @ text.T, atol=2e-4
        )


def test_memory_does_not_grow_with_the_number_of_pairs(data):
    """A copy of the features for each of 30,000 pairs takes 4.8 MB in float64, the pairs themselves 240 kB."""
    pairs = np.stack(np.meshgrid(np.arange(300), np.arange(300)), -1).reshape(-1, 2)[::3].astype("int32")
    many, model = dataclasses.replace(data, pairs=pairs), model_of(data)
    begin_linearly(model, data)  # what is made once is made
    tracemalloc.start()
    try:
        begin_linearly(model, many)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * pairs.nbytes


@pytest.mark.parametrize(("pairs", "ridge"), [(1_600, 10.0), (8_000, 3.513), (30_000, 1.488), (100, 60.63)])
def test_the_ridge_falls_with_the_pairs(pairs, ridge):
    assert ridge_of(pairs) == pytest.approx(ridge, rel=1e-3)
