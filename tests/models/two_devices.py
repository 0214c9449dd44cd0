"""A program: each system trains a few steps on one device and on two, and says what it measured and has become.

Devices of a process are set before TensorFlow starts, so the tests run it beside them. Arguments are names of `CASES`;
it prints a line of JSON for each: `logs` and `weights` by their paths, of one device and of two; or with `refusals`
what several devices are told.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

from mmkeras.encoders.hub_module import HubModule
from mmkeras.errors import MmkerasError
from mmkeras.models import CMGAN, AdversarialBackprop, DualEncoder, FusedAdam, ModalityInvariant
from mmkeras.models.adapters import add_adapters
from mmkeras.models.recomputation import recompute_blocks

from .conftest import PRESET, TEXTS, TextPreprocessor
from .small_soft_mask import build as soft_mask
from .small_towers import tower_batch, towers

ROWS, STEPS = 12, 3
NAMES = ("letter", "arrow", "box")


def optimizer(**settings):
    """An epsilon above the rounding of the gradients, which differs: Adam would make steps of it."""
    return FusedAdam(1e-2, epsilon=1e-3, weight_decay=0.01, **settings)


def small(system, **arguments):
    """One of `PRESET`'s size; a number of the encoders' batch norms moves with what a device sees."""
    tokenizer = TextPreprocessor.train(TEXTS, 60, 6)
    preset = {**PRESET, "model": system.__name__}
    return system.from_preset(preset, text_preprocessor=tokenizer, **arguments)


def batch():
    """Pairs whose ids and texts return in both halves, and their categories, in all the forms that a system takes."""
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (2, ROWS, 8, 8, 3), "uint8")
    token_ids = generator.integers(4, 34, (2, ROWS, 6)).astype("int32")
    token_ids[:, :, 5] = 0
    image_id = np.array([1, 2, 3, 4, 5, 6, 1, 7, 3, 8, 9, 10], "int64")
    label = generator.integers(0, 3, ROWS).astype("int32")
    pairs = {"image": image[0], "token_ids": token_ids[0], "image_id": image_id, "text_id": image_id}
    categories = {"image_label": label, "text_label": label[::-1].copy()}
    other = {"other_image": image[1], "other_token_ids": token_ids[1], "other_label": (label + 1) % 3}
    return {**pairs, "label": label, **categories, **other}


def adversarial(system, **arguments):
    adversary = {"classifier_hidden": (16,), "classifier_dropout": 0.3}
    adversary |= arguments.pop("adversary", {})
    model = small(system, adversary=adversary, **arguments)
    model.compile(optimizer(global_clipnorm=0.1))
    return model


def dual_encoder(chosen=None, **arguments):
    model = small(DualEncoder, **arguments)
    model.compile(chosen or optimizer(global_clipnorm=0.1))
    return model


def plain_towers(**arguments):
    """Batch statistics in the heads alone, which see the whole batch: those before see a part."""
    model = DualEncoder(*towers(batch_norm=True), **arguments)
    model.compile(optimizer(global_clipnorm=0.1))
    return model


def tuned_towers():
    """Adapters in pretrained networks, whose blocks are computed again, with an optimizer of their own."""
    model = DualEncoder(*towers(batch_norm=True))
    model.set_stage(["image_encoder", "text_encoder", "image_backbone", "text_backbone"])
    add_adapters(model, 2, seed=0)
    recompute_blocks(model)
    model.set_stage(["image_encoder", "text_encoder", "image_backbone", "text_backbone"])
    model.compile(optimizer(clipnorm=0.1), {"backbones": keras.optimizers.SGD(0.01, momentum=0.9)})
    return model


def game(stage=(), **arguments):
    model = small(
        CMGAN,
        label_names=NAMES,
        autoencoder={"units": 4},
        discriminators={"hidden": 4},
        generator_steps=2,
        **arguments,
    )
    model.set_stage(stage)
    model.compile(optimizer(clipnorm=0.1))
    return model


def masked(**arguments):
    model = soft_mask(compiled=False, batch_norm=True, teacher={"queue_size": 2 * ROWS}, **arguments)
    model.compile(optimizer(global_clipnorm=0.5))
    return model


def soft_mask_batch():
    pairs = batch()
    return {**pairs, "token_ids": pairs["token_ids"][:, :4] % 16 + 4}


STEPS_OF_CLASSIFIER = {"classifier_steps": 2, "objective": "fooling", "gradient_penalty": 0.1}
SCALED = keras.optimizers.LossScaleOptimizer
CASES = {
    "contrast": (dual_encoder, batch),
    "sigmoid": (lambda: dual_encoder(SCALED(optimizer(global_clipnorm=0.1)), loss="sigmoid"), batch),
    "sub_batch": (lambda: plain_towers(sub_batch=4), tower_batch),
    "tuned": (tuned_towers, tower_batch),
    "triplet": (lambda: adversarial(ModalityInvariant), batch),
    "semi_hard": (lambda: adversarial(ModalityInvariant, negatives="semi_hard", adversary=STEPS_OF_CLASSIFIER), batch),
    "categories": (lambda: adversarial(AdversarialBackprop, label_names=NAMES), batch),
    "alternating": (
        lambda: adversarial(AdversarialBackprop, label_names=NAMES, adversary=STEPS_OF_CLASSIFIER),
        batch,
    ),
    "features": (lambda: game(("image_encoder", "text_encoder")), batch),
    "game": (lambda: game(("autoencoder", "discriminators")), batch),
    "soft_mask": (masked, soft_mask_batch),
    "masked_language_apart": (lambda: masked(mask_text=False, soft_masking={"mask_mode": "random"}), soft_mask_batch),
}


def trained(name, strategy):
    """The log of each step, that of an evaluation, and every weight by its path."""
    make, batch_of = CASES[name]
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = make()
    rows = tf.data.Dataset.from_tensor_slices(batch_of()).batch(ROWS, drop_remainder=True).repeat()
    logs = model.fit(rows, steps_per_epoch=1, epochs=STEPS, verbose=0, shuffle=False).history
    logs = {name: [float(value) for value in values] for name, values in logs.items()}
    logs["evaluated"] = [model.evaluate(rows.take(1), verbose=0, return_dict=True)["loss"]]
    weights = [(weight.path, np.ravel(weight.numpy()).tolist()) for weight in model.weights]
    return {"logs": logs, "weights": weights}


def refusals(strategy):
    """What is told of what several devices do not do, and of a strategy for several machines: a line each."""
    tries = [
        lambda: small(DualEncoder).compile(jit_compile=True),
        lambda: small(DualEncoder).compile(keras.optimizers.SGD(gradient_accumulation_steps=2)),
        lambda: HubModule("module"),
        lambda: dual_encoder().fit(tf.data.Dataset.from_tensor_slices(batch()).batch(8), verbose=0),
        lambda: dual_encoder().train_on_batch(batch()),
        dual_encoder,
    ]
    for attempt in tries:
        try:
            with (tf.distribute.MultiWorkerMirroredStrategy() if attempt is dual_encoder else strategy).scope():
                attempt()
        except MmkerasError as error:
            yield str(error)


def main(names):
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
    pair = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])  # one for the process: two would mix their messages up
    if names == ["refusals"]:
        print("\n".join(refusals(pair)))
        return
    for name in names:
        one, two = trained(name, tf.distribute.get_strategy()), trained(name, pair)
        print(json.dumps({"name": name, "one": one, "two": two}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(CASES))
