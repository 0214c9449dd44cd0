"""How long a request takes on `EmbeddedServer`: 1, 8 and 32 clients, gRPC and REST, with and without batching.

    python scripts/benchmarks/latency.py savedmodels/NAME                     about five minutes
    python scripts/benchmarks/latency.py savedmodels/NAME --seconds 10 --runs 5 --json figures.json

The requests are one text, 32 texts, and one picture (a made-up JPEG of 224 x 224). Two servers, each a process of its
own, are asked in turn, so that another load on the machine meets both: one as it is, one with serving/batching.config.
The clients are those of scripts/load_test.py: threads of one
other process, each of which asks again as soon as it is answered; both share this machine's cores, so that at many
clients the waiting counts and not the network. In every run, before its requests, the same signature is called directly
(`tf.saved_model.load`, NumPy in and NumPy out, one call at a time) in the clients' process: the yardstick.

Success is a table without errors: medians over the runs, of the direct calls' median, of the requests' median and 99th
percentile, and the requests a second at the number of clients where they are most. Exit code 1 where a request failed.
The figures that are written have all of it, and the ratio of the two medians.
"""

import argparse
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import load_test

from mmkeras.console import print_table
from mmkeras.serving.versions import find_versions

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parents[2]
REQUESTS = (("encode_text", "text", 1), ("encode_text", "text", 32), ("encode_image", "image_bytes", 1))
CLIENTS = (1, 8, 32)
SERVERS = {"no": None, "yes": ROOT / "serving" / "batching.config"}
DIRECT_CALLS = 100
SERVE = """
import sys
from mmkeras.serving import EmbeddedServer
folder, batching = sys.argv[1:]
with EmbeddedServer(folder, "benchmark", rest_port=0, batching_file=batching or None) as server:
    print(server.address, server.rest_address, flush=True)
    sys.stdin.read()
"""


def main():
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="savedmodels/NAME", help="a model's folder")
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement (default 2)")
    parser.add_argument("--runs", type=int, default=3, help="of which the medians are taken (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures too")
    options = parser.parse_args()
    if options.seconds <= 0 or options.runs < 1:
        parser.error("seconds and runs must be above 0")
    rows = measure(options.model, options.seconds, options.runs)
    print_table(
        "EmbeddedServer: p50 / p99 in ms, by the number of clients",
        ("request", "over", "batching", "direct", *(f"{clients}" for clients in CLIENTS), "requests/s, most"),
        _lines(rows),
    )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return int(any(row["errors"] for row in rows))


def measure(saved_model_dir, seconds=2, runs=3) -> list[dict]:
    """Return a dict of figures for each request, protocol, batching and number of clients.

    Args:
        saved_model_dir: a model's folder.
        seconds: of each measurement.
        runs: how often all is measured.
    """
    folder = Path(saved_model_dir).resolve()
    signatures = _signatures(folder)
    inputs = {"encode_text": load_test.texts(), "encode_image": load_test.pictures()}
    measured = {}
    with contextlib.ExitStack() as started:
        servers = {batching: started.enter_context(_Server(folder, file)) for batching, file in SERVERS.items()}
        for _ in range(runs):
            for signature, alias, rows in REQUESTS:
                direct = _direct_ms(signatures[signature], alias, inputs[signature][:rows])
                for over, clients, batching in itertools.product(("gRPC", "REST"), CLIENTS, servers):
                    asked = SimpleNamespace(
                        server=servers[batching].addresses[over],
                        model="benchmark",
                        label=None,
                        signature=signature,
                        rows=rows,
                        seconds=seconds,
                        timeout=30,
                        retries=0,
                    )
                    found = load_test.measure(asked, inputs[signature], clients)
                    case = (signature, rows, over, batching, clients)
                    measured.setdefault(case, []).append(found | {"direct_ms": direct})
    return [_medians(case, found) for case, found in sorted(measured.items(), key=_order)]


class _Server:
    """`EmbeddedServer` in a process of its own; it ends when its standard input does."""

    def __init__(self, folder, batching_file):
        command = [sys.executable, "-c", SERVE, str(folder), str(batching_file or "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"The server of {folder} did not start")
        grpc, rest = line.split()
        self.addresses = {"gRPC": grpc, "REST": f"http://{rest}"}

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._process.stdin.close()
        self._process.wait()


def _signatures(folder):
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  importing it registers its operations

    folders = find_versions(folder)
    return tf.saved_model.load(str(folders[max(folders)])).signatures


def _direct_ms(run, alias, values):
    """The median of direct calls."""
    import tensorflow as tf

    array, times = np.array(values, dtype=object), []
    for _ in range(DIRECT_CALLS):
        before = time.perf_counter()
        for output in run(**{alias: tf.constant(array)}).values():
            output.numpy()
        times.append((time.perf_counter() - before) * 1e3)
    return statistics.median(times)


def _medians(case, found):
    figures = {}
    for name in ("requests_per_second", "p50_ms", "p99_ms"):
        values = [result[name] for result in found if result[name] is not None]
        figures[name] = statistics.median(values) if values else None
    ratios = [result["p50_ms"] / result["direct_ms"] for result in found if result["p50_ms"] is not None]
    return {
        **dict(zip(("signature", "rows", "over", "batching", "clients"), case, strict=True)),
        **figures,
        "direct_ms": statistics.median(result["direct_ms"] for result in found),
        "p50_over_direct": statistics.median(ratios) if ratios else None,
        "errors": sum(sum(result["errors"].values()) for result in found),
    }


def _order(item):
    signature, rows, over, batching, clients = item[0]
    return [request[::2] for request in REQUESTS].index((signature, rows)), over != "gRPC", batching, clients


def _lines(rows):
    """A line for each request, protocol and batching."""
    lines = {}
    for row in rows:
        lines.setdefault((row["signature"], row["rows"], row["over"], row["batching"]), []).append(row)
    return [
        (
            f"{signature} x {count}",
            over,
            batching,
            f"{cells[0]['direct_ms']:.2f}",
            *(_cell(row) for row in cells),
            f"{max(row['requests_per_second'] for row in cells):,.0f}",
        )
        for (signature, count, over, batching), cells in lines.items()
    ]


def _cell(row):
    if row["errors"]:
        return f"{row['errors']:,} errors"
    return f"{row['p50_ms']:.1f} / {row['p99_ms']:.1f}"


if __name__ == "__main__":
    sys.exit(main())
