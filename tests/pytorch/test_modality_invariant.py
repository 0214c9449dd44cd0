"""The PyTorch step of ModalityInvariant that `scripts/benchmarks/pytorch.py` times computes what ours computes."""

import keras
import numpy as np
import pytest

from mmkeras.models import ModalityInvariant
from mmkeras.preprocessing import TextPreprocessor

from .installed import import_torch

torch = import_torch()

TEXTS = ["latin small letter a", "greek capital omega", "box", "upwards arrow", "leftwards arrow", "a box"]
PRESET = {
    "model": "ModalityInvariant",
    "arguments": {
        "margin": 0.3,
        "adversary": {
            "weight": 0.4,
            "objective": "fooling",
            "classifier_hidden": [12, 10],
            "classifier_steps": 3,
            "gradient_penalty": 0.1,
        },
    },
    "image_preprocessor": {"height": 8, "width": 16},
    "image_encoder": {"kind": "conv", "widths": [4, 6, 8], "strides": [2, 1, 2], "embedding_dim": 10},
    "text_preprocessor": {"vocabulary_size": 60, "sequence_length": 6},
    "text_encoder": {
        "kind": "text_cnn",
        "width": 8,
        "kernel_sizes": [1, 2, 3, 5],
        "filters": 7,
        "dropout": 0.0,
        "embedding_dim": 10,
    },
}


@pytest.fixture
def sides():
    """Both implementations at one set of weights, and a batch for each; two rows are of one picture."""
    from .modality_invariant import PyTorchModalityInvariant

    keras.utils.set_random_seed(0)
    preprocessor = TextPreprocessor.train(TEXTS, 60, 6)
    ours = ModalityInvariant.from_preset(PRESET, text_preprocessor=preprocessor)
    theirs = PyTorchModalityInvariant.from_preset(PRESET, preprocessor.vocabulary_size)
    copy_weights(ours, theirs)
    batch = {
        "image": np.random.default_rng(0).integers(0, 256, (6, 8, 16, 3), "uint8"),
        "token_ids": preprocessor(TEXTS).numpy(),
        "image_id": np.array([0, 1, 2, 3, 4, 4]),
    }
    mirrored = batch | {"image": batch["image"][:, ::-1, ::-1].copy()}
    return ours, theirs, batch, {name: torch.from_numpy(array) for name, array in mirrored.items()}


def copy_weights(ours, theirs):
    """Every weight in PyTorch's order of axes, those over places of the picture mirrored."""
    image, text = ours.image_encoder, ours.text_encoder
    arrays = []
    for stage in range(3):
        arrays.append(weights(image, f"conv_{stage}")[0][::-1, ::-1].transpose(3, 2, 0, 1))
        arrays += weights(image, f"norm_{stage}")[:2]
    by_place = weights(image, "projection")[0].reshape(2, 4, 8, 10)
    arrays.append(by_place[::-1, ::-1].reshape(64, 10).T)
    arrays.append(weights(text, "embedding")[0])
    for size in (1, 2, 3, 5):
        kernel, bias = weights(text, f"conv_{size}")
        arrays += [kernel.T, bias]
    arrays.append(weights(text, "projection")[0].T)
    arrays += [array.T for array in ours.adversary.classifier.get_weights()]
    parameters = [*theirs.parameters, *theirs.classifier.parameters()]
    with torch.no_grad():
        for parameter, array in zip(parameters, arrays, strict=True):
            parameter.copy_(torch.from_numpy(array.copy()))


def weights(encoder, layer):
    return encoder.get_layer(layer).get_weights()


def test_both_train_as_many_numbers(sides):
    ours, theirs, *_ = sides
    assert theirs.count_parameters() == sum(variable.numpy().size for variable in ours.trainable_variables)


def test_both_embed_alike(sides):
    ours, theirs, batch, mirrored = sides
    found = ours(batch, training=True)
    for one, other in zip(found.values(), theirs.embed(mirrored), strict=True):
        np.testing.assert_allclose(one, other.detach(), atol=2e-5)


@pytest.mark.parametrize("form", ["triplet", "joint"])
def test_both_lose_alike_before_and_after_an_update(sides, form):
    """The second losses tell of the encoders' update too; beyond, the places of Adam's epsilon tell the two apart."""
    ours, theirs, batch, mirrored = sides
    if form == "triplet":
        ours.set_stage(["image_encoder", "text_encoder"], adversary={"weight": 0.0})
    ours.compile(run_eagerly=True)  # two steps take less than tracing one
    for tolerance in (1e-5, 1e-3):
        ours.reset_metrics()
        found = ours.train_on_batch(batch, return_dict=True)
        for name, value in getattr(theirs, form)(mirrored).items():
            assert float(value) == pytest.approx(float(found[name]), rel=tolerance), name
