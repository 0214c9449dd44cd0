"""Features of texts are computed once, and never those of another text, backbone or preprocessing."""

import numpy as np
import pytest

from mmkeras.encoders import FrozenTexts, frozen_texts
from mmkeras.errors import MmkerasError
from mmkeras.models import DualEncoder
from mmkeras.preprocessing import ImagePreprocessor, StringPreprocessor

from .hub_modules import TEXTS, image_encoder, text_encoder

MANY = [f"{word} {row}" for row in range(50) for word in ("a dog", "two dogs", "a zebra sings a song")]


class Counted(FrozenTexts):
    """Features that count how many texts went through the backbone."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.computed, compute = 0, self._compute

        def counting(texts):
            self.computed += len(texts)
            return compute(texts)

        self._compute = counting


@pytest.fixture
def make(tmp_path, sentences):
    """A function that builds the loader anew, as another process would."""

    def make(encoder=None, **settings):
        encoder = encoder or text_encoder(sentences)
        return Counted(encoder.frozen_backbone(), StringPreprocessor(**settings), folder=tmp_path / "cache")

    return make


def test_features_are_those_of_the_backbone_in_the_order_of_the_texts(make, monkeypatch):
    monkeypatch.setattr(frozen_texts, "SAVE_EVERY", 70)
    loader = make()
    features = loader.load(MANY)
    assert (features.shape, features.dtype) == ((150, 4), np.float32)
    np.testing.assert_allclose(features, loader.backbone(np.array(MANY)), rtol=1e-6)


def test_a_text_is_computed_once_whoever_asks(make):
    first = make()
    features = first.load([*TEXTS, *TEXTS])
    assert first.computed == len(TEXTS)
    assert np.array_equal(features[: len(TEXTS)], features[len(TEXTS) :])
    second = make()
    assert np.array_equal(second.load(["new", *TEXTS[::-1]])[1:], features[: len(TEXTS)][::-1])
    assert second.computed == 1


def test_another_preprocessing_is_another_feature(make):
    upper = ["A DOG", "a dog"]
    assert not np.array_equal(*make().load(upper))
    assert np.array_equal(*make(lower=True).load(upper))


def test_what_is_interrupted_goes_on(make, monkeypatch):
    monkeypatch.setattr(frozen_texts, "SAVE_EVERY", 64)
    loader = make()
    compute = loader._compute

    def failing(texts):
        if loader.computed >= 128:
            raise KeyboardInterrupt
        return compute(texts)

    loader._compute = failing
    with pytest.raises(KeyboardInterrupt):
        loader.load(MANY)
    again = make()
    again.load(MANY)
    assert again.computed == 150 - 128


def test_the_embedding_of_features_is_that_of_the_texts(make, pictures, sentences):
    encoder = text_encoder(sentences)
    model = DualEncoder(image_encoder(pictures), encoder, ImagePreprocessor(4, 6), StringPreprocessor())
    features = make(encoder).load(TEXTS)
    np.testing.assert_allclose(model.encode_text(features), model.encode_text(TEXTS), atol=1e-6)
    with pytest.raises(MmkerasError, match=r"Expected an array \(N, 4\), features of texts"):
        model.encode_text(features[:, :3])
    images = np.zeros((3, 4, 6, 3), "float32")
    by_features = model({"image": images, "text": features})["text_embedding"]
    np.testing.assert_allclose(by_features, model.encode_text(TEXTS), atol=1e-6)


def test_a_backbone_that_trains_has_no_features(sentences):
    assert text_encoder(sentences, trainable=True).frozen_backbone() is None
