"""What do the additions of SoftMask to ALBEF do on glyphs? Behind docs/soft-mask.md.

    python scripts/studies/soft_mask.py --out runs/soft_mask                   every variant, seeds 0, 1 and 2
    python scripts/studies/soft_mask.py --out runs/soft_mask plain all         some of them
    python scripts/studies/soft_mask.py --out runs/soft_mask hard --seeds 0    with one seed
    python scripts/studies/soft_mask.py --out runs/soft_mask --table           only print what is there

All variants train the same model for as many epochs. Success is a table of recalls on dev, fractions, and their sum in
percent, by embeddings alone and with the best of them ranked anew by the matching head.
"""

import copy

from ablation import Ablation, train_preset

RECIPE, PRESET = "glyphs_soft_mask", "soft_mask_glyphs"
PLAIN = {"gamma": 0.0, "soft_matching_weight": 0.0, "mask_text": False}
ONE_VIEW = {"augment_distortion": ""}
# A variant: its title, what it changes in the preset's model arguments, and in the recipe.
VARIANTS = {
    "plain": ("the objectives of ALBEF", PLAIN, ONE_VIEW),
    "focal": ("with focal contrast", PLAIN | {"gamma": 2.0}, ONE_VIEW),
    "soft": ("with soft masks", PLAIN | {"soft_matching_weight": 1.0}, ONE_VIEW),
    "views": ("with hidden words for all losses and distorted pictures", PLAIN | {"mask_text": True}, {}),
    "all": ("all three: the recipe", {}, {}),
    "hard": ("all three, hard masks", {"mask_mode": "hard"}, {}),
    "random": ("all three, random masks", {"mask_mode": "random"}, {}),
    "none": ("all three, the further matching without a mask", {"mask_mode": "none"}, {}),
}
SHOWN = {
    "rsum": "rsum",
    "R@1 i2t": "image_to_text_recall@1",
    "R@1 t2i": "text_to_image_recall@1",
    "R@10 i2t": "image_to_text_recall@10",
    "R@10 t2i": "text_to_image_recall@10",
    "rsum re-ranked": "reranked_rsum",
    "R@1 i2t re-ranked": "reranked_image_to_text_recall@1",
    "R@1 t2i re-ranked": "reranked_text_to_image_recall@1",
}


def main():
    """Run what is missing, then print the table."""
    titles = {name: title for name, (title, *_) in VARIANTS.items()}
    Ablation(__file__, __doc__, titles, _train, SHOWN).main()


def preset_of(variant, name=PRESET):
    """Return the preset `name` as a variant has it: a dict."""
    from mmkeras.models import load_preset

    preset = copy.deepcopy(load_preset(name))
    preset["arguments"] |= VARIANTS[variant][1]
    return preset


def _train(variant, seed, folder):
    return train_preset(variant, seed, folder, RECIPE, preset_of(variant), VARIANTS[variant][2])


if __name__ == "__main__":
    main()
