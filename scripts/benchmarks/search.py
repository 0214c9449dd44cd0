"""One search of an index: the compact precisions beside float32, in time, bytes and what they find.

    python scripts/benchmarks/search.py                        with one thread, half a minute
    python scripts/benchmarks/search.py --threads 1 4 --rounds 51 --json figures.json

100,000 random unit vectors of 256 dimensions, the hardest case, since no two are close: `EmbeddingIndex.search` for one
query and its ten best, of indices written for the purpose and read from the disk's cache. The precisions take turns, so
that another load on the machine meets each, with another query in every round. A number of threads, of NumPy's BLAS, is
a process of its own: they are settled when it starts.

Prints one line a measurement: the median, and as ratio the median of the rounds' ratios to float32. Success: int8 takes
less than 10 ms on a machine that does nothing else, and finds .98 of what float32 finds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
ITEMS, DIMENSION, K, QUERIES, ROUNDS, THREADS = 100_000, 256, 10, 500, 21, (1,)
EXACT, COMPACT = "float32", ("float16", "int8")


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--threads", type=int, nargs="+", default=THREADS, help="of BLAS, one or more numbers (default 1)"
    )
    parser.add_argument("--items", type=int, default=ITEMS, help=f"pictures in the index (default {ITEMS:,})")
    parser.add_argument("--dimension", type=int, default=DIMENSION, help=f"of the embeddings (default {DIMENSION})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of which the medians are taken (default {ROUNDS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures too")
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if min(*options.threads, options.items, options.dimension, options.rounds) < 1:
        parser.error("threads, items, dimension and rounds must be above 0")
    size = (options.items, options.dimension, options.rounds)
    if options.in_this_process:
        print(json.dumps(of_this_process(options.threads[0], *size)))
        return
    rows = measure(options.threads, *size)
    for row in rows:
        print(f"{row['what']}: {row['value']:.4g} {row['unit']} ({row['ratio']:.3f} x {row['yardstick']:.4g})")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def measure(threads=THREADS, items=ITEMS, dimension=DIMENSION, rounds=ROUNDS) -> list[dict]:
    """Rows of what, value, unit, yardstick (float32's, in the same unit) and ratio; bytes and recall stand once."""
    rows = []
    for count in threads:
        size = ["--items", str(items), "--dimension", str(dimension), "--rounds", str(rounds)]
        command = [sys.executable, __file__, "--in-this-process", "--threads", str(count), *size]
        blas = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(count))
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | blas)
        found = json.loads(done.stdout)
        rows += found if not rows else [row for row in found if row["unit"] == "ms"]
    return rows


def of_this_process(threads, items, dimension, rounds):
    """The rows of one number of threads, NumPy having been started with as many."""
    sys.path.insert(0, str(ROOT))
    from mmkeras.search import EmbeddingIndex, IndexWriter

    entries = [{"id": str(row), "text": ""} for row in range(items)]
    gallery, queries = _unit(items, dimension, 0), _unit(max(QUERIES, rounds), dimension, 1)
    k = min(K, items)
    with tempfile.TemporaryDirectory() as folder:
        indices, sizes = {}, {}
        for precision in (EXACT, *COMPACT):
            place = Path(folder, precision)
            IndexWriter("0" * 64, precision).write(place, entries, image_embeddings=gallery)
            sizes[precision] = sum(file.stat().st_size for file in place.glob("*/*_*.npy")) / 1e6
            indices[precision] = EmbeddingIndex(place)
            indices[precision].search(queries[:1], "image", k)  # the items are read with the first search
        times = {precision: [] for precision in indices}
        for query in queries[:rounds, np.newaxis]:
            for precision, index in indices.items():
                started = time.perf_counter()
                index.search(query, "image", k)
                times[precision].append((time.perf_counter() - started) * 1000)
        found = {precision: _rows_found(index, queries, k) for precision, index in indices.items()}
    name = f"{items:,} x {dimension}"
    shown = f"{threads} thread{'s' if threads > 1 else ''}"
    exact, rows = times[EXACT], []
    for precision, taken in times.items():
        ratio = statistics.median(one / other for one, other in zip(taken, exact, strict=True))
        what = f"search: {precision}, {name}, {shown}"
        rows.append(_row(what, statistics.median(taken), "ms", statistics.median(exact), ratio))
    for precision in COMPACT:
        size, whole = sizes[precision], sizes[EXACT]
        rows.append(_row(f"search: {precision}, {name}, embeddings", size, "MB", whole, size / whole))
        pairs = zip(found[EXACT], found[precision], strict=True)
        recall = sum(len(best & those) for best, those in pairs) / (k * len(queries))
        rows.append(_row(f"search: {precision}, {name}, recall@{k}", recall, "share", 1.0, recall))
    return rows


def _unit(rows, dimension, seed):
    values = np.random.default_rng(seed).standard_normal((rows, dimension), dtype=np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def _rows_found(index, queries, k):
    return [{result.item["id"] for result in results} for results in index.search(queries, "image", k)]


def _row(what, value, unit, yardstick, ratio):
    return {"what": what, "value": value, "unit": unit, "yardstick": yardstick, "ratio": ratio}


if __name__ == "__main__":
    main()
