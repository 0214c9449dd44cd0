"""Photographs in folders by class, without captions: pairs with the class's name, or training by category?

    python scripts/studies/photos_by_class.py --out runs/classes --split test     every variant, seeds 0, 1 and 2
    python scripts/studies/photos_by_class.py --out runs/classes --table          only print what is there

The pictures are those of Flickr8k that at least four of five captions give one of seven classes and at most one caption
another, no more than 250 a class, 80/10/10. A text is the class's name. Held-out pictures are asked for by the seven
names (MAP, and R@1: the first picture is of the class), and the names by the pictures (R@1: the class is right).
$MMKERAS_DATA holds flickr8k/captions.jsonl, flickr8k/images_160.zip and mobilenet_v2/weights.npz. Choose on dev.
"""

import collections
import json
import re

from ablation import Ablation, laid_over, recipe_settings, train_preset
from photos import PHOTOS, data_folder, make_backbone

MOST = 250
WORDS = {
    "dog": "dog dogs puppy puppies",
    "child": "child children boy boys girl girls kid kids toddler baby",
    "man": "man men guy",
    "woman": "woman women lady ladies",
    "bike": "bike bikes bicycle bicycles biker bikers cyclist bmx motorcycle motorbike",
    "snow": "snow snowy snowboarder snowboard ski skier skis skiing skiier snowboarding",
    "water": "water ocean lake river pool sea wave waves surfer surfboard",
}
BY_CATEGORY = "glyphs_adversarial_backprop"
ALONE = {"arguments": {"adversary": {"weight": 0.0}}}
STEPS = {"epochs": 60, "warmup_steps": 40, "batch_size": 128, "learning_rate": 1e-3}
# A variant: its title, its recipe, and what it changes in the settings and in the preset.
VARIANTS = {
    "pairs": ("DualEncoder, recipe photos", PHOTOS, {}, {}),
    "categories": ("category loss alone", BY_CATEGORY, STEPS, ALONE),
    "adversary": ("AdversarialBackprop", BY_CATEGORY, STEPS, {}),
}
SHOWN = {"MAP t2i": "text_to_image_map", "R@1 t2i": "text_to_image_recall@1", "R@1 i2t": "image_to_text_recall@1"}


def main():
    """Run what is missing, then print the table."""
    titles = {name: title for name, (title, *_) in VARIANTS.items()}
    Ablation(__file__, __doc__, titles, _train, SHOWN, _measure).main()


def _train(variant, seed, folder):
    from mmkeras.models import Preset

    _, recipe, settings, changes = VARIANTS[variant]
    out = folder.parent
    settings = settings | {
        "backbone": str(make_backbone(out)),
        "data": str(_captions_file(out, seed)),
        "image_folder": str(data_folder() / "flickr8k" / "images_160.zip"),
        "targets": "category",
        "augment_shift": 0,
    }
    preset = Preset.load(recipe_settings(recipe)["preset"]).settings
    if recipe == BY_CATEGORY:  # its losses and its 12 dimensions, upon the encoders of the photographs
        photos = Preset.load(PHOTOS).settings
        encoders = ("image_preprocessor", "image_encoder", "text_preprocessor", "text_encoder")
        preset = preset | {part: photos[part] for part in encoders}
        changes = laid_over(changes, {part: {"embedding_dim": 12} for part in ("image_encoder", "text_encoder")})
    preset = laid_over(preset, laid_over({"text_preprocessor": {"vocabulary_size": 30}}, changes))
    return train_preset(variant, seed, folder, recipe, preset, settings)


def _measure(run, split, model):
    import numpy as np

    from mmkeras.encoders import picture_loader
    from mmkeras.metrics.retrieval import mean_average_precision

    data = run.load_data(split, picture_loader(model.image_encoder, model.image_preprocessor))
    image, text = model.encode_image(data.images), model.encode_text(list(data.label_names))
    score = text @ image.T
    classes = np.arange(len(data.label_names))
    return {
        "text_to_image_map": mean_average_precision(text, image, classes, data.label),
        "text_to_image_recall@1": np.mean(data.label[score.argmax(axis=1)] == classes),
        "image_to_text_recall@1": np.mean(score.argmax(axis=0) == data.label),
    }


def _captions_file(out, seed):
    """Write the captions file of the classes, with a random split of its own for each seed; return its path."""
    import numpy as np

    words = {name: set(of_class.split()) for name, of_class in WORDS.items()}
    of_class = collections.defaultdict(list)
    for line in (data_folder() / "flickr8k" / "captions.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        texts = [set(re.findall("[a-z]+", caption.lower())) for caption in record["captions"]]
        count = {name: sum(bool(known & text) for text in texts) for name, known in words.items()}
        best = max(count, key=count.get)
        if count[best] >= 4 and all(number <= 1 for name, number in count.items() if name != best):
            of_class[best].append(record["image"])
    file = out / f"classes-{seed}.jsonl"
    with open(file, "w", encoding="utf-8") as stream:
        for name in WORDS:
            pictures = of_class[name][:MOST]
            for place, row in enumerate(np.random.default_rng(seed).permutation(len(pictures)).tolist()):
                split = "dev" if place < len(pictures) // 10 else "test" if place < len(pictures) // 5 else "train"
                record = {"image": pictures[row], "split": split, "captions": [name], "label": name}
                stream.write(json.dumps(record) + "\n")
    return file


if __name__ == "__main__":
    main()
