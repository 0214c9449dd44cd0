"""What the adversary costs: a training step of `AdversarialBackprop` beside one of the same network without it.

    python scripts/benchmarks/adversary.py

prints one line a form: the joint update through the gradient reversal, and the alternating game with 1 and with 3
updates of the classifier a step, the latter with the gradient penalty, as the recipe has it. The yardstick is what one
would train without an adversary: both encoders and the category head on the category loss, one optimizer, no
classifier. All steps take the same real batch, the recipe's; they alternate within one process, after a warm-up that
leaves tracing out, and each row gives the median over the rounds of the step's time over that of the yardstick.
"""

import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[2]
RECIPE = "glyphs_adversarial_backprop"
STEPS, ROUNDS = 10, 7
FORMS = {
    "joint reversal": {"classifier_steps": 0, "objective": "minimax", "gradient_penalty": 0.0},
    "alternating, 1 update": {"classifier_steps": 1, "gradient_penalty": 0.0},
    "alternating, 3 updates, gradient penalty": {"classifier_steps": 3, "gradient_penalty": 0.01},
}
WITHOUT = "the category loss alone"


def measure():
    """Return rows {"what", "value", "unit", "yardstick", "ratio"}."""
    import keras

    from mmkeras.data import Glyphs, unpaired_batches
    from mmkeras.training import Recipe

    keras.utils.set_random_seed(0)
    recipe = Recipe.load(RECIPE)
    data = Glyphs().split("train", targets=recipe.targets)
    models = _models(recipe.preset, data)
    preprocessor = models[WITHOUT].text_preprocessor
    batch = next(iter(unpaired_batches(data, recipe.batch_size, 0, text_preprocessor=preprocessor)))

    seconds = {name: [] for name in models}
    for model in models.values():
        _time(model, batch)
    for _ in range(ROUNDS):
        for name, model in models.items():
            seconds[name].append(_time(model, batch))
    usual = seconds[WITHOUT]
    rows = [_row(f"training step, {WITHOUT}", usual, None, None)]
    for name in FORMS:
        ratio = statistics.median(one / other for one, other in zip(seconds[name], usual, strict=True))
        rows.append(_row(f"training step, {name}", seconds[name], WITHOUT, ratio))
    return rows


def _models(preset, data):
    """All forms and the yardstick, by their names, compiled."""
    from mmkeras.models import AdversarialBackprop, Preset

    settings = Preset.load(preset).settings
    arguments = {"texts": data.texts, "label_names": data.label_names, "multi_label": data.label.ndim == 2}
    plain = {**settings, "model": "CategoryLossAlone", "arguments": {}}
    models = {WITHOUT: _category_loss_alone().from_preset(plain, **arguments)}
    arguments["text_preprocessor"] = models[WITHOUT].text_preprocessor
    del arguments["texts"]
    for name, form in FORMS.items():
        models[name] = AdversarialBackprop.from_preset(preset, **arguments, adversary=form)
    for model in models.values():
        model.compile()
    return models


def _category_loss_alone():
    """The class of the yardstick: the same network, trained by Keras' own step."""
    from keras import ops

    from mmkeras.layers import CategoryHead
    from mmkeras.losses import CategoryCrossentropy
    from mmkeras.models import ImageTextModel

    class CategoryLossAlone(ImageTextModel):
        supervision = "categories"

        def __init__(self, *args, label_names=(), multi_label=False, **kwargs):
            super().__init__(*args, **kwargs)
            self.label_names, self.multi_label = label_names, multi_label
            self.category_head = CategoryHead(len(label_names), dtype="float32")
            self.category_head.build((None, self.embedding_dim))
            self.category_loss = CategoryCrossentropy()

        def compute_losses(self, batch, outputs, training=True):
            label = ops.concatenate([batch["image_label"], batch["text_label"]])
            logits = self.category_head(ops.concatenate([outputs["image_embedding"], outputs["text_embedding"]]))
            return {"loss": 2 * self.category_loss(label, logits)}

    return CategoryLossAlone


def _time(model, batch):
    """Seconds of one step."""
    start = time.perf_counter()
    for _ in range(STEPS):
        model.train_on_batch(batch)
    return (time.perf_counter() - start) / STEPS


def _row(what, seconds, yardstick, ratio):
    value = 1000 * statistics.median(seconds)
    return {"what": what, "value": value, "unit": "ms", "yardstick": yardstick, "ratio": ratio}


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for row in measure():
        print(row)
