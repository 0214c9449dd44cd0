"""The training steps of our systems, beside the same steps in PyTorch.

    python scripts/benchmarks/pytorch.py                          with one thread, then with as many as there are cores
    python scripts/benchmarks/pytorch.py --threads 1              with one thread
    python scripts/benchmarks/pytorch.py CMGAN --threads 1        of one system

prints one line a measurement, steps a second and as ratio ours over PyTorch's (1 is as fast). What is measured of each
system stands in pytorch_systems.py; of some also how long our step takes beside that of another form, and its
arithmetic beside the speed of a matrix product. Needs PyTorch, whose build without CUDA is enough:
`pip install -e ".[pytorch]"`.

Both sides take the recipe's network, batch and settings. That they train as many numbers is checked here, that their
losses agree is a test, tests/pytorch. Ours does what it does in a run, its log's figures included; PyTorch's
only trains. Each has a process of its own, and these take turns, a few steps at a time, so that another load on the
machine meets both. With one thread a process' own CPU time is taken, which such a load stretches least, else the wall
clock. Values are medians over the rounds, the ratio is that of the rounds' ratios, and beside it stands between which
values the middle half of these lay.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[2]
SYSTEMS = ("ModalityInvariant", "CMGAN", "SoftMask")
PRODUCT = "matrix product"  # what our process is told to do between its steps
STEPS, WARM_UP, ROUNDS = 3, 3, 15


def measure(threads=None, systems=SYSTEMS):
    """Return rows {"what", "value", "unit", "yardstick", "ratio"}, for each of the numbers of threads: 1 and all.

    Raises:
        ModuleNotFoundError: PyTorch is not installed; says how to.
    """
    if importlib.util.find_spec("torch") is None:
        raise ModuleNotFoundError('Expected PyTorch, to measure beside. Install it: pip install -e ".[pytorch]"')
    threads = threads or dict.fromkeys((1, os.cpu_count()))
    return [row for system in systems for number in threads for row in _measure(system, number)]


def _measure(system, threads):
    with tempfile.TemporaryDirectory() as scratch:
        batch = str(Path(scratch) / "batch.npz")  # what the first of the two writes, the second reads
        with _Side("ours", system, batch, threads) as ours, _Side("theirs", system, batch, threads) as theirs:
            parameters = [{name: form["parameters"] for name, form in side.forms.items()} for side in (ours, theirs)]
            if parameters[0] != parameters[1]:
                sys.exit(f"Not the same {system}: {parameters[0]} parameters, and {parameters[1]} in PyTorch")
            rounds = [_round(ours, theirs) for _ in range(ROUNDS)]
    for name, form in ours.forms.items():
        mine, other, product = ([each[what] for each in rounds] for what in (name, f"PyTorch: {name}", PRODUCT))
        what = f"step of {system}, {name}, threads: {threads}"
        yield _row(what, mine, "steps/s", "PyTorch", other)
        if form["over"]:
            seconds = [[1 / each[one] for each in rounds] for one in (name, form["over"])]
            yield _row(f"time of a {what}", seconds[0], "s", form["over"], seconds[1])
        if form["gflop"]:
            yield _row(f"arithmetic of a {what}", [form["gflop"] * rate for rate in mine], "GFLOP/s", PRODUCT, product)


def _round(ours, theirs):
    """Steps a second of all forms of both, and what a matrix product makes, in GFLOP/s."""
    rates = {}
    for name in ours.forms:
        rates[name] = ours.rate(name)
        rates[f"PyTorch: {name}"] = theirs.rate(name)
    rates[PRODUCT] = ours.product_gflop * ours.rate(PRODUCT) if ours.product_gflop else None
    return rates


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
    """A process that takes training steps of one system, of a form that it is told."""

    def __init__(self, side, system, batch, threads):
        self._process = subprocess.Popen(
            [sys.executable, __file__, system, "--side", side, batch, "--threads", str(threads)],
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
        self._process.stdin.write(f"{json.dumps(form)}\n")
        self._process.stdin.flush()
        return STEPS / self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"A process of the benchmark ended with exit code {self._process.wait()}")
        return json.loads(line)


def _serve(forms, threads):
    """Print what the forms are, then for each whose name is told the seconds that its steps take."""
    steps, product_gflop = {name: form.step for name, form in forms.items()}, None
    if any(form.gflop for form in forms.values()):
        from arithmetic import matrix_product

        steps[PRODUCT], product_gflop = matrix_product()
    for step in steps.values():
        for _ in range(WARM_UP):
            step()
    clock = time.process_time if threads == 1 else time.perf_counter
    told = {name: {**form._asdict(), "step": None} for name, form in forms.items()}
    print(json.dumps([told, product_gflop]), flush=True)
    for line in sys.stdin:
        step = steps[json.loads(line)]
        start = clock()
        for _ in range(STEPS):
            step()
        print(clock() - start, flush=True)


def _ours(system, batch_file, threads):
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    keras.utils.set_random_seed(0)
    _serve(system.ours(batch_file), threads)


def _theirs(system, batch_file, threads):
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    _serve(system.theirs(batch_file), threads)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help=", ".join(SYSTEMS))
    parser.add_argument("--threads", type=int, action="append", metavar="N")
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.systems) - set(SYSTEMS):
        parser.error(f"no system {', '.join(sorted(unknown))}; there are {', '.join(SYSTEMS)}")
    sys.path.insert(0, str(ROOT))
    if options.side:
        import pytorch_systems

        name, file = options.side
        (system,) = options.systems
        {"ours": _ours, "theirs": _theirs}[name](getattr(pytorch_systems, system), file, *options.threads)
    else:
        for row in measure(options.threads, options.systems or SYSTEMS):
            print(row)
