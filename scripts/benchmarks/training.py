"""The training step of the demo's model: examples a second, share of the matrix-product peak, and what XLA and op
determinism cost.

    python scripts/benchmarks/training.py

prints one line a measurement. Variants alternate within one run, after a warm-up that leaves tracing and compilation
out; each row gives medians. The step's arithmetic is counted by TensorFlow's profiler on the forward graph, times three
(a backward pass takes two forward passes' products).

Op determinism cannot be switched off again within a process, so it is measured in processes of its own, which alternate
with processes without it.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[2]
RECIPE = "glyphs_dual_encoder"
STEPS, ROUNDS, PROCESS_PAIRS = 10, 5, 3


def measure():
    """Return rows {"what", "value", "unit", "yardstick", "ratio"}."""
    plain = _in_own_process()
    # Alternating, so that another load on the machine meets both modes.
    pairs = [(_in_own_process("--deterministic")["graph"], _in_own_process()["graph"]) for _ in range(PROCESS_PAIRS)]
    step, peak = plain["graph"], plain["peak_gflops"]
    rows = [
        _row("training step", plain["batch"] / step, "examples/s", None, None),
        _row("training step, arithmetic", plain["gflop"] / step, "GFLOP/s", f"matrix product {peak:.0f} GFLOP/s", peak),
        _row(
            "training step, XLA", plain["batch"] / plain["xla"], "examples/s", "the plain graph", plain["batch"] / step
        ),
    ]
    value = statistics.median(deterministic / usual for deterministic, usual in pairs)
    rows.append(_row("training step, op determinism", value, "x time", "the plain graph", 1.0))
    return rows


def _row(what, value, unit, yardstick, yardstick_value):
    ratio = None if yardstick_value is None else value / yardstick_value
    return {"what": what, "value": value, "unit": unit, "yardstick": yardstick, "ratio": ratio}


def _in_own_process(*flags):
    result = subprocess.run(
        [sys.executable, __file__, "--child", *flags], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return json.loads(result.stdout.splitlines()[-1])


def _child(deterministic):
    sys.path.insert(0, str(ROOT))
    import keras
    import tensorflow as tf
    from arithmetic import count_gflop, matrix_product

    from mmkeras.data import Glyphs, training_batches
    from mmkeras.models import DualEncoder
    from mmkeras.training import Recipe

    keras.utils.set_random_seed(0)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    recipe = Recipe.load(RECIPE)
    data = Glyphs().split("train")
    compiled = {"graph": False} if deterministic else {"graph": False, "xla": True}
    models = {}
    for name, jit_compile in compiled.items():
        models[name] = DualEncoder.from_preset(recipe.preset, texts=data.texts)
        models[name].compile(jit_compile=jit_compile)
    model = models["graph"]
    batch = next(iter(training_batches(data, recipe.batch_size, 0, model.text_preprocessor)))

    def steps(model):
        for _ in range(STEPS):
            model.train_on_batch(batch)

    calls = {name: lambda model=model: steps(model) for name, model in models.items()}
    calls["peak"], product_gflop = matrix_product()
    for call in calls.values():
        call()
    times = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    seconds = {name: statistics.median(values) for name, values in times.items()}
    peak = product_gflop / seconds.pop("peak")
    result = {name: value / STEPS for name, value in seconds.items()}
    inputs = {key: batch[key] for key in ("image", "token_ids")}
    gflop = 3 * count_gflop(lambda inputs: model(inputs, training=True), inputs)
    print(json.dumps({**result, "peak_gflops": peak, "batch": recipe.batch_size, "gflop": gflop}))


if __name__ == "__main__":
    if "--child" in sys.argv:
        _child("--deterministic" in sys.argv)
    else:
        for row in measure():
            print(row)
