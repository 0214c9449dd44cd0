"""The training step of `ModalityInvariant`, beside the same step in PyTorch.

    python scripts/benchmarks/pytorch.py                 with one thread, then with as many as there are cores
    python scripts/benchmarks/pytorch.py --threads 1     with one thread

prints one line a measurement, steps a second and as ratio ours over PyTorch's (1 is as fast): a step of the triplet
loss alone, as in the recipe's first stages, and one with the classifier's updates and both losses, as in its last.
Needs PyTorch, whose build without CUDA is enough: `pip install -e ".[pytorch]"`.

Both take the recipe's network, batch and settings. That they train as many numbers is checked here, that their losses
agree is a test, tests/test_pytorch_step.py. Ours does what it does in a run, its log's figures included; PyTorch's only
trains. Each has a process of its own, and these take turns, a few steps at a time, so that another load on the machine
meets both. With one thread a process' own CPU time is taken, which such a load stretches least, else the wall clock.
Values are medians over the rounds, the ratio is that of the rounds' ratios, and beside it stands between which values
the middle half of these lay.
"""

import argparse
import functools
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
RECIPE = "glyphs_modality_invariant"
STEPS, WARM_UP, ROUNDS = 3, 3, 15
FORMS = {"triplet": "triplet loss alone", "joint": "triplet loss and modality classifier"}


def measure(threads=None):
    """Return rows {"what", "value", "unit", "yardstick", "ratio"}, for each of the numbers of threads: 1 and all.

    Raises:
        ModuleNotFoundError: PyTorch is not installed; says how to.
    """
    if importlib.util.find_spec("torch") is None:
        raise ModuleNotFoundError('Expected PyTorch, to measure beside. Install it: pip install -e ".[pytorch]"')
    threads = threads or dict.fromkeys((1, os.cpu_count()))
    return [row for number in threads for row in _measure(number)]


def _measure(threads):
    with tempfile.TemporaryDirectory() as scratch:
        batch = str(Path(scratch) / "batch.npz")  # what the first of the two writes, the second reads
        with _Side("ours", batch, threads) as ours, _Side("theirs", batch, threads) as theirs:
            if ours.parameters != theirs.parameters:
                sys.exit(f"Not the same network: {ours.parameters} parameters, and {theirs.parameters} in PyTorch")
            for form, name in FORMS.items():
                rates = [(ours.steps_a_second(form), theirs.steps_a_second(form)) for _ in range(ROUNDS)]
                yield _row(f"training step, {name}, threads: {threads}", rates)


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
    """A process that takes training steps of one form when it is asked."""

    def __init__(self, name, batch, threads):
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--side", name, batch, "--threads", str(threads)],
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
        self._process.stdin.write(f"{form}\n")
        self._process.stdin.flush()
        return STEPS / self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"A process of the benchmark ended with exit code {self._process.wait()}")
        return json.loads(line)


def _serve(parameters, steps, threads):
    """Print the number of parameters, then for each form that is asked for the seconds that its steps take."""
    for step in steps.values():
        for _ in range(WARM_UP):
            step()
    clock = time.process_time if threads == 1 else time.perf_counter
    print(parameters, flush=True)
    for line in sys.stdin:
        step = steps[line.strip()]
        start = clock()
        for _ in range(STEPS):
            step()
        print(clock() - start, flush=True)


def _ours(batch_file, threads):
    import keras
    import numpy as np
    import tensorflow as tf

    from mmkeras.data import Glyphs, training_batches
    from mmkeras.models import ModalityInvariant
    from mmkeras.training import Recipe

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    keras.utils.set_random_seed(0)
    recipe = Recipe.load(RECIPE)
    data = Glyphs().split("train")
    models = {form: ModalityInvariant.from_preset(recipe.preset, texts=data.texts) for form in FORMS}
    parameters = sum(variable.numpy().size for variable in models["joint"].trainable_variables)
    models["triplet"].set_stage(["image_encoder", "text_encoder"], modality_weight=0.0)
    for model in models.values():
        model.compile()
    preprocessor = model.text_preprocessor
    batch = next(iter(training_batches(data, recipe.batch_size, 0, preprocessor)))
    arrays = {name: values.numpy() for name, values in batch.items()}
    np.savez(batch_file, vocabulary_size=preprocessor.vocabulary_size, **arrays)
    steps = {form: functools.partial(model.train_on_batch, batch) for form, model in models.items()}
    _serve(parameters, steps, threads)


def _theirs(batch_file, threads):
    import numpy as np
    import torch
    from pytorch_step import PyTorchStep

    from mmkeras.models import load_preset
    from mmkeras.training import Recipe

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    arrays = np.load(batch_file)
    batch = {name: torch.from_numpy(arrays[name]) for name in ("image", "token_ids", "image_id")}
    preset = load_preset(Recipe.load(RECIPE).preset)
    sides = {form: PyTorchStep.from_preset(preset, int(arrays["vocabulary_size"])) for form in FORMS}
    steps = {form: functools.partial(getattr(side, form), batch) for form, side in sides.items()}
    _serve(sides["joint"].count_parameters(), steps, threads)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, action="append", metavar="N")
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if options.side:
        {"ours": _ours, "theirs": _theirs}[options.side[0]](options.side[1], *options.threads)
    else:
        for row in measure(options.threads):
            print(row)
