"""The training steps of our systems, beside the same steps in PyTorch.

    python scripts/benchmarks/pytorch.py                          with one thread, then with as many as there are cores
    python scripts/benchmarks/pytorch.py --threads 1              with one thread
    python scripts/benchmarks/pytorch.py CMGAN --threads 1        of one system

prints one line a measurement, steps a second and as ratio ours over PyTorch's (1 is as fast). What is measured of each
system stands in pytorch_systems.py. Needs PyTorch, whose build without CUDA is enough: `pip install -e ".[pytorch]"`.

Both sides take the recipe's network, batch and settings. That they train as many numbers is checked here, that their
losses agree is a test, tests/test_pytorch_*.py. Ours does what it does in a run, its log's figures included; PyTorch's
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
SYSTEMS = ("ModalityInvariant", "CMGAN")
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
            if ours.parameters != theirs.parameters:
                sys.exit(f"Not the same {system}: {ours.parameters} parameters, and {theirs.parameters} in PyTorch")
            for form in ours.parameters:
                rates = [(ours.steps_a_second(form), theirs.steps_a_second(form)) for _ in range(ROUNDS)]
                yield _row(f"step of {system}, {form}, threads: {threads}", rates)


def _row(what, rates):
    ratios = [one / other for one, other in rates]
    low, _, high = statistics.quantiles(ratios, n=4)
    theirs = statistics.median(other for _, other in rates)
    return {
        "what": what,
        "value": statistics.median(one for one, _ in rates),
        "unit": "steps/s",
        "yardstick": f"PyTorch {theirs:.3g} steps/s (half of the ratios {low:.2f} to {high:.2f})",
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
        self.parameters = self._answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()  # and it ends
        self._process.wait()

    def steps_a_second(self, form):
        self._process.stdin.write(f"{json.dumps(form)}\n")
        self._process.stdin.flush()
        return STEPS / self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"A process of the benchmark ended with exit code {self._process.wait()}")
        return json.loads(line)


def _serve(steps, threads):
    """Print the number of parameters of each form, then for each form that is told the seconds that its steps take."""
    for _, step in steps.values():
        for _ in range(WARM_UP):
            step()
    clock = time.process_time if threads == 1 else time.perf_counter
    print(json.dumps({form: parameters for form, (parameters, _) in steps.items()}), flush=True)
    for line in sys.stdin:
        _, step = steps[json.loads(line)]
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
