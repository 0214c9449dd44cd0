"""Makes a captions file of Wikipedia's raw texts, so that a text encoder of one's own learns from words and not topics.

    pip install "mmkeras[studies]"                                            what it takes: PyArrow
    python scripts/studies/wikipedia_texts.py --data FOLDER --out wikipedia
    mmkeras train RECIPE data=wikipedia/captions.jsonl image_folder=wikipedia/images.npz targets=category

FOLDER is $MMKERAS_DATA/wikipedia by default and holds `features.npz` and `texts.parquet`, whose rows are those of train
and then of val. Success is a captions file with a text and a category a line, and beside it the features of the
pictures, by the names of their sections: for a preset with an image encoder of kind `features`.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np

SPLITS = ("train", "val")


def main():
    """Read both files, check that they fit, and write the two others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the set (default: $MMKERAS_DATA/wikipedia)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    options = parser.parse_args()
    if options.data is None and not os.environ.get("MMKERAS_DATA"):
        parser.error("MMKERAS_DATA is unset: name the folder of the set with --data")
    folder = options.data or Path(os.environ["MMKERAS_DATA"]) / "wikipedia"
    try:
        from pyarrow.parquet import read_table
    except ImportError as error:
        sys.exit(f'Reading texts.parquet takes PyArrow: pip install "mmkeras[studies]" ({error})')
    texts = read_table(folder / "texts.parquet", columns=["text_id", "text"]).to_pylist()
    with np.load(folder / "features.npz") as features:
        write_captions(dict(features), texts, options.out)
    print(f"Written: {options.out / 'captions.jsonl'} and {options.out / 'images.npz'}, {len(texts)} pairs")


def write_captions(features, texts, out):
    """Write `captions.jsonl` and `images.npz`.

    Args:
        features: dict of arrays `id_SPLIT`, `image_SPLIT`, `label_SPLIT` (from 1) and `categories`.
        texts: list of dicts with `text_id`, which is the id, and `text`, of all splits in turn.
        out: folder; made where missing.
    """
    names = np.concatenate([features[f"id_{split}"] for split in SPLITS]).tolist()
    if names != [text["text_id"] for text in texts]:
        sys.exit("Expected the texts in the order of the features, by text_id. Received: another order")
    splits = [split for split in SPLITS for _ in features[f"id_{split}"]]
    labels = np.concatenate([features[f"label_{split}"] for split in SPLITS])
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "captions.jsonl", "w", encoding="utf-8") as file:
        for name, split, label, text in zip(names, splits, labels, texts, strict=True):
            line = {"image": name, "split": split, "captions": [text["text"]]}
            file.write(json.dumps(line | {"label": str(features["categories"][label - 1])}, ensure_ascii=False) + "\n")
    np.savez(out / "images.npz", names=names, features=np.concatenate([features[f"image_{split}"] for split in SPLITS]))


if __name__ == "__main__":
    main()
