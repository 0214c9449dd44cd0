"""Every system trains upon published encoders: frozen ones, and with their towers."""

import json

import numpy as np
import pytest
from PIL import Image

from mmkeras.export import export_run
from mmkeras.parity import check_exported
from mmkeras.training import Recipe, Run, train
from mmkeras.training.log import read_log

from ..encoders.published_folders import write_bert, write_vit

COLOURS = {"red": (200, 20, 20), "green": (20, 180, 20), "blue": (20, 20, 200)}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "picture", "dark", "bright", *COLOURS]
SYSTEMS = {
    "DualEncoder": {},
    "ModalityInvariant": {"adversary": {"classifier_hidden": [8]}},
    "AdversarialBackprop": {"adversary": {"classifier_hidden": [8]}},
    "CMGAN": {"autoencoder": {"units": 8}, "discriminators": {"hidden": 8}, "generator_steps": 1},
    "SoftMask": {
        "fusion": {"depth": 2, "heads": 2, "initializer_range": None, "attention_block": 0},
        "teacher": {"queue_size": 24, "alpha_ramp_steps": 4},
        "token_masking": {"vocabulary_size": len(WORDS), "mask_id": 4, "special_ids": [0, 1, 2, 3, 4]},
    },
}
BOTH = ["image_encoder", "image_backbone", "text_encoder", "text_backbone"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a published network of each modality, and pictures with captions and categories."""
    folder = tmp_path_factory.mktemp("systems")
    write_vit(folder / "vit")
    bert = write_bert(folder / "bert", vocabulary=len(WORDS))
    (bert / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    (bert / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    rng, records = np.random.default_rng(0), []
    for row in range(48):
        name, colour = list(COLOURS.items())[row % 3]
        pixels = np.clip(np.array(colour) + rng.integers(-20, 20, (16, 16, 3)), 0, 255).astype("uint8")
        Image.fromarray(pixels).save(folder / f"{row}.png")
        caption = f"a {'dark' if row % 2 else 'bright'} {name} picture {'a ' * (row // 6)}".strip()
        split = "train" if row < 36 else "dev"
        records.append({"image": f"{row}.png", "split": split, "captions": [caption], "category": name})
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, records)))
    return folder


def create(place, folder, system, trains):
    head = {"kind": "pretrained", "embedding_dim": None if system == "CMGAN" else 8}
    preset = {
        "format": 2,
        "model": system,
        "arguments": SYSTEMS[system],
        "image_preprocessor": {"kind": "published", "checkpoint": str(place / "vit")},
        "image_encoder": {**head, "checkpoint": str(place / "vit")},
        "text_preprocessor": {"kind": "published", "checkpoint": str(place / "bert"), "sequence_length": 16},
        "text_encoder": {**head, "checkpoint": str(place / "bert")},
    }
    file = place / f"{system}.json"
    file.write_text(json.dumps(preset))
    categories = system in ("AdversarialBackprop", "CMGAN")
    settings = {
        "preset": str(file),
        "data": str(place / "captions.jsonl"),
        "targets": "category" if categories else "",
        "batch_size": 12,
        "checkpoint_steps": 1,
        "deterministic": False,
        "stages": [{"name": "one", "epochs": 1, "trains": trains}] if trains else [],
        "warmup_steps": 0,
    }
    if not trains:
        settings["epochs"] = 1
    return Run.create(folder, system, Recipe.from_settings(settings))


@pytest.mark.parametrize("trains", [[], BOTH], ids=["frozen", "tuned"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_trains_upon_published_encoders(place, tmp_path, system, trains):
    run = create(place, tmp_path / "run", system, trains)
    model = train(run, verbose=0)
    (row,) = read_log(run.file("log.csv"))
    assert np.isfinite(row["loss"])
    fresh = type(model).from_preset(
        run.recipe.load_preset(),
        text_preprocessor=model.text_preprocessor,
        **({"label_names": model.label_names} if model.label_names else {}),
    )
    for name, encoder in model.given_encoders().items():
        before, after = (each.pretrained.get_weights() for each in (fresh.given_encoders()[name], encoder))
        moved = any(not np.array_equal(one, other) for one, other in zip(before, after, strict=True))
        assert moved == bool(trains), name
    loaded = run.load_model()
    texts = ["a dark red picture"]
    np.testing.assert_allclose(loaded.encode_text(texts), model.encode_text(texts), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_what_it_trained_is_served_as_it_is(place, tmp_path, system):
    run = create(place, tmp_path / "run", system, [])
    train(run, verbose=0)
    export_run(run, tmp_path / "served" / "model")
    _, compared = check_exported(tmp_path / "served" / "model")
    assert compared and all(comparison.passed for comparison in compared)
