"""What do the parts of CM-GANs do on Wikipedia's features? Behind docs/cm-gan.md.

    python scripts/studies/cm_gan.py --out runs/cm_gan                      every variant, seeds 0, 1 and 2
    python scripts/studies/cm_gan.py --out runs/cm_gan method code          some of them
    python scripts/studies/cm_gan.py --out runs/cm_gan no-inter --seeds 0   with one seed
    python scripts/studies/cm_gan.py --out runs/cm_gan --table              only print what is there

$MMKERAS_DATA holds wikipedia/features.npz. Everything but `full` is at the narrow width, cm_gan_wikipedia_narrow; a
run takes half a minute on one core, one of 100 epochs at the authors' settings two minutes. Success is a table of mean
average precisions: raw, with standardised queries (in the manner of the authors), and to all items.
scripts/studies/wikipedia_baselines.py prints those of plain methods.
"""

import os
from pathlib import Path

from ablation import Ablation, laid_over, train_preset

RECIPE, PRESET = "wikipedia_cm_gan", "cm_gan_wikipedia_narrow"
OFF, TWO_HEADS, UNSCALED = {"adversarial": False}, {"autoencoder": {"share_category_head": False}}, {"scale": 1.0}
LONG = {"epochs": 100, "halving_epochs": 100}
FULL = {"autoencoder": {"units": 1024, "dropout": 0.9}, "discriminators": {"hidden": 512}}  # as cm_gan_wikipedia has it
# A variant: its title, and what it changes in the recipe, in the preset's model arguments and in both encoders.
VARIANTS = {
    "method": ("the method, mismatch as in the paper", {}, {}, {}),
    "code": ("mismatch as in the released code", {}, {"mismatch": "released_code"}, {}),
    "off": ("no adversary: the semantic constraint alone", {}, OFF, {}),
    "full": ("the method at full width", {}, FULL, {}),
    "full-off": ("the same, no adversary", {}, FULL | OFF, {}),
    "no-sharing": ("no weights shared between the pathways", {}, {"autoencoder": {"share_weights": False}}, {}),
    "no-semantic": ("no semantic constraint", {}, {"semantic_constraint": False}, {}),
    "no-intra": ("no intra-modality discriminators", {}, {"use_intra_discriminator": False}, {}),
    "no-inter": ("no inter-modality discriminators", {}, {"use_inter_discriminator": False}, {}),
    "no-dropout": ("no dropout", {}, {"autoencoder": {"dropout": 0.0}}, {}),
    "five-steps": ("five generator steps a batch", {}, {"generator_steps": 5}, {}),
    "unscaled": ("features as they are", {}, {}, UNSCALED),
    "two-heads": ("a category head for each modality, 100 epochs", LONG, TWO_HEADS, {}),
    "two-heads-off": ("the same, no adversary", LONG, TWO_HEADS | OFF, {}),
    "two-heads-unscaled": ("the same, the adversary on features as they are", LONG, TWO_HEADS, UNSCALED),
    "authors": (
        "the authors' settings: two heads, no dropout, five generator steps, features as they are, 100 epochs",
        LONG,
        {"autoencoder": {"share_category_head": False, "dropout": 0.0}, "generator_steps": 5},
        UNSCALED,
    ),
    "backprop": ("AdversarialBackprop on the same features", {}, None, None),
    "backprop-off": ("the same, no adversary", {}, None, None),
}
SHOWN = {
    "i2t": "representation_image_to_text_map_none",
    "t2i": "representation_text_to_image_map_none",
    "i2t, queries std.": "representation_image_to_text_map_query",
    "t2i, queries std.": "representation_text_to_image_map_query",
    "i2all, std.": "representation_image_to_all_map_both",
    "t2all, std.": "representation_text_to_all_map_both",
}
# AdversarialBackprop takes pairs apart; its settings were chosen like those of CMGAN, on a fifth of train.
BACKPROP_ENCODER = {"hidden": [256], "dropout": 0.8, "embedding_dim": 12, "scale": 1.0}
BACKPROP_SETTINGS = {
    "epochs": 60,
    "learning_rate": 2e-3,
    "warmup_steps": 50,
    "decay": "cosine",
    "adam_beta_1": 0.9,
    "weight_decay": 0.01,
    "gradient_clip": 1.0,
    "reversal_strength": 3.0,
    "reversal_ramp": 0.3,
    # The modality classifier's, as in the recipes with one.
    "optimizers": {
        "classifier": {
            "learning_rate": 1e-3,
            "decay": "constant",
            "adam_beta_1": 0.5,
            "adam_beta_2": 0.99,
            "weight_decay": 0.0,
            "gradient_clip": 0.0,
        }
    },
}


def main():
    """Run what is missing, then print the table."""
    titles = {name: variant[0] for name, variant in VARIANTS.items()}
    Ablation(__file__, __doc__, titles, _train, SHOWN).main()


def preset_of(variant):
    """Return the preset of a variant: a dict."""
    from mmkeras.models import Preset

    _, _, arguments, encoders = VARIANTS[variant]
    preset = Preset.load(PRESET).settings
    if arguments is None:
        published = Preset.load("adversarial_backprop_glyphs").arguments
        preset |= {"model": "RepresentingBackprop", "arguments": published}
        arguments, encoders = {"adversary": {"weight": 0.0}} if variant == "backprop-off" else {}, BACKPROP_ENCODER
    return laid_over(preset, {"arguments": arguments, "image_encoder": encoders, "text_encoder": encoders})


def _train(variant, seed, folder):
    import keras

    import mmkeras.models
    from mmkeras.errors import MmkerasError
    from mmkeras.models import AdversarialBackprop

    @keras.saving.register_keras_serializable("mmkeras")
    class RepresentingBackprop(AdversarialBackprop):
        """Measured as CMGAN is: its embeddings are its representations."""

        def represent_image(self, images, batch_size=256):
            return self.encode_image(images, batch_size)

        def represent_text(self, texts, batch_size=256):
            return self.encode_text(texts, batch_size)

    mmkeras.models.RepresentingBackprop = RepresentingBackprop  # where a preset's model is looked up
    if "MMKERAS_DATA" not in os.environ:
        raise MmkerasError("MMKERAS_DATA is unset: it names the folder of real data sets (wikipedia)")
    _, settings, arguments, _ = VARIANTS[variant]
    data = Path(os.environ["MMKERAS_DATA"]) / "wikipedia" / "features.npz"
    settings = {"data": str(data)} | (settings if arguments is not None else BACKPROP_SETTINGS)
    return train_preset(variant, seed, folder, RECIPE, preset_of(variant), settings)


if __name__ == "__main__":
    main()
