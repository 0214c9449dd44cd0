"""What `pytorch.py` beside it measures: a system's step in one form or several, ours and PyTorch's.

`ours` and `theirs` each return a dict from a form's name to a `Form`. They run in processes of their own, `ours` first:
what it leaves in the file of the batch is there for `theirs`.
"""

import functools

from benchmarks.sides import Form


class ModalityInvariant:
    """The recipe on glyphs: the triplet loss alone, as in its first stages, and all updates, as in its last."""

    RECIPE = "glyphs_modality_invariant"
    TRIPLET, JOINT = "triplet loss alone", "triplet loss and modality classifier"

    @classmethod
    def ours(cls, batch_file):
        import numpy as np

        from mmkeras.data import Glyphs, training_batches
        from mmkeras.models import ModalityInvariant
        from mmkeras.training import Recipe

        recipe = Recipe.load(cls.RECIPE)
        data = Glyphs().split("train")
        steps, models = {}, {}
        for form in (cls.TRIPLET, cls.JOINT):
            model = models[form] = ModalityInvariant.from_preset(recipe.preset, texts=data.texts)
            parameters = count_parameters(model)
            if form == cls.TRIPLET:
                model.set_stage(["image_encoder", "text_encoder"], adversary={"weight": 0.0})
            model.compile()
            steps[form] = parameters, model.train_on_batch
        preprocessor = model.text_preprocessor
        batch = next(iter(training_batches(data, recipe.batch_size, 0, preprocessor)))
        arrays = {name: values.numpy() for name, values in batch.items()}
        np.savez(batch_file, vocabulary_size=preprocessor.vocabulary_size, **arrays)
        return {form: Form(parameters, functools.partial(step, batch)) for form, (parameters, step) in steps.items()}

    @classmethod
    def theirs(cls, batch_file):
        import numpy as np
        import torch

        from mmkeras.training import Recipe
        from tests.pytorch.modality_invariant import PyTorchModalityInvariant

        arrays = np.load(batch_file)
        batch = {name: torch.from_numpy(arrays[name]) for name in ("image", "token_ids", "image_id")}
        preset = Recipe.load(cls.RECIPE).load_preset().settings
        steps = {}
        for form, method in ((cls.TRIPLET, "triplet"), (cls.JOINT, "joint")):
            side = PyTorchModalityInvariant.from_preset(preset, int(arrays["vocabulary_size"]))
            steps[form] = Form(side.count_parameters(), functools.partial(getattr(side, method), batch))
        return steps


class CMGAN:
    """The recipe on Wikipedia's features, and the settings as published: more updates, no dropout, two category heads.

    The features are random numbers of their sizes: speed does not ask what is learnt.
    """

    RECIPE, CLASSES = "wikipedia_cm_gan", 10
    FORMS = {
        "as in the recipe": {},
        "as published": {"generator_steps": 5, "autoencoder": {"dropout": 0.0, "share_category_head": False}},
    }

    @classmethod
    def presets(cls):
        """The preset of each form: a dict."""
        return presets_of(cls.RECIPE, cls.FORMS)

    @classmethod
    def ours(cls, batch_file):
        import numpy as np
        import tensorflow as tf

        from mmkeras.models import CMGAN
        from mmkeras.training import Recipe

        rows, generator, steps, arrays = Recipe.load(cls.RECIPE).batch_size, np.random.default_rng(0), {}, {}
        for form, preset in cls.presets().items():
            model = CMGAN.from_preset(preset, label_names=[str(number) for number in range(cls.CLASSES)])
            model.compile()
            steps[form] = count_parameters(model), model.train_on_batch
        for name in ("image", "text", "other_image", "other_text"):
            width = preset[f"{name.removeprefix('other_')}_encoder"]["features"]
            arrays[name] = generator.dirichlet(np.ones(width), rows).astype("float32")  # rows that sum to 1, as theirs
        arrays["label"] = generator.integers(cls.CLASSES, size=rows)
        np.savez(batch_file, **arrays)
        batch = {name: tf.constant(values) for name, values in arrays.items()}
        return {form: Form(parameters, functools.partial(step, batch)) for form, (parameters, step) in steps.items()}

    @classmethod
    def theirs(cls, batch_file):
        import numpy as np
        import torch

        from tests.pytorch.cm_gan import PyTorchCMGAN

        batch = {name: torch.from_numpy(values) for name, values in np.load(batch_file).items()}
        steps = {}
        for form, preset in cls.presets().items():
            side = PyTorchCMGAN.from_preset(preset, cls.CLASSES)
            steps[form] = Form(side.count_parameters(), functools.partial(side.step, batch))
        return steps


class SoftMask:
    """The recipe on glyphs, as in its last stage, and the same without soft masks."""

    RECIPE = "glyphs_soft_mask"
    WITHOUT = "without soft masks"
    FORMS = {"with soft masks": {}, WITHOUT: {"loss_weights": {"soft_matching": 0.0}}}

    @classmethod
    def presets(cls):
        """The preset of each form: a dict."""
        return presets_of(cls.RECIPE, cls.FORMS)

    @classmethod
    def ours(cls, batch_file):
        import numpy as np
        from benchmarks.arithmetic import count_gflop

        from mmkeras.data import Glyphs, training_batches
        from mmkeras.models import SoftMask
        from mmkeras.training import Recipe
        from mmkeras.training.augmentation import augmentation

        recipe, forms = Recipe.load(cls.RECIPE), {}
        data = Glyphs().split("train")
        preprocessor = recipe.load_preset().build_text_preprocessor(data.texts)
        augment = augmentation(recipe, recipe.training_stages[-1])
        batches = training_batches(data, recipe.batch_size, 0, preprocessor, augment=augment)
        batch = next(iter(batches))
        for form, preset in cls.presets().items():
            model = SoftMask.from_preset(preset, text_preprocessor=preprocessor)
            model.compile()
            step = functools.partial(model.train_on_batch, batch)
            over = None if form == cls.WITHOUT else cls.WITHOUT
            forms[form] = Form(count_parameters(model), step, over, count_gflop(model.train_step, batch))
        arrays = {name: batch[name].numpy() for name in ("image", "weak_image", "token_ids", "image_id")}
        np.savez(batch_file, vocabulary_size=preprocessor.vocabulary_size, **arrays)
        return forms

    @classmethod
    def theirs(cls, batch_file):
        import numpy as np
        import torch

        from tests.pytorch.soft_mask import PyTorchSoftMask

        arrays, forms = dict(np.load(batch_file)), {}
        vocabulary_size = int(arrays.pop("vocabulary_size"))
        batch = {name: torch.from_numpy(values) for name, values in arrays.items()}
        for form, preset in cls.presets().items():
            side = PyTorchSoftMask.from_preset(preset, vocabulary_size)
            forms[form] = Form(side.count_parameters(), functools.partial(side.step, batch))
        return forms


def presets_of(recipe, forms):
    """The preset of a recipe with each form's arguments: a dict of dicts."""
    from mmkeras.training import Recipe

    presets = {}
    for form, changes in forms.items():
        preset = presets[form] = Recipe.load(recipe).load_preset().settings
        for name, value in changes.items():
            part = preset["arguments"].get(name, {})
            preset["arguments"][name] = part | value if isinstance(value, dict) else value
    return presets


def count_parameters(model):
    """How many numbers training changes."""
    return sum(variable.numpy().size for variable in model.trainable_variables)
