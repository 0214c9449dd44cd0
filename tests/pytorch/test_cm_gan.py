"""The PyTorch step of CMGAN that `scripts/benchmarks/pytorch.py` times computes what ours computes."""

import keras
import numpy as np
import pytest

from mmkeras.models import CMGAN

from .installed import import_torch

torch = import_torch()

WIDTHS = {"image": 5, "text": 3}
PRESET = {
    "model": "CMGAN",
    "arguments": {"autoencoder": {"units": 4}, "discriminators": {"hidden": 6}, "generator_steps": 2},
    "image_encoder": {"kind": "features", "features": 5, "hidden": [], "embedding_dim": None, "scale": 2.0},
    "text_encoder": {"kind": "features", "features": 3, "hidden": [], "embedding_dim": None, "scale": 0.5},
}


@pytest.fixture(params=[False, True], ids=["two heads", "one head"])
def sides(request):
    """Both implementations at one set of weights, and a batch for each."""
    from .cm_gan import PyTorchCMGAN

    autoencoder = {"units": 4, "share_category_head": request.param}
    preset = PRESET | {"arguments": PRESET["arguments"] | {"autoencoder": autoencoder}}
    keras.utils.set_random_seed(0)
    ours = CMGAN.from_preset(preset, label_names=("art", "war", "sport"))
    theirs = PyTorchCMGAN.from_preset(preset, 3)
    copy_weights(ours, theirs)
    generator = np.random.default_rng(0)
    names = [f"{prefix}{modality}" for prefix in ("", "other_") for modality in WIDTHS]
    batch = {name: generator.normal(size=(6, WIDTHS[name.removeprefix("other_")])).astype("float32") for name in names}
    batch["label"] = np.array([0, 0, 1, 2, 1, 0])
    return ours, theirs, batch, {name: torch.from_numpy(array) for name, array in batch.items()}


def copy_weights(ours, theirs):
    """Every layer of ours into that of theirs, kernels in PyTorch's order of axes."""
    parts = [(ours.autoencoder.image_encoder_2, theirs.shared)]
    for modality in WIDTHS:
        pathway, judges = (
            {name: getattr(part, f"{modality}_{name}") for name in names}
            for part, names in (
                (ours.autoencoder, ("encoder_1", "decoder", "output", "category_head")),
                (ours.discriminators, ("intra", "inter")),
            )
        )
        parts += [
            (pathway["encoder_1"], theirs.encoders[modality]),
            (pathway["decoder"], theirs.decoders[modality][0]),
            (pathway["output"], theirs.decoders[modality][1]),
            (pathway["category_head"], theirs.heads[modality]),
            (judges["intra"].logit, theirs.intra[modality]),
            (judges["inter"].block, theirs.inter[modality][0]),
            (judges["inter"].logit, theirs.inter[modality][1]),
        ]
    with torch.no_grad():
        for layer, module in parts:
            arrays = [variable.numpy() for variable in getattr(layer, "projection", layer).trainable_variables]
            arrays += [layer.gamma.numpy(), layer.beta.numpy()] if hasattr(layer, "gamma") else []
            for parameter, array in zip(module.parameters(), arrays, strict=True):
                parameter.copy_(torch.from_numpy(array.T.copy()))


def test_both_train_as_many_numbers(sides):
    ours, theirs, *_ = sides
    assert theirs.count_parameters() == sum(variable.numpy().size for variable in ours.trainable_variables)


def test_both_lose_alike_before_and_after_an_update(sides):
    """The second step's losses tell of all six updates of the first; beyond, rounding tells the two apart."""
    ours, theirs, batch, tensors = sides
    ours.compile(run_eagerly=True)  # two steps take less than tracing one
    for tolerance in (1e-4, 1e-3):
        ours.reset_metrics()
        found = ours.train_on_batch(batch, return_dict=True)
        losses = theirs.step(tensors)
        assert len(losses) == 6 and [len(losses[f"{modality}_generator"]) for modality in WIDTHS] == [2, 2]
        for role, values in losses.items():
            name = f"{role}_loss" if role.endswith("generator") else f"{role}_discriminator_loss"
            assert float(sum(values) / len(values)) == pytest.approx(float(found[name]), rel=tolerance), name
