"""Does the adversary help instance-level matching, and what do the stages do? Behind docs/modality-invariant.md.

    python scripts/studies/modality_invariant.py --out runs/stages             every variant, seeds 0, 1 and 2, glyphs
    python scripts/studies/modality_invariant.py --out runs/stages B1 B3       some of them
    python scripts/studies/modality_invariant.py --out runs/stages --table     only print what is there

Every variant has the same number of epochs in all. A run takes three to four minutes on two cores.
"""

from ablation import Ablation, laid_over, recipe_settings, train_run, write_preset

RECIPE = "glyphs_modality_invariant"
ENCODERS = ["image_encoder", "text_encoder"]


def stage(name, epochs, negatives, trains=(), weight=0.0, **settings):
    """One of a recipe's `[[stages]]`."""
    arguments = {"negatives": negatives, "adversary": {"weight": weight}}
    return {"name": name, "epochs": epochs, "trains": list(trains), "arguments": arguments, **settings}


def _baseline(negatives):
    """The triplet loss alone, for as many epochs as the method has in all."""
    start = stage("sum", 2, "sum", ENCODERS, final_learning_rate=4e-3)
    return [start, stage("triplet", 8, negatives, ENCODERS, warmup_steps=0)]


def _method(weight=0.1, warm_up=1):
    """The method with hardest negatives; without the classifier's own stage the joint one is as much longer."""
    stages = [
        stage("sum", 2, "sum", ENCODERS, final_learning_rate=4e-3),
        stage("triplet", 3, "hardest", ENCODERS, warmup_steps=0, final_learning_rate=2e-3),
    ]
    if warm_up:
        stages.append(stage("classifier", warm_up, "hardest", ["modality_classifier"], weight))
    joint = {"learning_rate": 2e-3, "warmup_steps": 0, "reversal_ramp": 0.3}
    return [*stages, stage("joint", 5 - warm_up, "hardest", (), weight, **joint)]


# The method with all negatives, as the recipe has it.
ALL_NEGATIVES = [
    stage("triplet", 5, "sum", ENCODERS, final_learning_rate=2e-3),
    stage("classifier", 1, "sum", ["modality_classifier"], 1.0),
    stage("joint", 4, "sum", (), 1.0, learning_rate=2e-3, warmup_steps=0, reversal_ramp=0.3),
]


# A variant: its title, its stages, and what it changes in the preset's model.
VARIANTS = {
    "B0": ("triplet, all negatives", [stage("triplet", 10, "sum", ENCODERS)], {}),
    "B1": ("triplet, hardest negative", _baseline("hardest"), {}),
    "B1-semi": ("triplet, semi-hard negative", _baseline("semi_hard"), {}),
    "B2": (
        "B1 and the adversary, one stage",
        [
            stage("sum", 2, "sum", ENCODERS, final_learning_rate=4e-3),
            stage("joint", 8, "hardest", (), 0.1, warmup_steps=0, reversal_ramp=0.3),
        ],
        {},
    ),
    "B3": ("the method: stages", _method(), {}),
    "B3-sum": ("the method, all negatives", ALL_NEGATIVES, {}),
    "B4": ("B3 without the classifier's stage", _method(warm_up=0), {}),
    "B5-0.01": ("B3, modality weight 0.01", _method(0.01), {}),
    "B5-0.05": ("B3, modality weight 0.05", _method(0.05), {}),
    "B5-0.5": ("B3, modality weight 0.5", _method(0.5), {}),
    "B5-1": ("B3, modality weight 1", _method(1.0), {}),
    "B6": ("B3, classifier on un-normalised embeddings", _method(), {}),
    "joint-form": (
        "B3 by plain reversal, one optimizer",
        _method(),
        {"adversary": {"objective": "minimax", "classifier_steps": 0, "gradient_penalty": 0.0}},
    ),
}
SHOWN = {
    "rsum": "rsum",
    "R@1 i2t": "image_to_text_recall@1",
    "R@1 t2i": "text_to_image_recall@1",
    "R@10 i2t": "image_to_text_recall@10",
    "R@10 t2i": "text_to_image_recall@10",
    "probe": "modality_probe",
    "MMD2": "mmd2",
}


def main():
    """Run what is missing, then print the table."""
    titles = {name: variant[0] for name, variant in VARIANTS.items()}
    Ablation(__file__, __doc__, titles, _train, SHOWN).main()


def _train(variant, seed, folder):
    import keras

    import mmkeras.models
    from mmkeras.models import ModalityInvariant, Preset
    from mmkeras.training import Recipe

    @keras.saving.register_keras_serializable("mmkeras")
    class UnnormalisedClassifier(ModalityInvariant):
        """The control whose classifier sees embeddings before they are normalised."""

        def __init__(self, image_encoder, text_encoder, *args, **kwargs):
            super().__init__(image_encoder, text_encoder, *args, **kwargs)
            self.unnormalised = [
                keras.Model(encoder.input, encoder.get_layer("projection_norm").output, name=f"{encoder.name}_raw")
                for encoder in (image_encoder, text_encoder)
            ]

        def call(self, inputs, training=None):
            images, texts = (
                model(one, training=training)
                for model, one in zip(self.unnormalised, (inputs["image"], inputs["token_ids"]), strict=True)
            )
            return {"image_embedding": images, "text_embedding": texts}

        def compute_losses(self, batch, outputs, training=True):
            unit = {name: keras.ops.normalize(rows, axis=-1) for name, rows in outputs.items()}
            losses = super().compute_losses(batch, unit, training)
            task_loss = self.triplet_weight * losses["triplet_loss"]
            return losses | self.adversary.losses_with(task_loss, *outputs.values(), training, self.losses)

    mmkeras.models.UnnormalisedClassifier = UnnormalisedClassifier  # where a preset's model is looked up
    _, stages, arguments = VARIANTS[variant]
    preset = laid_over(Preset.load("modality_invariant_glyphs").settings, {"arguments": arguments})
    if variant == "B6":
        preset["model"] = "UnnormalisedClassifier"
    settings = {"preset": write_preset(folder, variant, preset), "seed": seed, "stages": stages}
    if variant == "joint-form":
        settings["optimizers"] = {}  # the encoders' moves the classifier too
    recipe = Recipe.from_settings(recipe_settings(RECIPE) | settings)
    return train_run(folder, RECIPE, recipe)


if __name__ == "__main__":
    main()
