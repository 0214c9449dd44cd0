"""Does the game of CM-GANs help over the semantic constraint alone, end to end on glyphs? Behind docs/cm-gan.md.

    python scripts/studies/cm_gan_glyphs.py --out runs/cm_gan_glyphs               every variant, seeds 0, 1 and 2
    python scripts/studies/cm_gan_glyphs.py --out runs/cm_gan_glyphs --table       only print what is there

Each run trains the features of pictures and texts by category first and then, upon them, what the variant says; three
minutes and more on one core. Success is a table of mean average precisions on dev by the 16 scripts: raw, with
standardised queries (in the manner of the authors), and to all items.
"""

from ablation import Ablation, laid_over, train_preset
from cm_gan import SHOWN

RECIPE, PRESET = "glyphs_cm_gan", "cm_gan_glyphs"
ONE_HEAD, TWO_HEADS = ({"autoencoder": {"share_category_head": shared}} for shared in (True, False))
OFF = {"adversarial": False}
# A variant: its title, and what it changes in the preset's model arguments.
VARIANTS = {
    "two-heads": ("a category head for each modality", TWO_HEADS),
    "two-heads-off": ("the same, the semantic constraint alone", TWO_HEADS | OFF),
    "one-head": ("one category head", ONE_HEAD),
    "one-head-off": ("the same, the semantic constraint alone", ONE_HEAD | OFF),
}


def main():
    """Run what is missing, then print the table."""
    titles = {name: title for name, (title, _) in VARIANTS.items()}
    Ablation(__file__, __doc__, titles, _train, SHOWN).main()


def preset_of(variant):
    """Return the preset of a variant: a dict."""
    from mmkeras.models import Preset

    return laid_over(Preset.load(PRESET).settings, {"arguments": VARIANTS[variant][1]})


def _train(variant, seed, folder):
    return train_preset(variant, seed, folder, RECIPE, preset_of(variant))


if __name__ == "__main__":
    main()
