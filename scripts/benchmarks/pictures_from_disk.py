"""Pictures that training reads from disk: how fast they come, and what they take of memory.

    python scripts/benchmarks/pictures_from_disk.py            about half an hour
    python scripts/benchmarks/pictures_from_disk.py speed      a minute

JPEGs of 224 px, 20 KB each as photographs are. `speed`: pictures a second of `training_batches` from a folder, a zip
and a tar, beside a bare map of the same decoder over the same bytes in memory, in as many threads. Success: ratios
above 0.9. `memory`: the peaks of processes that train an epoch, evaluate on the training split and export, on 5,000 and
on 20,000 of them, and the slope between the two, bytes a picture; the yardstick is a picture's pixels, 150,528 bytes.
Features are those of the recipe `photos`, 1,280 numbers of a MobileNetV2 and a linear start, here of a network with
random weights.
"""

import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.peak import peak

ROOT = Path(__file__).resolve().parents[2]
SIDE, BATCH, STEPS, ROUNDS = 224, 64, 40, 9
FEW, MANY = 5_000, 20_000
PIXELS = SIDE * SIDE * 3
ACTIONS = ("train", "evaluate", "export")
KINDS = {
    "pixels from disk": {"kind": "conv", "widths": [4, 8], "embedding_dim": 256},
    "features": {"kind": "backbone", "backbone": "MobileNetV2", "hidden": [], "embedding_dim": 256},
}


def write_pictures(folder, count):
    """Write JPEGs and a captions file of them; return its path."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    scenes = []
    for _ in range(16):
        waves = [np.sin(random.uniform(2, 30) * rows + random.uniform(2, 30) * columns) for _ in range(3)]
        scenes.append(127 + 100 * np.stack(waves, axis=-1))
    noise = random.normal(0, 8, (61, SIDE, SIDE, 3))
    lines = ["image,caption"]
    for row in range(count):
        # Rolled both ways, no two are equal: copies of a picture would be read as one picture.
        scene = np.roll(scenes[row % 16], (row // SIDE, row), axis=(0, 1))
        pixels = np.clip(scene + noise[row % 61], 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{row:06}.jpg", "JPEG", quality=85)
        lines.append(f"{row:06}.jpg,picture {row} of scene {row % 16}")
    (folder / "captions.csv").write_text("\n".join(lines))
    return folder / "captions.csv"


def speeds(captions):
    """Pictures a second of each place and of the bare map: dict of lists, one number a round."""
    import tensorflow as tf

    from mmkeras.data import read, training_batches
    from mmkeras.preprocessing import ImagePreprocessor

    folder = captions.parent
    pictures = sorted(folder.glob("*.jpg"))
    with zipfile.ZipFile(folder / "pictures.zip", "w") as zipped, tarfile.open(folder / "pictures.tar", "w") as tar:
        for picture in pictures:
            zipped.write(picture, picture.name)
            tar.add(picture, picture.name)
    preprocessor = ImagePreprocessor(SIDE, SIDE)
    contents = [picture.read_bytes() for picture in pictures]
    threads = os.cpu_count() or 1
    makers = {
        "bare": lambda: (
            tf.data.Dataset.from_tensor_slices(contents).map(preprocessor.decode, threads).batch(BATCH).prefetch(2)
        )
    }
    for place in (".", "pictures.zip", "pictures.tar"):
        data = read(captions, folder / place, memory_mib=0).split("all", preprocessor)
        makers[place] = lambda data=data: training_batches(data, BATCH, 0)
    measured = {name: [] for name in makers}
    for _ in range(ROUNDS):
        for name, make in makers.items():
            batches = iter(make())
            next(batches)
            start = time.perf_counter()
            for _ in range(STEPS):
                next(batches)
            measured[name].append(STEPS * BATCH / (time.perf_counter() - start))
            del batches
    return measured


def write_network(file):
    """Write weights of a MobileNetV2 that are random, but large enough that its features differ from each other."""
    import keras

    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(np.full(layer.gamma.shape, 3.0))
    network.save_weights(file)


def act(action, captions, kind, folder):
    """Train an epoch, evaluate or export in this process; return its peak of memory in bytes."""
    from mmkeras.evaluation.report.run_report import evaluate_run
    from mmkeras.export import export_run
    from mmkeras.training import Recipe, Run, train

    if action == "train":
        network = Path(folder).with_suffix(".weights.h5")
        image_encoder = dict(KINDS[kind])
        if kind == "features":
            write_network(network)
            image_encoder["weights"] = str(network)
        preset = {
            "format": 2,
            "model": "DualEncoder",
            "image_preprocessor": {"height": SIDE, "width": SIDE},
            "image_encoder": image_encoder,
            "text_preprocessor": {"vocabulary_size": 300, "sequence_length": 16},
            "text_encoder": {"kind": "bag_of_tokens", "width": 256, "embedding_dim": 256},
        }
        file = Path(folder).with_suffix(".json")
        file.write_text(json.dumps(preset))
        own = {"preset": file, "data": captions, "limit": 0, "epochs": 1, "augment_shift": 0, "memory_mib": 0}
        if kind == "features":
            own["start"] = "linear"
        settings = [f"{name}={value}" for name, value in own.items()]
        train(Run.create(folder, "glyphs_tiny", Recipe.load("glyphs_tiny", settings)), verbose=0)
    elif action == "evaluate":
        evaluate_run(Run(folder), "train")
    else:
        export_run(Run(folder), f"{folder}-exported")
    return peak()


def measure(sections=("speed", "memory")):
    """Return one row a measurement, as `scripts/benchmark.py` prints them."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["MMKERAS_CACHE"] = f"{scratch}/cache"
        if "speed" in sections:
            measured = speeds(write_pictures(Path(scratch) / "few", 2 * STEPS * BATCH))
            for place, what in ((".", "a folder"), ("pictures.zip", "a zip"), ("pictures.tar", "a tar")):
                ratios = [ours / bare for ours, bare in zip(measured[place], measured["bare"], strict=True)]
                rows.append(
                    {
                        "what": f"batches of pictures from {what}, against a bare map of the decoder",
                        "value": statistics.median(measured[place]),
                        "unit": "images/s",
                        "yardstick": statistics.median(measured["bare"]),
                        "ratio": statistics.median(ratios),
                    }
                )
        if "memory" in sections:
            files = {count: write_pictures(Path(scratch) / str(count), count) for count in (FEW, MANY)}
            for kind in KINDS:
                for action in ACTIONS:
                    few, many = (
                        _peak(action, file, kind, f"{scratch}/{kind.split()[0]}-{count}")
                        for count, file in files.items()
                    )
                    slope = (many - few) / (MANY - FEW)
                    rows.append(
                        {
                            "what": f"{action}, {kind}: peaks of {few / 2**20:,.0f} and {many / 2**20:,.0f} MiB; slope",
                            "value": slope,
                            "unit": "bytes a picture",
                            "yardstick": PIXELS,
                            "ratio": slope / PIXELS,
                        }
                    )
    return rows


def _peak(*what):
    done = subprocess.run([sys.executable, __file__, "--act", *what], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return int(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    if sys.argv[1:2] == ["--act"]:
        print(act(*sys.argv[2:]))
    else:
        for line in measure(sys.argv[1:] or ("speed", "memory")):
            print(
                f"{line['what']}: {line['value']:,.4g} {line['unit']} ({line['ratio']:.3g} x {line['yardstick']:,.4g})"
            )
