"""Retrieval metrics at COCO 5K's size, 5,000 images x 25,000 texts of 256 dimensions, against the bare matrix product.

    python scripts/benchmarks/metrics.py

prints one line a measurement, with one thread (in CPU time) and with as many as NumPy's BLAS takes by itself. Success:
recall and ranks, both ways, take at most 1.5 x the bare product (ratio at most 1.5), of distinct embeddings, with 2 %
of the texts copies of other images' ones, and of a collapsed model; and the peak memory above the inputs stays below 1
GiB (1,024 MiB). MAP sorts every row and is measured apart.

Yardstick and measured call alternate, so that another load on the machine meets both; each row gives the medians, and
as ratio the median of the pairs' ratios.
"""

import functools
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.peak import peak

ROOT = Path(__file__).resolve().parents[2]
IMAGES, TEXTS_AN_IMAGE, DIMENSION, CATEGORIES, YARDSTICK_ROWS = 5_000, 5, 256, 80, 1_000
MIB = 2**20
RANKS = "recall and ranks, both ways"
SIZE = f"{IMAGES:,} x {IMAGES * TEXTS_AN_IMAGE:,}"


def inputs():
    """Unit-norm float32 images, noisy copies of them as texts, and both id vectors."""
    random = np.random.default_rng(0)
    images = random.standard_normal((IMAGES, DIMENSION), dtype=np.float32)
    texts = random.standard_normal((IMAGES * TEXTS_AN_IMAGE, DIMENSION), dtype=np.float32)
    ids = np.arange(IMAGES)
    text_ids = np.repeat(ids, TEXTS_AN_IMAGE)
    for start in range(TEXTS_AN_IMAGE):  # in place: a temporary would raise the memory that counts as inputs
        texts[start::TEXTS_AN_IMAGE] += 0.3 * images
    for array in (images, texts):
        array /= np.sqrt(np.einsum("nd,nd->n", array, array))[:, None]
    return images, texts, ids, text_ids


def calls():
    """The bare product and the measured calls, by name."""
    sys.path.insert(0, str(ROOT))
    from mmkeras.metrics import mean_average_precision, retrieval_metrics

    images, texts, ids, text_ids = inputs()
    label, text_label = ids % CATEGORIES, text_ids % CATEGORIES
    one_image, one_text = np.broadcast_to(images[0], images.shape), np.broadcast_to(texts[0], texts.shape)

    def with_copies():
        some = texts.copy()
        copied, kept = np.random.default_rng(1).permutation(len(texts))[: len(texts) // 25].reshape(2, -1)
        some[copied] = some[kept]
        return some

    copies = functools.cache(with_copies)  # made by the first call, where it is not timed
    scores = np.empty((YARDSTICK_ROWS, len(texts)), np.float32)

    def product():
        for start in range(0, IMAGES, YARDSTICK_ROWS):
            np.matmul(images[start : start + YARDSTICK_ROWS], texts.T, out=scores)

    return {
        "product": product,
        RANKS: lambda: retrieval_metrics(images, texts, ids, text_ids),
        f"{RANKS}, 2 % of the texts copies": lambda: retrieval_metrics(images, copies(), ids, text_ids),
        f"{RANKS}, collapsed": lambda: retrieval_metrics(one_image, one_text, ids, text_ids),
        "MAP@all, image to text": lambda: mean_average_precision(images, texts, label, text_label),
        "MAP@50, image to text": lambda: mean_average_precision(images, texts, label, text_label, k=50),
    }


def peak_memory(name):
    """MiB by which the process grows beyond its inputs while the named call runs."""
    call = calls()[name]
    before = peak()
    call()
    return (peak() - before) / MIB


def seconds(call, clock=time.perf_counter):
    start = clock()
    call()
    return clock() - start


def compared(name, product, call, clock):
    """A row of the medians of a call and of the bare product, which alternate, and of the pairs' ratios."""
    seconds(product), seconds(call)  # warm up threads and pages
    pairs = [(seconds(product, clock), seconds(call, clock)) for _ in range(2 if name.startswith("MAP") else 9)]
    yardstick, value = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(own / bare for bare, own in pairs)
    return {"what": f"metrics: {name}", "value": value, "unit": "s", "yardstick": yardstick, "ratio": ratio}


def measure() -> list[dict]:
    """Rows of what, value, unit, yardstick (in the same unit) and ratio (value over yardstick)."""
    measured = calls()
    product = measured.pop("product")
    rows = []
    for name, call in measured.items():
        if name.startswith(RANKS):
            with threadpool_limits(1, "blas"):
                rows.append(compared(f"{name}, {SIZE}, one thread, CPU time", product, call, time.process_time))
        rows.append(compared(f"{name}, {SIZE}", product, call, time.perf_counter))
    for name in measured:
        run = [sys.executable, __file__, "--peak-memory", name]
        mib = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
        rows.append(
            {
                "what": f"metrics: {name}, {SIZE}, peak memory above the inputs (yardstick: 1 GiB)",
                "value": mib,
                "unit": "MiB",
                "yardstick": 1024.0,
                "ratio": mib / 1024.0,
            }
        )
    return rows


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak-memory"]:
        print(json.dumps(peak_memory(sys.argv[2])))
    else:
        for row in measure():
            print(f"{row['what']}: {row['value']:.3g} {row['unit']} ({row['ratio']:.2f} x {row['yardstick']:.3g})")
