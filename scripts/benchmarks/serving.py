"""Requests a second of `EmbeddedServer`, against direct calls of the same signature at the same batch.

    python scripts/benchmarks/serving.py savedmodels/NAME

prints one line a measurement: the signatures `encode_text` and `encode_pixels` at 1 and 32 rows a request. Success: a
ratio that nears 1 where the model has work to do (32 rows); at one row of a small model the network's fixed cost shows.

Client and server share this process, one request at a time. The direct calls are those of `tf.saved_model.load` in
this process, NumPy in and NumPy out. Rounds of both alternate, so that another load on the machine meets both; each row
gives the medians, and as ratio the median of the rounds' ratios.
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
BATCHES = (1, 32)
ROUNDS, ROUND_SECONDS = 7, 0.4
TEXT = "latin small letter d with topbar {}"


def per_second(call):
    """How often `call` runs in a second, over one round."""
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < ROUND_SECONDS:
        call()
        count += 1
    return count / (time.perf_counter() - start)


def inputs(metadata, batch):
    """By signature: the name of its input and its array of `batch` rows."""
    random = np.random.default_rng(0)
    size = metadata["signatures"]["encode_pixels"]["inputs"]["image"]["shape"][1:]
    texts = np.array([TEXT.format(row) for row in range(batch)], dtype=object)
    return {
        "encode_text": ("text", texts),
        "encode_pixels": ("image", random.integers(0, 256, [batch, *size], dtype=np.uint8)),
    }


def measure(saved_model_dir) -> list[dict]:
    """Rows of what, value, unit, yardstick (in the same unit) and ratio (value over yardstick).

    Args:
        saved_model_dir: a model's folder, or one version in it.
    """
    sys.path.insert(0, str(ROOT))
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  importing it registers its operations

    from mmkeras.serving import Client, EmbeddedServer
    from mmkeras.serving.versions import find_versions

    folder = Path(saved_model_dir).resolve()
    is_version = (folder / "saved_model.pb").exists()
    base_path, version = (folder.parent, int(folder.name)) if is_version else (folder, None)
    rows = []
    with (
        EmbeddedServer(base_path, "benchmark", version=version) as server,
        Client(server.address, "benchmark") as client,
    ):
        direct_path = find_versions(base_path)[server.version]
        signatures = tf.saved_model.load(str(direct_path)).signatures
        for batch in BATCHES:
            for signature, (name, array) in inputs(client.metadata(), batch).items():
                run = signatures[signature]

                def direct(run=run, name=name, array=array):
                    return {key: value.numpy() for key, value in run(**{name: tf.constant(array)}).items()}

                def served(signature=signature, name=name, array=array):
                    return client.predict(signature, {name: array})

                direct(), served()  # warm up
                rounds = [(per_second(direct), per_second(served)) for _ in range(ROUNDS)]
                yardstick, value = (statistics.median(rates) for rates in zip(*rounds, strict=True))
                rows.append(
                    {
                        "what": f"serving: {signature} over gRPC against direct calls, {batch} rows a request",
                        "value": value,
                        "unit": "requests/s",
                        "yardstick": yardstick,
                        "ratio": statistics.median(own / bare for bare, own in rounds),
                    }
                )
    return rows


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for row in measure(sys.argv[1]):
        print(f"{row['what']}: {row['value']:.4g} {row['unit']} ({row['ratio']:.2f} x {row['yardstick']:.4g})")
