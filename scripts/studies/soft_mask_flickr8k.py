"""What do the additions of SoftMask to ALBEF do on photographs? Behind the Flickr8k table of docs/soft-mask.md.

    python scripts/studies/soft_mask_flickr8k.py --out runs/soft_flickr8k --seeds 0      plain and all, with one seed
    python scripts/studies/soft_mask_flickr8k.py --out runs/soft_flickr8k --table        only print what is there

$MMKERAS_DATA holds flickr8k/captions.jsonl and flickr8k/images_160.zip. The variants are those of soft_mask.py, the
networks begin at random weights. A run takes twenty minutes on one core, and goes on where it was cut off.
"""

import os
from pathlib import Path

from ablation import Ablation
from soft_mask import ALIGN, SHOWN, VARIANTS, measure, train_variant

RECIPE = "flickr8k_soft_mask"
TRAINED = (ALIGN, "plain", "all")
SHOWN = {
    **SHOWN,
    "R@5 i2t": "image_to_text_recall@5",
    "R@5 t2i": "text_to_image_recall@5",
}


def main():
    """Run what is missing, then print the table."""
    Ablation(__file__, __doc__, {name: VARIANTS[name][0] for name in TRAINED}, _train, SHOWN, measure).main()


def _train(variant, seed, folder):
    from mmkeras.errors import MmkerasError

    if "MMKERAS_DATA" not in os.environ:
        raise MmkerasError("MMKERAS_DATA is unset: it names the folder of real data sets (flickr8k)")
    place = Path(os.environ["MMKERAS_DATA"], "flickr8k")
    data = {"data": str(place / "captions.jsonl"), "image_folder": str(place / "images_160.zip")}
    return train_variant(variant, seed, folder, RECIPE, data)


if __name__ == "__main__":
    main()
