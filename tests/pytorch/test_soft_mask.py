"""The PyTorch step of SoftMask that `scripts/benchmarks/pytorch.py` times computes what ours computes."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.layers import SoftMasking, TokenMasking
from mmkeras.models import SoftMask
from mmkeras.preprocessing import TextPreprocessor

from .installed import import_torch

torch = import_torch()

TEXTS = ["latin small letter a", "greek capital omega", "box", "upwards arrow", "leftwards arrow", "a box"]
SMALL = {"depth": 1, "heads": 2, "embedding_dim": 6, "initializer_range": None}
PRESET = {
    "model": "SoftMask",
    "arguments": {
        "fusion": {"depth": 2, "heads": 2, "dropout": 0.0, "initializer_range": None, "attention_block": 0},
        "teacher": {"queue_size": 12, "momentum": 0.5, "alpha_ramp_steps": 1},
        "token_masking": {"rate": 0.5},
        "temperature": {"initial": 0.1},
        "seed": 0,
    },
    "image_preprocessor": {"height": 8, "width": 16},
    "image_encoder": {"kind": "vit", "patch": 4, "token_width": 12, **SMALL},
    "text_preprocessor": {"vocabulary_size": 60, "sequence_length": 6},
    "text_encoder": {"kind": "bert", "width": 8, "dropout": 0.0, **SMALL},
}
NEGATIVES = ([2, 3, 0, 1, 0, 3], [True] * 6), ([1, 0, 4, 5, 2, 0], [True] * 5 + [False])  # of pictures, of texts
WORDS = [1, 2, 1, 1, 1, -1]


@pytest.fixture(params=[(True, False), (False, True)], ids=["soft masks", "without, batch normalisation"])
def sides(request, monkeypatch):
    """Both implementations at one set of weights and of draws, and a batch for each; two rows are of one picture."""
    from .soft_mask import PyTorchSoftMask

    soft, batch_norm = request.param
    preset = PRESET | {"arguments": PRESET["arguments"] | {"loss_weights": {"soft_matching": float(soft)}}}
    preset |= {f"{name}_encoder": PRESET[f"{name}_encoder"] | {"batch_norm": batch_norm} for name in ("image", "text")}
    keras.utils.set_random_seed(0)
    preprocessor = TextPreprocessor.train(TEXTS, 60, 6)
    ours = SoftMask.from_preset(preset, text_preprocessor=preprocessor)
    theirs = PyTorchSoftMask.from_preset(preset, preprocessor.vocabulary_size)
    with torch.no_grad():
        for parameter, array in corresponding(ours, theirs):
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    generator = np.random.default_rng(0)
    batch = {name: generator.integers(0, 256, (6, 8, 16, 3), "uint8") for name in ("image", "weak_image")}
    batch |= {"token_ids": preprocessor(TEXTS).numpy(), "image_id": np.array([0, 1, 2, 3, 4, 4])}
    tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
    draw_alike(monkeypatch, theirs, tensors["token_ids"].long())
    return ours, theirs, batch, tensors


def draw_alike(monkeypatch, theirs, token_ids):
    """Hide the same words on both sides, and take the same negatives and words for masks."""
    hidden = theirs.hide_words(token_ids)
    assert (hidden[1] >= 0).any()
    theirs.hide_words = lambda ids: hidden
    monkeypatch.setattr(
        TokenMasking, "call", lambda self, ids: tuple(tf.constant(part.numpy(), tf.int32) for part in hidden)
    )
    drawn = itertools.cycle([[tf.constant(part) for part in pair] for pair in NEGATIVES])
    monkeypatch.setattr("mmkeras.models.wrong_pairs.sample_hard_negatives", lambda *arguments: next(drawn))
    taken = itertools.cycle([[torch.tensor(part) for part in pair] for pair in NEGATIVES])
    theirs.draw_negatives = lambda *arguments: next(taken)
    monkeypatch.setattr(SoftMasking, "_drawn", lambda self, words: tf.constant(WORDS))
    theirs.draw_words = lambda words: torch.tensor(WORDS)


def corresponding(ours, theirs):
    """Pairs of a parameter of theirs, or a queue, and ours as an array in PyTorch's order of axes."""
    image, text, student = ours.image_encoder, ours.text_encoder, theirs.student
    patches, embedding = image.get_layer("patch_embedding"), text.get_layer("embedding")
    kernel, bias = patches.projection.get_weights()
    yield student["image"].patches.weight, kernel.transpose(3, 2, 0, 1)
    yield student["image"].patches.bias, bias
    yield student["text"].token_embedding.weight, embedding.token_embedding.get_weights()[0]
    for name, part in (("image", patches), ("text", embedding)):
        yield student[name].position_embedding, part.position_embedding.numpy()
    yield student["image"].class_token, patches.class_token.numpy()
    yield student["text"].type_embedding, embedding.type_embedding.numpy()
    yield from of_norm(image.get_layer("final_norm"), student["image"].final_norm)
    yield from of_norm(text.get_layer("embedding_norm"), student["text"].embedding_norm)
    for encoder, part in ((image, student["image"]), (text, student["text"])):
        yield from of_block(encoder.get_layer("block_0"), part.blocks[0])
        yield from zip(part.head[0].parameters(), linear(encoder.get_layer("projection")), strict=True)
    for layer, block in zip(ours.fusion.encoder.blocks, student["fusion"].blocks, strict=True):
        yield from of_block(layer, block)
    yield from zip(theirs.matching_head.parameters(), linear(ours.fusion.matching_head), strict=True)
    head = student["language"]
    yield from zip(head.dense.parameters(), linear(ours.language_head.dense), strict=True)
    yield from of_norm(ours.language_head.norm, head.norm)
    yield head.bias, ours.language_head.bias.numpy()
    queue = ours.teacher.queue
    for name in ("image_queue", "text_queue"):
        yield getattr(theirs, name), getattr(queue, name).numpy()
    yield theirs.id_queue, queue.image_id_queue.numpy()[:, 0]


def of_block(layer, block):
    yield from of_attention(layer.attention, block.attention)
    yield from of_norm(layer.attention_norm, block.attention_norm)
    if layer.cross_attention:
        yield from of_attention(layer.context_attention, block.context_attention)
        yield from of_norm(layer.context_norm, block.context_norm)
    for name in ("expand", "contract"):
        yield from zip(getattr(block, name).parameters(), linear(getattr(layer, name)), strict=True)
    yield from of_norm(layer.feed_forward_norm, block.feed_forward_norm)


def of_attention(layer, module):
    inputs = [layer.query_dense, layer.key_dense, layer.value_dense]
    packed = (
        [(module.query, inputs)] if module.is_self else [(module.query, inputs[:1]), (module.key_value, inputs[1:])]
    )
    for part, layers in (*packed, (module.output, [layer.output_dense])):
        yield from zip(part.parameters(), linear(*layers), strict=True)


def of_norm(layer, module):
    return zip((module.weight, module.bias), layer.get_weights(), strict=True)


def linear(*layers):
    """Weight and bias of one linear layer for several of ours; a kernel without a bias alone."""
    weights = [layer.get_weights() for layer in layers]
    if len(weights[0]) == 1:
        return [weights[0][0].T]
    kernels = [kernel.reshape(-1, bias.size).T for kernel, bias in weights]
    return [np.concatenate(kernels), np.concatenate([bias.reshape(-1) for _, bias in weights])]


def test_both_train_as_many_numbers_and_lose_alike_before_and_after_an_update(sides):
    """The second step's losses tell of the update, of the teacher, who has a share by then, and of the queue."""
    ours, theirs, batch, tensors = sides
    assert theirs.count_parameters() == sum(variable.numpy().size for variable in ours.trainable_variables)
    ours.compile(run_eagerly=True)  # two steps take less than tracing one
    for group in theirs.optimizer.param_groups:  # in its first step Keras' epsilon counts so much
        group["eps"] = 1e-7 / (1 - 0.999) ** 0.5
    for tolerance in (1e-5, 1e-4):
        ours.reset_metrics()
        found = ours.train_on_batch(batch, return_dict=True)
        losses = theirs.step(tensors)
        assert set(losses) == {f"{name}_loss" for name, weight in ours.loss_weights.items() if weight}
        for name, value in losses.items():
            assert float(value) == pytest.approx(float(found[name]), rel=tolerance), name
    np.testing.assert_array_equal(theirs.id_queue, ours.teacher.queue.image_id_queue[:, 0])


def test_with_a_stem_both_train_as_many_numbers_too():
    from .soft_mask import PyTorchSoftMask

    preset = PRESET | {"image_encoder": PRESET["image_encoder"] | {"stem": [5, 7], "mean": 1.0, "deviation": 1.0}}
    preprocessor = TextPreprocessor.train(TEXTS, 60, 6)
    ours = SoftMask.from_preset(preset, text_preprocessor=preprocessor)
    theirs = PyTorchSoftMask.from_preset(preset, preprocessor.vocabulary_size)
    assert theirs.count_parameters() == sum(variable.numpy().size for variable in ours.trainable_variables)
    images = torch.zeros((2, 8, 16, 3), dtype=torch.uint8)
    tokens, embeddings = theirs.student["image"](images)
    assert tokens.shape == (2, 1 + 8, 12) and embeddings.shape == (2, 6)


def test_draws_take_what_they_may():
    from .soft_mask import PyTorchSoftMask

    side = PyTorchSoftMask.from_preset(PRESET, 20)
    torch.manual_seed(0)
    ids = torch.tensor([[5, 6, 7, 0], [1, 2, 3, 0]]).repeat(50, 1)
    hidden, targets = side.hide_words(ids)
    chosen = targets >= 0
    assert 0.35 < chosen[::2, :3].float().mean() < 0.65
    assert (targets[chosen] == ids[chosen]).all() and not chosen[1::2].any() and not chosen[:, 3].any()
    assert (hidden[~chosen] == ids[~chosen]).all() and (hidden[chosen] == 3).any() and (hidden[chosen] > 7).any()
    rows, found = side.draw_negatives(torch.tensor([[9.0, 0, 0], [0, 9, 0], [0, 0, 9]]), torch.tensor([1, 1, 2]))
    assert found.all() and rows[:2].tolist() == [2, 2] and rows[2] < 2
    assert side.draw_words(torch.tensor([[False, True], [False, False]])).tolist() == [1, -1]
