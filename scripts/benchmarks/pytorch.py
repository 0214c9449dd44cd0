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
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import sides

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SYSTEMS = ("ModalityInvariant", "CMGAN", "SoftMask")
STEPS, WARM_UP, ROUNDS = 3, 3, 15


def measure(threads=None, systems=SYSTEMS):
    """Return rows {"what", "value", "unit", "yardstick", "ratio"}, for each of the numbers of threads: 1 and all.

    Raises:
        ModuleNotFoundError: PyTorch is not installed; says how to.
    """
    if importlib.util.find_spec("torch") is None:
        raise ModuleNotFoundError('Expected PyTorch, to measure beside. Install it: pip install -e ".[pytorch]"')
    threads = threads or dict.fromkeys((1, os.cpu_count()))
    return [
        row
        for system in systems
        for number in threads
        for row in sides.rows([__file__, system], f"step of {system}, {{}}", number, STEPS, ROUNDS)
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help=", ".join(SYSTEMS))
    parser.add_argument("--threads", type=int, action="append", metavar="N")
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.systems) - set(SYSTEMS):
        parser.error(f"no system {', '.join(sorted(unknown))}; there are {', '.join(SYSTEMS)}")
    if options.side:
        from benchmarks import pytorch_systems

        side, file = options.side
        (system,), (threads,) = options.systems, options.threads
        sides.set_threads(side, threads)
        sides.serve(side, getattr(getattr(pytorch_systems, system), side)(file), threads, WARM_UP)
    else:
        for row in measure(options.threads, options.systems or SYSTEMS):
            print(row)
