"""What do frozen published networks give on Flickr8k, and what does the recipe photos_pretrained need?

    python scripts/studies/flickr8k_pretrained.py --out runs/pretrained               every variant, seeds 0, 1 and 2
    python scripts/studies/flickr8k_pretrained.py --out runs/pretrained whole scratch some of them
    python scripts/studies/flickr8k_pretrained.py --out runs/pretrained --table       only print what is there

$MMKERAS_DATA holds flickr8k/captions.jsonl, flickr8k/images_160.zip, efficientnet_lite2, mobilenet_v2 and
all_minilm_l6_v2. The first run computes the features of 7,000 pictures and 35,000 captions, a quarter of an hour on two
cores; they are cached for all others. MiniLM's training saw the captions of Flickr30k, which contain those of Flickr8k:
variants with it say so, `scratch` and `scratch-mobilenet` are free of it.
"""

from ablation import Ablation, recipe_settings, train_preset, train_run, write_preset
from photos import SHOWN, data_folder

RECIPE = "photos_pretrained"
MINILM = "MiniLM saw these captions"
PICTURES = ("efficientnet_lite2", "mobilenet_v2")
# Tokens from scratch in place of MiniLM, with the tokenizer that is learnt of the captions.
SCRATCH = {
    "text_preprocessor": {"vocabulary_size": 5000, "sequence_length": None},
    "text_encoder": {
        "kind": "bag_of_tokens",
        "width": 512,
        "dropout": 0.3,
        "token_dropout": 0.2,
        "embedding_dim": 512,
    },
}
NO_VIEWS = {"stages": False, "mirrored": False}
# A variant: its title, its networks of pictures, what changes in the image encoder and in the text encoder, and what
# takes the place of whole groups of the preset.
PLAIN_IMAGES, PLAIN_TEXTS = {"scaling": "layer", "stages": False, "mirrored": False}, {"scaling": "layer", "bag": 0}
VARIANTS = {
    "plain": (
        f"both networks of pictures and MiniLM, layer normalisations; {MINILM}",
        PICTURES,
        PLAIN_IMAGES,
        PLAIN_TEXTS,
    ),
    "scaled": (f"the same, features scaled over the data; {MINILM}", PICTURES, NO_VIEWS, {"bag": 0}),
    "bag": (f"the same with a bag of tokens beside MiniLM; {MINILM}", PICTURES, NO_VIEWS, {}),
    "stages": (f"the same with earlier maps of the pictures; {MINILM}", PICTURES, {"mirrored": False}, {}),
    "whole": (f"the recipe: the same with mirror images; {MINILM}", PICTURES, {}, {}),
    "mobilenet": (f"the recipe with MobileNetV2 alone; {MINILM}", PICTURES[1:], {}, {}),
    "efficientnet": (f"the recipe with EfficientNet-Lite2 alone; {MINILM}", PICTURES[:1], {}, {}),
    "scratch": ("the recipe with a bag of tokens from scratch", PICTURES, {}, None),
    "scratch-mobilenet": ("the same with MobileNetV2 alone", PICTURES[1:], {}, None),
    "tuned": (f"the recipe, then MiniLM's own weights too, half an hour; {MINILM}", PICTURES, {}, {}),
}
# What a variant has in place of the recipe's own training.
SETTINGS = {
    "tuned": {
        "stages": [
            {"name": "heads", "epochs": 10, "trains": ["image_encoder", "text_encoder"]},
            {
                "name": "words",
                "epochs": 2,
                "trains": ["image_encoder", "text_encoder", "text_backbone"],
                "learning_rate": 3e-4,
                "optimizers": {"backbones": {"learning_rate": 3e-5}},
            },
        ]
    }
}


def main():
    """Run what is missing, then print the table."""
    shown = SHOWN | {"R@5 i2t": "image_to_text_recall@5", "R@5 t2i": "text_to_image_recall@5"}
    Ablation(__file__, __doc__, {name: title for name, (title, *_) in VARIANTS.items()}, _train, shown).main()


def _train(variant, seed, folder):
    from mmkeras.models import Preset
    from mmkeras.training import Recipe

    place = data_folder()
    _, pictures, image_changes, text_changes = VARIANTS[variant]
    preset = Preset.load(recipe_settings(RECIPE)["preset"]).settings
    paths, texts = [str(place / name) for name in pictures], str(place / "all_minilm_l6_v2")
    preset["image_preprocessor"]["checkpoint"] = paths
    preset["image_encoder"] |= {"checkpoint": paths, **image_changes}
    if text_changes is None:
        preset |= SCRATCH
    else:
        preset["text_preprocessor"]["checkpoint"] = texts
        preset["text_encoder"] |= {"checkpoint": texts, **text_changes}
    data = {
        "data": str(place / "flickr8k" / "captions.jsonl"),
        "image_folder": str(place / "flickr8k" / "images_160.zip"),
    }
    if variant not in SETTINGS:
        return train_preset(variant, seed, folder, RECIPE, preset, data)
    given = {"preset": write_preset(folder, variant, preset), "seed": seed, **data, **SETTINGS[variant]}
    # The stages have the epochs.
    own = {name: value for name, value in recipe_settings(RECIPE).items() if name != "epochs"}
    return train_run(folder, RECIPE, Recipe.from_settings(own | given))


if __name__ == "__main__":
    main()
