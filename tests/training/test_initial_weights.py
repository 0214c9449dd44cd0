"""A training that begins where another run ended."""

import dataclasses

import numpy as np
import pytest

from mmkeras.encoders import build_image_encoder
from mmkeras.encoders.position_embedding import resize_position_embedding
from mmkeras.errors import MmkerasError
from mmkeras.evaluation.report.run_report import untrained_model
from mmkeras.models import SoftMask
from mmkeras.training import train
from mmkeras.training.initial_weights import begin_with, initial_model

from ..models.small_soft_mask import build, encoders
from ..models.small_soft_mask import train as train_steps


@pytest.fixture(scope="module")
def trained():
    model = build()
    train_steps(model, steps=2)
    return model


def kept(model):
    return [weight for weights in model.kept_for_training().values() for weight in weights]


def test_all_but_the_teacher_the_queue_and_the_count_goes_on(trained):
    model = build(compiled=False)
    before = [weight.numpy() for weight in kept(model)]
    begin_with(model, trained, "runs/first")
    for part, own in model.parts.items():
        for weight, given in zip(own.weights, trained.parts[part].weights, strict=True):
            np.testing.assert_array_equal(weight, given)
    np.testing.assert_array_equal(model.temperature.learnt, trained.temperature.learnt)
    # Ids of other data would be taken for those of this.
    for weight, value in zip(kept(model), before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert int(trained.teacher.steps) == 2 and int(model.teacher.steps) == 0
    model.compile("sgd", run_eagerly=True)
    model.teacher.follow(model.students, 6)
    copy = model.teacher.copies["fusion"]
    for weight, given in zip(copy.weights, trained.fusion.encoder.weights, strict=True):
        np.testing.assert_array_equal(weight, given)


def test_pictures_of_another_size_resize_the_position_embeddings(trained):
    small = {"heads": 2, "embedding_dim": 6, "initializer_range": None, "dropout": 0.0, "batch_norm": False}
    larger = build_image_encoder("vit", height=12, width=16, patch=4, depth=1, token_width=8, **small)
    fusion = {"depth": 2, "heads": 2, "attention_block": 0, "initializer_range": None}
    model = SoftMask(larger, encoders()[1], teacher={"queue_size": 12}, fusion=fusion)
    begin_with(model, trained, "runs/first")
    own, given = (each.image_encoder.patches.position_embedding.numpy() for each in (model, trained))
    np.testing.assert_array_equal(own, resize_position_embedding(given, (2, 2), (3, 4)))


def test_what_does_not_fit_is_told(trained, tiny_model):
    with pytest.raises(MmkerasError, match="same system: SoftMask. Received: initial_weights=runs/a, DualEncoder"):
        begin_with(build(compiled=False), tiny_model, "runs/a")
    with pytest.raises(MmkerasError, match="with the same tokenizer: this one's. Received: initial_weights=runs/a, an"):
        other = build(compiled=False)
        other.text_preprocessor = tiny_model.text_preprocessor
        begin_with(other, trained, "runs/a")
    deeper, wider = build(compiled=False, fusion={"depth": 3}), build(compiled=False, fusion={"mlp_ratio": 2})
    with pytest.raises(MmkerasError, match=r"of this preset, with \d+ weights. Received: initial_weights=runs/a, with"):
        begin_with(deeper, trained, "runs/a")
    before = [weight.numpy() for weight in wider.weights]
    with pytest.raises(
        MmkerasError, match=r"of shape \(8, 16\). Received: initial_weights=runs/a, .* of shape \(8, 32"
    ):
        begin_with(wider, trained, "runs/a")
    for weight, value in zip(wider.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_a_run_begins_with_another_ones_weights_and_tokenizer(create_run, tiny_run, tiny_model):
    settings = [f"initial_weights={tiny_run.folder}", "learning_rate=1e-12", "weight_decay=0", "epochs=1"]
    run = create_run("tuned", *settings, "limit=16", "batch_size=16")
    model = train(run, verbose=0)
    # 16 texts of their own would have made another one.
    assert model.text_preprocessor.get_config() == tiny_model.text_preprocessor.get_config()
    for weight, given in zip(model.trainable_weights, tiny_model.trainable_weights, strict=True):
        np.testing.assert_allclose(weight, given, atol=1e-9)
    before = untrained_model(run.recipe, model)  # what it was before this training
    for weight, given in zip(before.weights, tiny_model.weights, strict=True):
        np.testing.assert_array_equal(weight, given)


def test_the_tokenizer_must_fit_the_preset(tiny_run, tmp_path):
    recipe = dataclasses.replace(tiny_run.recipe, initial_weights=str(tiny_run.folder))
    assert initial_model(tiny_run.recipe) is None
    told = "whose tokenizer fits the preset .*: texts of {} ids of at most {}. Received: .*, texts of 12 ids of"
    for before, after, numbers in (
        ('"sequence_length": 12', '"sequence_length": 13', (13, 200)),
        ('"vocabulary_size": 200', '"vocabulary_size": 50', (12, 50)),
    ):
        preset = tmp_path / "other.json"
        with open(tiny_run.recipe.preset) as stream:
            preset.write_text(stream.read().replace(before, after))
        with pytest.raises(MmkerasError, match=told.format(*numbers)):
            initial_model(dataclasses.replace(recipe, preset=str(preset)))
    with pytest.raises(MmkerasError, match="nowhere is no run folder"):
        initial_model(dataclasses.replace(recipe, initial_weights="nowhere"))
