"""An index of a million: opened, searched exactly and by faiss, changed.

    MMKERAS_DATA=... python scripts/benchmarks/large_index.py              a million items, some minutes, 6 GB of disk
    MMKERAS_DATA=... python scripts/benchmarks/large_index.py --items 100000 --json figures.json

The embeddings are MobileNetV2's features of Flickr8k's pictures, brought to 256 dimensions by their principal
components; an item is a mixture of two of them with noise. A query is an item with noise, and another one in each
round. Everything is of one thread. Needs faiss: pip install 'mmkeras[ann]'.

Prints one line a measurement, with what it is compared with. Success: the index is open within a second and 50 MB; a
search by faiss takes 1 CPU ms at most and finds .98 of the ten nearest; an exact one takes 1.1 times what faiss'
IndexFlatIP takes for the same rows at most.
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

ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
if __name__ == "__main__":
    os.environ |= ONE_THREAD  # settled when NumPy is imported

import numpy as np  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
ITEMS, DIMENSION, K, QUERIES, ROUNDS = 1_000_000, 256, 10, 200, 21
_CHUNK = 10_000
OPENED = """
import sys, time
sys.path[:0] = sys.argv[1:3]
import numpy, mmkeras.search.index, mmkeras.search.item_table
from pathlib import Path
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
before, started = resident(), time.perf_counter()
index = mmkeras.search.index.EmbeddingIndex(sys.argv[3])
print(time.perf_counter() - started, resident() - before)
"""


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=ITEMS, help=f"in the index (default {ITEMS:,})")
    parser.add_argument("--kind", choices=("ivf", "hnsw"), default="ivf", help="of the search by faiss (default ivf)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of exact searches (default {ROUNDS})")
    parser.add_argument("--folder", type=Path, help="where the index is written (default: a temporary folder)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures too")
    options = parser.parse_args()
    data = os.environ.get("MMKERAS_DATA")
    if not data:
        parser.error("MMKERAS_DATA must name the folder of the data sets")
    features = Path(data, "flickr8k", "mobilenet_v2_features.npz")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = measure(features, Path(folder), options.items, options.rounds, options.kind)
    for row in rows:
        print(f"{row['what']}: {row['value']:.4g} {row['unit']}{row['beside']}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def measure(features, folder, items=ITEMS, rounds=ROUNDS, kind="ivf") -> list[dict]:
    """Rows of what, value, unit and beside, a text that says what to compare it with."""
    sys.path.insert(0, str(ROOT))
    from mmkeras.search import EmbeddingIndex, IndexEditor, IndexWriter, ItemBatch

    random = np.random.default_rng(0)
    points = _points(features)
    place = folder / "index"
    batches = (
        _batch(ItemBatch, points, start, min(start + _CHUNK, items), random) for start in range(0, items, _CHUNK)
    )
    found, size = [], f"{items:,} x {DIMENSION}"

    def tell(what, value, unit, beside=""):
        found.append({"what": f"{what}, {size}", "value": value, "unit": unit, "beside": beside})

    def timed(what, change):
        started = time.process_time()
        change()
        tell(what, time.process_time() - started, "CPU s")

    timed(f"building {kind}", lambda: IndexWriter("0" * 64, kind=kind).write_batches(place, batches))
    settings = EmbeddingIndex(place).manifest.approximate["image"]
    tell("recall@10 as it was built", settings["recall"], "share", f" (effort {settings['effort']})")
    seconds, grown = _opened(place)
    tell("opening", seconds, "s", " (bound 1)")
    tell("memory of an open index", grown / 1e6, "MB", " (bound 50)")
    _tell_searches(tell, EmbeddingIndex(place), random, rounds, "")
    editor, few = IndexEditor(place), items // 100
    more = [_batch(ItemBatch, points, items, items + few, random)]
    timed("adding 1 %", lambda: editor.add(more))
    gone = [f"item {row}" for row in random.choice(items, few, replace=False)]
    timed("removing 1 %", lambda: editor.remove(gone))
    _tell_searches(tell, EmbeddingIndex(place), random, rounds, ", after 1 % came and 1 % went")
    index = EmbeddingIndex(place)
    for expression in ("number < 100", "number < 1", "id = 'item 7'"):  # of 0 to 999
        query = _queries(index, random, 1)
        index.search(query, "image", K, expression)
        started = time.process_time()
        kept = len(index.where(expression))
        middle = time.process_time()
        index.search(query, "image", K, expression)
        beside = f" ({kept:,} items; {1000 * (middle - started):.1f} of it to find them)"
        tell(f"search where {expression}", 1000 * (time.process_time() - middle), "CPU ms", beside)
    del index
    timed("compacting", editor.compact)
    return found


def _tell_searches(tell, index, random, rounds, when):
    import faiss

    faiss.omp_set_num_threads(1)
    queries = _queries(index, random, QUERIES)
    index.search(queries[:1], "image", K)  # reads the file
    started = time.process_time()
    for query in queries:
        index.search(query[np.newaxis], "image", K)
    tell(f"search by faiss{when}", 1000 * (time.process_time() - started) / len(queries), "CPU ms", " (bound 1)")
    pairs = zip(_found(index, queries, False), _found(index, queries, True), strict=True)
    recall = sum(len(one & other) for one, other in pairs) / (K * len(queries))
    tell(f"recall@10{when}", recall, "share", " (bound .98)")
    flat = faiss.IndexFlatIP(DIMENSION)
    for start in range(0, index.count, _CHUNK):
        flat.add(index.embeddings("image", np.arange(start, min(start + _CHUNK, index.count))))
    ours, theirs = [], []
    for query in queries[:rounds, np.newaxis]:
        for times, search in (
            (ours, lambda query=query: index.search(query, "image", K, exact=True)),
            (theirs, lambda query=query: flat.search(query, K)),
        ):
            started = time.process_time()
            search()
            times.append(1000 * (time.process_time() - started))
    ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    beside = f" ({ratio:.3f} x {statistics.median(theirs):.4g} of IndexFlatIP, bound 1.1)"
    tell(f"exact search{when}", statistics.median(ours), "CPU ms", beside)


def _opened(place):
    """Seconds and bytes that opening takes in a process of its own, which has loaded its code; the least of three."""
    command = [sys.executable, "-c", OPENED, str(ROOT), str(ROOT / "scripts" / "benchmarks"), str(place)]
    outputs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() for _ in range(3)]
    return min(float(seconds) for seconds, _ in outputs), min(int(grown) for _, grown in outputs)


def _points(file):
    """Real pictures in 256 dimensions, (P, 256), unit norm."""
    with np.load(file) as arrays:
        features = arrays["features"].astype(np.float32)
    features = _unit(features - features.mean(axis=0))
    directions = np.linalg.svd(features[:: max(1, len(features) // 2000)], full_matrices=False)[2]
    return _unit(features @ directions[:DIMENSION].T)


def _batch(kind, points, start, end, random):
    count = end - start
    share = random.random((count, 1), dtype=np.float32)
    one, other = points[random.integers(0, len(points), (2, count))]
    noise = random.standard_normal((count, DIMENSION), dtype=np.float32)
    values = _unit(share * one + (1 - share) * other + 0.5 * noise / np.sqrt(DIMENSION))
    items = [
        {"id": f"item {row}", "text": f"a caption of the picture {row}", "number": row % 1000}
        for row in range(start, end)
    ]
    return kind(items, {"image": values})


def _queries(index, random, count):
    noise = random.standard_normal((count, DIMENSION), dtype=np.float32)
    rows = random.choice(index.count, count, replace=False)
    return _unit(index.embeddings("image", rows) + 0.5 * _unit(noise))


def _found(index, queries, exact):
    return [{result.item["id"] for result in results} for results in index.search(queries, "image", K, exact=exact)]


def _unit(values):
    return values / np.linalg.norm(values, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
