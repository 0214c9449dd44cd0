"""Does the adversary help on photographs? Behind the Flickr8k table of docs/modality-invariant.md.

    python scripts/studies/modality_invariant_flickr8k.py --out runs/flickr8k             every variant, seeds 0, 1, 2
    python scripts/studies/modality_invariant_flickr8k.py --out runs/flickr8k B1 B3       some of them
    python scripts/studies/modality_invariant_flickr8k.py --out runs/flickr8k --table     only print what is there

$MMKERAS_DATA holds flickr8k/captions.jsonl, flickr8k/mobilenet_v2_features.npz and mobilenet_v2/weights.npz. The model
of every run holds the MobileNetV2, built into --out/hub, and takes pictures; training reads the features. Every variant
has the same number of epochs in all. A run takes about five minutes on one core.
"""

import os
import subprocess
import sys
from pathlib import Path

from ablation import ROOT, Ablation, recipe_settings, train_run
from modality_invariant import ENCODERS, SHOWN, stage

RECIPE = "flickr8k_modality_invariant"
RATE = 1e-3
JOINT = {"warmup_steps": 0, "reversal_ramp": 0.3}

METHOD = [
    stage("triplet", 4, "hardest", ENCODERS, final_learning_rate=RATE / 2),
    stage("classifier", 1, "hardest", ["modality_classifier"], 0.1),
    stage("joint", 3, "hardest", (), 0.1, learning_rate=RATE / 2, **JOINT),
]
# A variant: its title, its recipe, and its stages.
VARIANTS = {
    "InfoNCE": ("the same encoders, InfoNCE", "flickr8k_dual_encoder", []),
    "B0": ("triplet, all negatives", RECIPE, [stage("triplet", 8, "sum", ENCODERS)]),
    "B1": ("triplet, hardest negative", RECIPE, [stage("triplet", 8, "hardest", ENCODERS)]),
    "B2": ("B1 and the adversary, one stage", RECIPE, [stage("joint", 8, "hardest", (), 0.1, reversal_ramp=0.3)]),
    "B3": ("the method: stages", RECIPE, METHOD),
}
SHOWN = {
    **SHOWN,
    "R@5 i2t": "image_to_text_recall@5",
    "R@5 t2i": "text_to_image_recall@5",
}


def main():
    """Run what is missing, then print the table."""
    titles = {name: variant[0] for name, variant in VARIANTS.items()}
    Ablation(__file__, __doc__, titles, _train, SHOWN).main()


def _train(variant, seed, folder):
    from mmkeras.errors import MmkerasError
    from mmkeras.training import Recipe

    if "MMKERAS_DATA" not in os.environ:
        raise MmkerasError("MMKERAS_DATA is unset: it names the folder of real data sets (flickr8k, mobilenet_v2)")
    place = Path(os.environ["MMKERAS_DATA"])
    backbone = folder.parent / "hub" / "mobilenet_v2"
    if not backbone.exists():
        build = [sys.executable, ROOT / "scripts" / "build_hub_model.py", backbone]
        subprocess.run([*build, "--weights", place / "mobilenet_v2"], check=True)
    _, name, stages = VARIANTS[variant]
    settings = recipe_settings(name) | {
        "backbone": str(backbone),
        "data": str(place / "flickr8k" / "captions.jsonl"),
        "image_folder": str(place / "flickr8k" / "mobilenet_v2_features.npz"),
        "epochs": 8,
        "seed": seed,
        "stages": stages,
    }
    return train_run(folder, name, Recipe.from_settings(settings))


if __name__ == "__main__":
    main()
