"""Low-rank adapters: what they leave as it was, what they train, and a model into which they are folded."""

import keras
import numpy as np
import pytest

from mmkeras.encoders import Encoder, bert_text_encoder
from mmkeras.encoders.backbone import Backbone
from mmkeras.encoders.embedding_head import embedding_head
from mmkeras.errors import MmkerasError
from mmkeras.layers.fused import HeadDense
from mmkeras.models import DualEncoder
from mmkeras.models.adapters import adapters_are_trained, add_adapters, folded
from mmkeras.models.layer_tree import layers_within
from mmkeras.models.recomputation import recompute_blocks
from mmkeras.training.checkpoint import load_checkpoint, save_checkpoint

from ..model_checks import config_text, no_user_warning
from .small_towers import tower_batch, towers
from .test_dual_encoder import fit


def built(rank=2, **options):
    keras.utils.set_random_seed(0)
    model = DualEncoder(*towers(**options))
    if rank:
        add_adapters(model, rank, seed=3)
    return model


def embeddings(model):
    return [value.numpy() for value in model(tower_batch(), training=False).values()]


def is_adapter(variable):
    return variable.name.startswith("lora_")


def test_a_model_begins_as_it_was():
    for one, other in zip(embeddings(built(0)), embeddings(built()), strict=True):
        np.testing.assert_allclose(other, one, atol=1e-6)


def test_adapters_and_heads_are_trained_and_nothing_else_moves():
    model = built(dropout=0.1)
    network = model.parts["image_backbone"]
    assert any(isinstance(layer, HeadDense) and layer.lora_enabled for layer in layers_within(network))
    theirs = [v for name in ("image_backbone", "text_backbone") for v in model.parts[name].trainable_variables]
    # A block has four layers around its heads and two of its feed-forward part; the text's tokens are embedded too.
    assert len(theirs) == 2 * (6 + 6 + 6 + 6 + 1) and all(is_adapter(variable) for variable in theirs)
    others = [v for v in model.trainable_variables if not is_adapter(v)]
    assert sorted(v.name for v in others) == ["bias", "bias", "kernel", "kernel", "log_temperature"]
    frozen = [weight for weight in model.weights if not weight.trainable]
    before = [weight.numpy() for weight in frozen], [weight.numpy() for weight in theirs]
    model.compile(keras.optimizers.Adam(1e-2))
    history = fit(model, tower_batch(), steps=10, epochs=3)
    assert history[-1] < history[0]
    for weight, value in zip(frozen, before[0], strict=True):
        np.testing.assert_array_equal(weight, value, err_msg=weight.path)
    assert all(np.abs(weight.numpy() - value).max() > 1e-4 for weight, value in zip(theirs, before[1], strict=True))


def test_stages_freeze_and_train_the_adapters_alone():
    model = built()
    encoders = ["image_encoder", "text_encoder"]
    model.set_stage(encoders)
    assert not any(is_adapter(v) for v in model.trainable_variables) and len(model.trainable_variables) == 5
    model.set_stage([*encoders, "image_backbone"])
    moved = [v for v in model.trainable_variables if "block" in v.path]
    assert moved and all(is_adapter(v) for v in moved)
    assert model.parts["text_backbone"].trainable_variables == []
    settings = model.stage_settings()
    model.set_stage([*encoders, "image_backbone", "text_backbone"])
    model.restore_stage(settings)
    assert [v.path for v in model.trainable_variables if "block" in v.path] == [v.path for v in moved]


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_folded_model_is_a_plain_one_of_the_same_outputs(policy, tmp_path):
    """Of layers and weights that it had before, in float32 where it computes in halves; it is saved and loaded."""
    keras.config.set_dtype_policy(policy)
    model, plain = built(batch_norm=True), built(0, batch_norm=True)
    model.compile(keras.optimizers.Adam(1e-2))
    fit(model, tower_batch(), steps=5)
    made = folded(model)
    assert [(w.name, w.shape) for w in made.weights] == [(w.name, w.shape) for w in plain.weights]
    with no_user_warning():
        made.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    tolerance = 1e-5 if policy == "float32" else 2e-2
    for one, other, again, start in zip(*map(embeddings, (model, made, loaded, plain)), strict=True):
        np.testing.assert_allclose(other, one, atol=tolerance)
        np.testing.assert_array_equal(again, other)
        assert np.abs(other - start).max() > 5 * tolerance
    assert folded(made) is made


def test_layers_whose_config_tells_of_adapters_are_folded_too():
    """A `Dense` that stands in the network itself, not within a block, would be built with an adapter again."""
    _, text = towers()
    pixels, image = keras.Input((8, 8, 3)), keras.Input((8, 8, 3), name="image")
    features = keras.layers.Dense(8)(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels)))
    network = Backbone(pixels, features, name="backbone")(image)
    model = DualEncoder(Encoder(image, {"embedding": embedding_head(network, 8, False)}, name="image_encoder"), text)
    add_adapters(model, 2)
    model.compile(keras.optimizers.Adam(1e-2))
    fit(model, tower_batch(), steps=3)
    made = folded(model)
    assert "lora_rank" in config_text(model) and "lora_rank" not in config_text(made)
    for one, other in zip(*map(embeddings, (model, made)), strict=True):
        np.testing.assert_allclose(other, one, atol=1e-5)


def test_encoding_sees_the_adapters_at_once():
    model = built(0)
    before = model.encode_image(tower_batch()["image"])
    add_adapters(model, 2)
    generator = np.random.default_rng(0)
    for weight in model.weights:
        if is_adapter(weight):
            weight.assign(generator.normal(size=weight.shape))
    assert np.abs(model.encode_image(tower_batch()["image"]) - before).max() > 1e-3


def test_a_checkpoint_goes_on_to_equal_weights(tmp_path):
    whole, resumed = built(dropout=0.2), built(dropout=0.2)
    for one, other in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(one, other)  # the start of the adapters follows from the seed
    for model in (whole, resumed):
        model.compile(keras.optimizers.Adam(1e-2), {"backbones": keras.optimizers.Adam(1e-3)})
    fit(whole, tower_batch(), steps=2)
    save_checkpoint(tmp_path / "checkpoint.npz", whole, 2)
    load_checkpoint(tmp_path / "checkpoint.npz", resumed)
    for model in (whole, resumed):
        fit(model, tower_batch(seed=1), steps=2)
    for a, b in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_cannot_be_adapted_is_told(model):
    with pytest.raises(MmkerasError, match="Expected a model with a pretrained network for adapters of rank 4"):
        add_adapters(model, 4)
    _, text = towers()
    pixels = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(pixels))
    image = keras.Input((8, 8, 3), name="image")
    network = Backbone(pixels, pooled, name="backbone")(image)
    convolutions = Encoder(image, {"embedding": embedding_head(network, 8)}, name="image_encoder")
    beside = DualEncoder(convolutions, text)
    add_adapters(beside, 4)  # the text's network has layers for it
    with pytest.raises(MmkerasError, match="Received: image_backbone, without any of them. Leave it frozen"):
        adapters_are_trained(beside)
    beside.set_stage(["image_encoder", "text_encoder", "text_backbone"])
    assert adapters_are_trained(beside)
    beside.set_stage(["image_encoder", "text_encoder"])
    assert not adapters_are_trained(beside)
    alone = bert_text_encoder(40, 6, width=8, depth=1, heads=2, embedding_dim=8)
    with pytest.raises(MmkerasError, match="Received: image_backbone, without any of them"):
        add_adapters(DualEncoder(convolutions, alone), 4)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_all_of_it_trains_together_in_halves(policy):
    """Adapters with an optimizer of their own, blocks computed again, a batch by parts; every optimizer scales."""
    keras.config.set_dtype_policy(policy)
    model = built(dropout=0.1, batch_norm=True)
    model.set_stage(sub_batch=5)
    recompute_blocks(model)
    model.compile(keras.optimizers.Adam(1e-2), {"backbones": keras.optimizers.Adam(1e-2)})
    scaled = [isinstance(one, keras.optimizers.LossScaleOptimizer) for one in model.optimizers.values()]
    assert scaled == [policy == "mixed_float16"] * 2
    history = fit(model, tower_batch(), steps=10, epochs=4)
    assert np.isfinite(history).all() and history[-1] < 0.8 * history[0]
    assert {weight.dtype for weight in model.trainable_variables} == {"float32"}
