"""`DualEncoder` with the sigmoid loss."""

import keras
import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.losses import sigmoid_contrast
from mmkeras.models import DualEncoder, LearntBias

from ..model_checks import config_text, no_user_warning
from .conftest import PRESET, TEXTS
from .test_dual_encoder import decayed, endless, fit

SIGMOID = {**PRESET, "arguments": {"loss": "sigmoid", "logit_bias": {"initial": -2.0}, "temperature": {"initial": 0.2}}}


@pytest.fixture
def sigmoid_model(text_preprocessor):
    keras.utils.set_random_seed(0)
    return DualEncoder.from_preset(SIGMOID, text_preprocessor=text_preprocessor)


def test_the_loss_is_the_sigmoid_contrast_of_the_embeddings(sigmoid_model, batch):
    sigmoid_model.compile()
    batch = {**batch, "image_id": np.array([0, 1, 0, 2, 3, 3])}
    loss = sigmoid_model.evaluate(endless(batch).take(1), verbose=0)
    embeddings = sigmoid_model.encode_image(batch["image"]), sigmoid_model.encode_text(TEXTS)
    assert loss == pytest.approx(np.mean(sigmoid_contrast(*embeddings, 0.2, -2.0, batch["image_id"])), rel=1e-4)


def test_fitting_lowers_the_loss_and_moves_temperature_and_bias(sigmoid_model, batch):
    with no_user_warning():
        sigmoid_model.compile()
        history = fit(sigmoid_model, batch, steps=5, epochs=4)
    assert history[-1] < 0.5 * history[0]
    assert float(sigmoid_model.logit_bias.value) != -2.0 and float(sigmoid_model.temperature.value) != pytest.approx(
        0.2
    )
    assert not any(
        "logit_bias" in variable.path for variable in decayed(sigmoid_model.optimizer, sigmoid_model.weights)
    )


def test_it_begins_as_siglip_does(text_preprocessor):
    preset = {**PRESET, "arguments": {"loss": "sigmoid"}}
    model = DualEncoder.from_preset(preset, text_preprocessor=text_preprocessor)
    assert float(model.temperature.value) == pytest.approx(0.1)
    assert float(model.logit_bias.value) == -10.0
    assert DualEncoder.from_preset(PRESET, text_preprocessor=text_preprocessor).logit_bias is None


def test_a_saved_model_goes_on_with_its_bias(sigmoid_model, batch, tmp_path):
    sigmoid_model.compile()
    fit(sigmoid_model, batch)
    sigmoid_model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert config_text(loaded) == config_text(sigmoid_model)
    assert float(loaded.logit_bias.value) == float(sigmoid_model.logit_bias.value)
    assert fit(loaded, batch) == pytest.approx(fit(sigmoid_model, batch), rel=1e-4)


def test_a_config_from_before_there_was_a_choice_is_info_nce(model, batch):
    config = {name: value for name, value in model.get_config().items() if name not in ("loss", "logit_bias")}
    again = DualEncoder.from_config(config)
    assert (again.loss, again.logit_bias, len(again.weights)) == ("info_nce", None, len(model.weights))


def test_an_unknown_loss_or_a_bias_without_the_sigmoid_is_an_error(model):
    encoders = model.image_encoder, model.text_encoder
    with pytest.raises(MmkerasError, match="info_nce, sigmoid. Received: loss='triplet'"):
        DualEncoder(*encoders, loss="triplet")
    with pytest.raises(MmkerasError, match="Received: loss='info_nce'"):
        DualEncoder(*encoders, logit_bias=LearntBias())
