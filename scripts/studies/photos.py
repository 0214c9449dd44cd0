"""What does a recipe for a few thousand photographs need? Its runs take the first 2,000 pictures of Flickr8k.

    python scripts/studies/photos.py --out runs/photos --split test                every variant, seeds 0, 1 and 2
    python scripts/studies/photos.py --out runs/photos photos-1-0 hand-1-0         some of them
    python scripts/studies/photos.py --out runs/photos --table                     only print what is there

A variant is a recipe, the captions of each picture and one of three random splits of the pictures into 1,600, 200 and
200: `photos-5-2` has all five captions and split 2. $MMKERAS_DATA holds flickr8k/captions.jsonl,
flickr8k/images_160.zip and mobilenet_v2/weights.npz; --out gets the backbone, the captions files and the runs. Choose
on dev.
"""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

from ablation import ROOT, Ablation, laid_over, recipe_settings, train_preset

PICTURES, HELD_OUT = 2000, 200
TREE, PHOTOS = "flickr8k_dual_encoder", "photos"
HAND = {"warmup_steps": 20, "epochs": 20, "batch_size": 128}
# A recipe: its title, its name, what it changes in the settings and in the preset.
RECIPES = {
    "tree": ("flickr8k_dual_encoder", TREE, {}, {}),
    "hand": ("the same, 20 epochs of batches of 128", TREE, HAND, {}),
    "photos": ("photos", PHOTOS, {}, {}),
    "random": ("photos from random weights", PHOTOS, {"start": "", "learning_rate": 1e-3}, {}),
    "whole": ("photos, no dropout of features", PHOTOS, {}, {"image_encoder": {"feature_dropout": 0.0}}),
    "warm": (
        "photos, a temperature of .2",
        PHOTOS,
        {},
        {"arguments": {"temperature": {"initial": 0.2, "lowest": 0.2}}},
    ),
}
CAPTIONS, SPLITS = (1, 5), (0, 1, 2)
SHOWN = {
    "rsum": "rsum",
    "R@1 i2t": "image_to_text_recall@1",
    "R@1 t2i": "text_to_image_recall@1",
    "R@10 i2t": "image_to_text_recall@10",
    "R@10 t2i": "text_to_image_recall@10",
}


def main():
    """Run what is missing, then print the table."""
    titles = {
        f"{name}-{captions}-{split}": f"{title}; captions {captions}, split {split}"
        for name, (title, *_) in RECIPES.items()
        for captions in CAPTIONS
        for split in SPLITS
    }
    Ablation(__file__, __doc__, titles, _train, SHOWN).main()


def _train(variant, seed, folder):
    from mmkeras.models import Preset

    name, captions, split = variant.split("-")
    _, recipe, settings, changes = RECIPES[name]
    place, out = data_folder(), folder.parent
    settings = settings | {
        "backbone": str(make_backbone(out)),
        "data": str(_captions_file(out, int(captions), int(split))),
        "image_folder": str(place / "flickr8k" / "images_160.zip"),
    }
    preset = laid_over(Preset.load(recipe_settings(recipe)["preset"]).settings, changes)
    return train_preset(variant, seed, folder, recipe, preset, settings)


@functools.cache
def data_folder():
    """Return the folder of real data sets."""
    from mmkeras.errors import MmkerasError

    if "MMKERAS_DATA" not in os.environ:
        raise MmkerasError("MMKERAS_DATA is unset: it names the folder of real data sets (flickr8k, mobilenet_v2)")
    return Path(os.environ["MMKERAS_DATA"])


def make_backbone(out):
    """Build the backbone below the folder of the runs, where it is not there yet; return its path."""
    backbone = out / "hub" / "mobilenet_v2"
    if not backbone.exists():
        build = [sys.executable, ROOT / "scripts" / "build_hub_model.py", backbone]
        subprocess.run([*build, "--weights", data_folder() / "mobilenet_v2"], check=True)
    return backbone


def _captions_file(out, captions, split):
    """Write the captions file of a random split of the first pictures, and return its path."""
    import numpy as np

    lines = (data_folder() / "flickr8k" / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    records = [record for record in map(json.loads, lines) if record["split"] == "train"][:PICTURES]
    order = np.random.default_rng(split).permutation(len(records)).tolist()
    held_out = dict.fromkeys(order[:HELD_OUT], "dev") | dict.fromkeys(order[HELD_OUT : 2 * HELD_OUT], "test")
    file = out / f"captions-{captions}-{split}.jsonl"
    with open(file, "w", encoding="utf-8") as stream:
        for row, record in enumerate(records):
            record |= {"split": held_out.get(row, "train"), "captions": record["captions"][:captions]}
            stream.write(json.dumps(record) + "\n")
    return file


if __name__ == "__main__":
    main()
