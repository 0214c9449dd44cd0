"""The pair of towers in PyTorch that `scripts/benchmarks/towers.py` times computes what ours computes, and is timed."""

import importlib

import keras
import numpy as np
import pytest

from mmkeras.encoders import bert_text_encoder, vit_image_encoder
from mmkeras.models import DualEncoder

from .installed import import_torch, import_transformers

torch = import_torch()
import_transformers()

SIZES = {"depth": 2, "heads": 2, "embedding_dim": 5, "initializer_range": None}
# Where the weights of a block of theirs stand in ours, by pairs of kernel and bias: query, key, value and output, then
# the two normalisations and the two layers of the feed-forward part in each tower's order.
BLOCKS = {"image": (1, 2, 3, 4, 0, 5, 6, 7), "text": (1, 2, 3, 4, 0, 6, 7, 5)}
STARTS = {"image": (0, 1, 2, 3), "text": (2, 0, 1, 3, 4)}  # the same of what stands before the blocks, one by one


def copied(ours, theirs, modality):
    """Give their tower our weights: their kernels are the other way round."""
    arrays = [variable.numpy() for variable in ours.weights]
    start, blocks = STARTS[modality], BLOCKS[modality]
    order = list(start)
    for block in range(SIZES["depth"]):
        first = len(start) + 16 * block
        order += [first + 2 * place + part for place in blocks for part in (0, 1)]
    order += range(len(order), len(arrays))
    parameters = list(theirs.parameters())
    assert len(parameters) == len(order)
    with torch.no_grad():
        for parameter, place in zip(parameters, order, strict=True):
            array = arrays[place]
            if ours.weights[place].path.endswith("patch_embedding/projection/kernel"):
                array = array.transpose(3, 2, 0, 1)
            elif ours.weights[place].path.endswith("kernel"):
                array = array.reshape(parameter.shape[::-1]).T
            parameter.copy_(torch.from_numpy(array.reshape(parameter.shape).copy()))


def test_both_embed_and_lose_alike_before_and_after_an_update():
    from .towers import PyTorchTowers

    keras.utils.set_random_seed(0)
    image = vit_image_encoder(16, 16, patch=8, token_width=12, mean=0.5, deviation=0.5, **SIZES)
    text = bert_text_encoder(30, 6, width=12, class_id=None, dropout=0.0, **SIZES)
    ours = DualEncoder(image, text)
    theirs = PyTorchTowers(16, 8, 12, 2, 2, 30, 6, 5, dropout=0.0)
    copied(image, theirs.image, "image")
    copied(text, theirs.text, "text")
    assert theirs.count_parameters() == sum(variable.numpy().size for variable in ours.trainable_variables)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (6, 16, 16, 3), "uint8")
    token_ids = generator.integers(1, 30, (6, 6), "int32")
    token_ids[2, 4:] = 0
    batch = {"image": images, "token_ids": token_ids, "image_id": np.arange(6)}
    tensors = torch.from_numpy(images), torch.from_numpy(token_ids)
    embeddings = ours({name: keras.ops.convert_to_tensor(values) for name, values in batch.items()})
    for expected, found in zip(theirs.embed(*tensors), embeddings.values(), strict=True):
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    ours.compile(run_eagerly=True)  # two steps take less than tracing one
    for step, tolerance in ((1, 1e-4), (2, 1e-3)):
        ours.reset_metrics()
        # Keras corrects the second moment after epsilon is added, PyTorch before: gradients this small feel that.
        for group in theirs.optimizer.param_groups:
            group["eps"] = 1e-7 / (1 - 0.999**step) ** 0.5
        loss = ours.train_on_batch(batch, return_dict=True)["loss"]
        assert float(theirs.step(*tensors)) == pytest.approx(float(loss), rel=tolerance)


@pytest.mark.slow
def test_both_are_timed(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "scripts"))
    rows = importlib.import_module("benchmarks.towers").measure([1], batch=2, rounds=2, depth=1)
    starts = "", "arithmetic of a ", "PyTorch: arithmetic of a "
    kinds = "training step", "forward pass"
    names = [f"{start}{kind}, batch 2, threads: 1" for kind in kinds for start in starts]
    assert [row["what"] for row in rows] == names
    assert [row["unit"] for row in rows] == ["steps/s", "GFLOP/s", "GFLOP/s"] * 2
    assert all(row["value"] > 0 and row["ratio"] > 0 for row in rows)
    assert rows[3]["value"] > rows[0]["value"]  # the step has a backward pass too
