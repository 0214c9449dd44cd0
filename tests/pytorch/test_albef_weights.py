"""A `SoftMask` with weights under ALBEF's names computes what the twin that they are of computes."""

import keras
import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.models import SoftMask, load_albef
from mmkeras.preprocessing import TextPreprocessor

from .installed import import_torch
from .test_soft_mask import PRESET, TEXTS, draw_alike

torch = import_torch()

LOOK = "text_encoder.bert.encoder.layer.2.crossattention.self.query.weight"
QUEUE = ("image_queue", "text_queue", "queue_ptr")


def named(prefix, module):
    return {f"{prefix}.weight": module.weight, f"{prefix}.bias": module.bias}


def split(prefix, names, module):
    """Layers that the twin holds in one, one under the other, by names of their own."""
    parts = (module.weight.chunk(len(names)), module.bias.chunk(len(names)))
    return {
        f"{prefix}.{name}.{kind}": one
        for kind, of in zip(("weight", "bias"), parts, strict=True)
        for name, one in zip(names, of, strict=True)
    }


def vision(encoder):
    arrays = {"cls_token": encoder.class_token[None, None], "pos_embed": encoder.position_embedding[None]}
    arrays |= {**named("patch_embed.proj", encoder.patches), **named("norm", encoder.final_norm)}
    for index, block in enumerate(encoder.blocks):
        at = f"blocks.{index}"
        arrays |= {**named(f"{at}.norm1", block.attention_norm), **named(f"{at}.norm2", block.feed_forward_norm)}
        arrays |= {**named(f"{at}.attn.qkv", block.attention.query), **named(f"{at}.attn.proj", block.attention.output)}
        arrays |= {**named(f"{at}.mlp.fc1", block.expand), **named(f"{at}.mlp.fc2", block.contract)}
    return arrays


def text(side):
    """`BertForMaskedLM` as ALBEF has it: the blocks of the text, then those that look at the picture."""
    encoder, head = side["text"], side["language"]
    arrays = {
        "bert.embeddings.position_ids": torch.arange(7)[None],
        "bert.embeddings.word_embeddings.weight": encoder.token_embedding.weight,
        "bert.embeddings.position_embeddings.weight": encoder.position_embedding,
        "bert.embeddings.token_type_embeddings.weight": encoder.type_embedding,
        **named("bert.embeddings.LayerNorm", encoder.embedding_norm),
        "cls.predictions.bias": head.bias,
        "cls.predictions.decoder.weight": encoder.token_embedding.weight,
        "cls.predictions.decoder.bias": head.bias,
        **named("cls.predictions.transform.dense", head.dense),
        **named("cls.predictions.transform.LayerNorm", head.norm),
    }
    for index, block in enumerate([*encoder.blocks, *side["fusion"].blocks]):
        at = f"bert.encoder.layer.{index}"
        arrays |= split(f"{at}.attention.self", ("query", "key", "value"), block.attention.query)
        arrays |= named(f"{at}.attention.output.dense", block.attention.output)
        arrays |= named(f"{at}.attention.output.LayerNorm", block.attention_norm)
        arrays |= {**named(f"{at}.intermediate.dense", block.expand), **named(f"{at}.output.dense", block.contract)}
        arrays |= named(f"{at}.output.LayerNorm", block.feed_forward_norm)
        if hasattr(block, "context_attention"):
            arrays |= named(f"{at}.crossattention.self.query", block.context_attention.query)
            arrays |= split(f"{at}.crossattention.self", ("key", "value"), block.context_attention.key_value)
            arrays |= named(f"{at}.crossattention.output.dense", block.context_attention.output)
            arrays |= named(f"{at}.crossattention.output.LayerNorm", block.context_norm)
    return arrays


def albef(twin):
    """The twin's state under the names of ALBEF's authors."""
    arrays = named("itm_head", twin.matching_head) | {"temp": twin.temperature}
    arrays |= {"image_queue": twin.image_queue.T, "text_queue": twin.text_queue.T}
    arrays |= {"queue_ptr": torch.tensor([twin.pointer])}
    for suffix, side in (("", twin.student), ("_m", twin.teacher)):
        arrays |= {f"visual_encoder{suffix}.{name}": one for name, one in vision(side["image"]).items()}
        arrays |= {f"text_encoder{suffix}.{name}": one for name, one in text(side).items()}
        arrays |= named(f"vision_proj{suffix}", side["image"].head[0])
        arrays |= named(f"text_proj{suffix}", side["text"].head[0])
    return {name: one.detach().numpy() for name, one in arrays.items()}


@pytest.fixture(scope="module")
def untouched():
    """What `sides` is, for cases that change nothing."""
    return both_sides()


@pytest.fixture
def sides():
    return both_sides()


def both_sides():
    """A model, a twin with other weights, a teacher's own among them, and what takes the model's texts."""
    from .soft_mask import PyTorchSoftMask

    # Pictures are square, as ALBEF's positions are.
    preset = PRESET | {"image_preprocessor": {"height": 8, "width": 8}}
    preprocessor = TextPreprocessor.train(TEXTS, 60, 6)
    keras.utils.set_random_seed(0)
    ours = SoftMask.from_preset(preset, text_preprocessor=preprocessor)
    torch.manual_seed(1)
    theirs = PyTorchSoftMask.from_preset(preset, preprocessor.vocabulary_size)
    with torch.no_grad():
        for part in (theirs.student, theirs.teacher, theirs.matching_head):
            for parameter in part.parameters():
                parameter.copy_(0.3 * torch.randn(parameter.shape))
        theirs.temperature.fill_(0.09)
    theirs.pointer, theirs.steps = 6, 1
    return ours, theirs, preprocessor


def values(model):
    return [weight.numpy() for weight in model.weights]


def test_every_loss_of_a_step_is_the_twins(sides, monkeypatch):
    ours, theirs, preprocessor = sides
    load_albef(ours, albef(theirs))
    generator = np.random.default_rng(0)
    batch = {name: generator.integers(0, 256, (6, 8, 8, 3), "uint8") for name in ("image", "weak_image")}
    batch |= {"token_ids": preprocessor(TEXTS).numpy(), "image_id": np.array([0, 1, 2, 3, 4, 4])}
    tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
    with torch.no_grad():
        encoded = theirs._encode(theirs.student, tensors["image"], tensors["token_ids"].long())
        fused, _ = theirs.student["fusion"](encoded["text_tokens"], encoded["image_tokens"], encoded["mask"])
        match = theirs.matching_head(fused[:, 0]).softmax(dim=1)[:, 1]
    mine = ours(batch, training=False)
    for name in ("image", "text"):
        np.testing.assert_allclose(mine[f"{name}_embedding"], encoded[name], rtol=0, atol=1e-5)
        np.testing.assert_allclose(mine[f"{name}_tokens"], encoded[f"{name}_tokens"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(ours.match(batch["image"], batch["token_ids"]), match, rtol=0, atol=1e-5)
    draw_alike(monkeypatch, theirs, tensors["token_ids"].long())
    ours.compile(run_eagerly=True)
    found = ours.train_on_batch(batch, return_dict=True)
    for name, value in theirs.step(tensors).items():
        assert float(value) == pytest.approx(float(found[name]), rel=1e-4), name
    np.testing.assert_allclose(ours.teacher.queue.image_queue, theirs.image_queue, rtol=0, atol=1e-5)
    assert int(ours.teacher.queue.pointer) == theirs.pointer == 0


def test_a_checkpoint_tuned_for_retrieval_leaves_the_language_head(sides):
    """It has a `BertModel`, no head of words, and the numbers of its pictures."""
    ours, theirs, _ = sides
    arrays = {name.replace(".bert.", "."): one for name, one in albef(theirs).items() if ".cls." not in name}
    arrays["idx_queue"] = np.full((1, 12), -100)
    head = [weight.numpy() for weight in ours.language_head.weights]
    load_albef(ours, arrays)
    for weight, value in zip(ours.language_head.weights, head, strict=True):
        np.testing.assert_array_equal(weight, value)
    np.testing.assert_array_equal(ours.fusion.matching_head.kernel, arrays["itm_head.weight"].T)
    np.testing.assert_array_equal(ours.teacher.queue.text_queue, arrays["text_queue"].T)
    assert float(ours.temperature.value) == pytest.approx(0.09)


def test_the_queue_and_the_teacher_may_stay_away(sides):
    ours, theirs, _ = sides
    arrays = albef(theirs)
    queue, teacher = ours.teacher.queue.image_queue.numpy(), ours.teacher.copies["fusion"].weights[0].numpy()
    load_albef(ours, {name: one for name, one in arrays.items() if "_m." not in name} | dict.fromkeys(QUEUE, 0), False)
    np.testing.assert_array_equal(ours.teacher.queue.image_queue, queue)
    np.testing.assert_array_equal(ours.teacher.copies["fusion"].weights[0], teacher)
    assert int(ours.teacher.steps) == 0  # so that the first step makes it the model
    load_albef(ours, arrays)
    assert int(ours.teacher.steps) == 1


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"text_encoder.bert.encoder.layer.2.crossattention.self.query.weight": None},
            "layer.2.crossattention.self.query",
        ),
        ({"vision_proj_m.bias": None}, "Expected vision_proj_m.bias"),
        ({"temp": None}, "Expected temp"),
        ({"visual_encoder.blocks.1.norm1.bias": np.zeros(12)}, "no place for visual_encoder.blocks.1.norm1.bias"),
        ({"vqa_head.weight": np.zeros(2)}, "no place for vqa_head.weight"),
        ({"image_queue": np.zeros((6, 24))}, r"image_queue of shape \(6, 12\).*Received: \(6, 24\)"),
    ],
)
def test_a_partial_load_is_refused_and_changes_nothing(change, message, untouched):
    ours, theirs, _ = untouched
    before = values(ours)
    arrays = {name: one for name, one in {**albef(theirs), **change}.items() if one is not None}
    with pytest.raises(MmkerasError, match=message):
        load_albef(ours, arrays)
    for value, old in zip(values(ours), before, strict=True):
        np.testing.assert_array_equal(value, old)


def test_encoders_that_end_in_batch_statistics_are_refused():
    preset = PRESET | {
        f"{name}_encoder": PRESET[f"{name}_encoder"] | {"batch_norm": True} for name in ("image", "text")
    }
    model = SoftMask.from_preset(preset, text_preprocessor=TextPreprocessor.train(TEXTS, 60, 6))
    with pytest.raises(MmkerasError, match="Expected image_encoder with a projection of its own and batch_norm=False"):
        load_albef(model, {})
