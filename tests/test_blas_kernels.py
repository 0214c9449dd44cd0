"""Ties are ties whatever the processor: the facts about them, on each kernel of NumPy's BLAS that this machine has.

OpenBLAS reads OPENBLAS_CORETYPE when it is loaded, so each kernel is a process of its own.
"""

import functools
import json
import os
import signal
import subprocess
import sys

import pytest

FACTS = ["metrics/test_score_tiles.py", "search/test_nearest.py"]
MORE = ["metrics/test_retrieval.py", "metrics/test_reranking.py", "metrics/test_representation.py"]
# By instructions: SSE3, SSE4.2, AVX, AVX2, AVX-512; and what OpenBLAS calls them where it says which it chose.
KERNELS = {
    "Prescott": {"Prescott", "Katmai"},
    "Nehalem": {"Nehalem"},
    "Sandybridge": {"Sandybridge"},
    "Haswell": {"Haswell"},
    "Zen": {"Zen"},
    "SkylakeX": {"SkylakeX"},
    "Cooperlake": {"Cooperlake"},
    "SapphireRapids": {"SapphireRapids"},
    "NeoverseN1": {"neoversen1"},
    "NeoverseV1": {"neoversev1"},
    "ARMV8": {"armv8"},
}
CHOSEN = """
import json, numpy, threadpoolctl
one = numpy.ones((99, 99), numpy.float32)
assert (one @ one == 99).all()
print(json.dumps([pool.get("architecture") for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]))
"""


@functools.cache
def chosen_on(kernel):
    """The kernels that a process says it uses when it is told to use one; None where the processor stops it."""
    environment = os.environ | {"OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": "1"}
    probe = subprocess.run([sys.executable, "-c", CHOSEN], capture_output=True, text=True, env=environment)
    if probe.returncode == -signal.SIGILL:
        return None
    assert probe.returncode == 0, probe.stderr
    return json.loads(probe.stdout)


@pytest.mark.parametrize(
    ("threads", "facts"),
    [(1, FACTS + MORE), pytest.param(2, FACTS, marks=pytest.mark.slow)],
    ids=["one_thread", "two_threads"],
)
# The one on which ties were lost, on most processors, always; the others with the slow cases.
@pytest.mark.parametrize(
    "kernel", [one if one == "Haswell" else pytest.param(one, marks=pytest.mark.slow) for one in KERNELS]
)
def test_ties_on_a_kernel(repository, kernel, threads, facts):
    chosen = chosen_on(kernel)
    if chosen is None:
        pytest.skip(f"this processor lacks what {kernel} needs")
    if not KERNELS[kernel].intersection(chosen):
        pytest.skip(f"{kernel} was asked for, NumPy's BLAS chose {chosen}")
    counts = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), str(threads))
    files = [str(repository / "tests" / file) for file in facts]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-o",
            "addopts=--import-mode=importlib",
            "-p",
            "no:cacheprovider",
            *files,
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"OPENBLAS_CORETYPE": kernel} | counts,
        cwd=repository,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
