"""The most memory that this process has held: what the benchmarks of memory take before and after."""

import resource
import sys
from pathlib import Path


def peak():
    """Return the peak resident bytes of this process.

    On Linux of its own program alone: `ru_maxrss` would count a parent that started it while it was larger.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
