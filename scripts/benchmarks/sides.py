"""The same steps on two sides, ours and PyTorch's, measured in turns: what `pytorch.py` and `towers.py` share.

A script of these hands `rows` how it is called; `rows` starts it twice more, with `--side ours FILE` and with `--side
theirs FILE`, and there it ends in `serve`.
"""

import collections
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = "matrix product"  # what a process is told to do between its steps

# The number of parameters that a form trains; a function that takes a step; where they are to be told, of ours the name
# of the form that its time is held against, and of either the GFLOP of a step, held against a matrix product's.
Form = collections.namedtuple("Form", "parameters step over gflop", defaults=(None, None))


def rows(command, title, threads, steps, rounds):
    """Return rows {"what", "value", "unit", "yardstick", "ratio"} of all forms of a script.

    Args:
        command: the script's path and its arguments.
        title: what a form is called, "{}" where its own name belongs.
        threads: of each side. With one, a process' own CPU time is taken, else the wall clock.
        steps: taken at a time.
        rounds: turns of each side; values are medians over them.
    """
    with tempfile.TemporaryDirectory() as scratch:
        batch = str(Path(scratch) / "batch.npz")  # what the first of the two writes, the second reads
        with (
            _Side("ours", command, batch, threads, steps) as ours,
            _Side("theirs", command, batch, threads, steps) as theirs,
        ):
            parameters = [{name: form["parameters"] for name, form in side.forms.items()} for side in (ours, theirs)]
            if parameters[0] != parameters[1]:
                sys.exit(f"Not the same networks: {parameters[0]} parameters, and {parameters[1]} in PyTorch")
            measured = [_round(ours, theirs) for _ in range(rounds)]
    return list(_rows(ours.forms, theirs.forms, measured, f"{title}, threads: {threads}"))


def serve(side, forms, threads, warm_up):
    """Print what the forms of a side are, then for each whose name is told the seconds that so many steps take."""
    steps, product_gflop = {name: form.step for name, form in forms.items()}, None
    if any(form.gflop for form in forms.values()):
        from benchmarks import arithmetic

        product = {"ours": arithmetic.matrix_product, "theirs": arithmetic.pytorch_matrix_product}[side]
        steps[PRODUCT], product_gflop = product()
    for step in steps.values():
        for _ in range(warm_up):
            step()
    clock = time.process_time if threads == 1 else time.perf_counter
    told = {name: {**form._asdict(), "step": None} for name, form in forms.items()}
    print(json.dumps([told, product_gflop]), flush=True)
    for line in sys.stdin:
        name, count = json.loads(line)
        start = clock()
        for _ in range(count):
            steps[name]()
        print(clock() - start, flush=True)


def set_threads(side, threads):
    """Give the library of a side so many threads, and a seed."""
    if side == "ours":
        import keras
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        keras.utils.set_random_seed(0)
    else:
        import torch

        torch.set_num_threads(threads)
        torch.manual_seed(0)


def _round(ours, theirs):
    """Steps a second of all forms of both, and what their matrix products make, in GFLOP/s."""
    rates = {}
    for name in ours.forms:
        rates[name] = ours.rate(name)
        rates[f"PyTorch: {name}"] = theirs.rate(name)
    for side, name in ((ours, PRODUCT), (theirs, f"PyTorch: {PRODUCT}")):
        rates[name] = side.product_gflop * side.rate(PRODUCT) if side.product_gflop else None
    return rates


def _rows(ours, theirs, rounds, title):
    def of(what, factor=1.0):
        return [factor * each[what] for each in rounds]

    for name, form in ours.items():
        what, other = title.format(name), f"PyTorch: {name}"
        yield _row(what, of(name), "steps/s", "PyTorch", of(other))
        if form["over"]:
            seconds = [[1 / rate for rate in of(one)] for one in (name, form["over"])]
            yield _row(f"time of a {what}", seconds[0], "s", form["over"], seconds[1])
        if form["gflop"]:
            yield _row(f"arithmetic of a {what}", of(name, form["gflop"]), "GFLOP/s", PRODUCT, of(PRODUCT))
        if gflop := theirs[name]["gflop"]:
            product = f"PyTorch: {PRODUCT}"
            yield _row(f"PyTorch: arithmetic of a {what}", of(other, gflop), "GFLOP/s", product, of(product))


def _row(what, values, unit, yardstick, others):
    ratios = [one / other for one, other in zip(values, others, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    return {
        "what": what,
        "value": statistics.median(values),
        "unit": unit,
        "yardstick": f"{yardstick} {statistics.median(others):.3g} {unit} (half of the ratios {low:.2f} to {high:.2f})",
        "ratio": statistics.median(ratios),
    }


class _Side:
    """A process that takes steps, of a form that it is told."""

    def __init__(self, side, command, batch, threads, steps):
        self._steps = steps
        self._process = subprocess.Popen(
            [sys.executable, *command, "--side", side, batch, "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            cwd=ROOT,
        )
        self.forms, self.product_gflop = self._answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()  # and it ends
        self._process.wait()

    def rate(self, form):
        """Steps of a form a second, or matrix products."""
        self._process.stdin.write(f"{json.dumps([form, self._steps])}\n")
        self._process.stdin.flush()
        return self._steps / self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"A process of the benchmark ended with exit code {self._process.wait()}")
        return json.loads(line)
