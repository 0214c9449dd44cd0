"""Pictures a second of `ImagePreprocessor.decode` in a tf.data map, against the bare TensorFlow operations.

    python scripts/benchmarks/input_pipeline.py

prints one line a measurement: 256 px JPEGs to 224 px in two threads. Success: the ratio to bare decoding and resizing
is above 0.8 (the header check, the choice of format and the rounding cost the rest), and without a resize the ratio to
bare decoding too. Antialiasing is the resize's own cost: the row that decodes to 224 px has bare decoding as its second
yardstick. What a map costs once an iterator (an epoch), before its first picture, is measured apart.

Yardstick and measured map alternate, so that another load on the machine meets both; each row gives the medians, and
as ratio the median of the rounds' ratios.
"""

import io
import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PICTURES, WARM_UP, SIDE, TARGET, ROUNDS, THREADS = 500, 50, 256, 224, 7, 2


def pictures():
    """JPEGs of 256 px: smooth colour with a little noise, about 20 KB each as photographs are."""
    from PIL import Image

    random = np.random.default_rng(0)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    encoded = []
    for _ in range(32):
        waves = [np.sin(random.uniform(2, 30) * rows + random.uniform(2, 30) * columns) for _ in range(3)]
        noise = random.normal(0, 8, (SIDE, SIDE, 3))
        pixels = np.clip(127 + 100 * np.stack(waves, axis=-1) + noise, 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=90)
        encoded.append(file.getvalue())
    return encoded


def maps():
    """The functions that a data set maps over encoded pictures, by name."""
    import tensorflow as tf

    sys.path.insert(0, str(ROOT))
    from mmkeras.preprocessing import ImagePreprocessor

    def bare(data):
        return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")

    def resized(data, antialias):
        return tf.image.resize(bare(data), (TARGET, TARGET), antialias=antialias)

    return {
        "bare decode": bare,
        "bare decode, resize with antialias": lambda data: resized(data, True),
        "bare decode, resize without antialias": lambda data: resized(data, False),
        "decode to 256 px (no resize needed)": ImagePreprocessor(SIDE, SIDE).decode,
        "decode to 224 px with antialias": ImagePreprocessor(TARGET, TARGET).decode,
        "decode to 224 px without antialias": ImagePreprocessor(TARGET, TARGET, antialias=False).decode,
    }


PAIRS = [
    ("decode to 256 px (no resize needed)", "bare decode"),
    ("decode to 224 px with antialias", "bare decode, resize with antialias"),
    ("decode to 224 px with antialias", "bare decode"),
    ("decode to 224 px without antialias", "bare decode, resize without antialias"),
]


def measure():
    """Return one dict a row: what, value, unit, yardstick, ratio (value / yardstick: 1 is as fast)."""
    import tensorflow as tf

    source = tf.data.Dataset.from_tensor_slices(pictures()).cache().repeat()
    datasets = {name: source.map(function, num_parallel_calls=THREADS) for name, function in maps().items()}
    speeds, starts = ({name: [] for name in datasets} for _ in range(2))
    for _ in range(ROUNDS):
        for name, dataset in datasets.items():
            start = time.perf_counter()
            iterator = iter(dataset)
            next(iterator)
            starts[name].append(time.perf_counter() - start)
            for _ in range(WARM_UP):
                next(iterator)
            start = time.perf_counter()
            for _ in range(PICTURES):
                next(iterator)
            speeds[name].append(PICTURES / (time.perf_counter() - start))
            del iterator  # and its threads
    rows = [row(*pair, speeds, "images/s") for pair in PAIRS]
    return [*rows, row(*PAIRS[1], starts, "s to the first picture")]


def row(what, yardstick, measured, unit):
    """Return the medians of two maps' measurements and of their ratios, as `measure` hands them on."""
    ratios = [ours / bare for ours, bare in zip(measured[what], measured[yardstick], strict=True)]
    return {
        "what": f"input pipeline: {what}, against {yardstick}",
        "value": statistics.median(measured[what]),
        "unit": unit,
        "yardstick": statistics.median(measured[yardstick]),
        "ratio": statistics.median(ratios),
    }


if __name__ == "__main__":
    for line in measure():
        print(f"{line['what']}: {line['value']:.3g} {line['unit']} ({line['ratio']:.2f} x {line['yardstick']:.3g})")
