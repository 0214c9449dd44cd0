"""How many requests a model server answers, and how fast, at given numbers of clients.

    python scripts/load_test.py --model glyphs                          texts, 1, 8 and 32 clients, 10 s each
    python scripts/load_test.py --model glyphs --clients 64 --seconds 60 --rows 16
    python scripts/load_test.py --model glyphs --signature encode_image --pictures some/folder
    python scripts/load_test.py --server http://127.0.0.1:8501 --model glyphs --label canary --json figures.json

The server is to be running (`mmkeras serve`, or serving/compose.yaml); a test on its own machine measures both. Each
client is a thread with a connection of its own, and asks again as soon as it is answered. A request that the server
refuses for want of threads is counted as an error, and not sent again, unless --retries says so.

Success is a table: requests and rows a second, the median and the 99th percentile of the answered requests' times in
milliseconds, and the errors by code; exit code 1 where there are any.
"""

import argparse
import collections
import io
import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from mmkeras.console import print_table
from mmkeras.errors import MmkerasError
from mmkeras.serving import Client, ServingError

SIGNATURES = ("encode_text", "encode_image", "encode_image_tolerant")
WORDS = "latin greek cyrillic small capital letter digit sign arrow with above below left right omega alpha".split()
DIFFERENT = 256  # inputs that are made, so that no cache sees the same one again and again


def main(arguments=None):
    """Measure, print and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="127.0.0.1:8500", help="HOST:PORT, or http://HOST:PORT of the REST port")
    parser.add_argument("--model", required=True, help="name of the served model")
    parser.add_argument("--label", help="version label, such as canary")
    parser.add_argument("--signature", choices=SIGNATURES, default=SIGNATURES[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32], help="default 1 8 32")
    parser.add_argument("--seconds", type=float, default=10, help="for each number of clients (default 10)")
    parser.add_argument("--rows", type=int, default=1, help="rows a request (default 1)")
    parser.add_argument("--pictures", type=Path, help="folder of pictures (default: made-up ones of 224 x 224, JPEG)")
    parser.add_argument("--timeout", type=float, default=10, help="seconds a request may take (default 10)")
    parser.add_argument("--retries", type=int, default=0, help="of a refused request (default 0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures too")
    options = parser.parse_args(arguments)
    if min(*options.clients, options.rows) < 1 or min(options.seconds, options.timeout) <= 0:
        parser.error("clients, rows, seconds and timeout must be above 0")
    try:
        inputs = texts() if options.signature == "encode_text" else pictures(options.pictures)
    except FileNotFoundError as error:
        parser.error(str(error))
    try:
        _probe(options, inputs)
    except ServingError:
        pass  # it is counted
    except MmkerasError as error:
        parser.error(str(error))
    results = [measure(options, inputs, clients) for clients in options.clients]
    print_table(
        f"{options.signature} of {options.model} at {options.server}, {options.rows} rows a request",
        ("clients", "requests/s", "rows/s", "p50 ms", "p99 ms", "errors"),
        [_shown(result) for result in results],
    )
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return int(any(result["errors"] for result in results))


def _probe(options, inputs):
    """Ask once: what is wrong with the address or the model shows here."""
    with Client(options.server, options.model, label=options.label, timeout=options.timeout, retries=0) as client:
        getattr(client, options.signature)(inputs[:1])


def measure(options, inputs, clients):
    """Ask with so many clients at a time; return a dict of figures."""
    milliseconds, errors = [[] for _ in range(clients)], [collections.Counter() for _ in range(clients)]
    ready, started = threading.Barrier(clients + 1), threading.Event()
    settings = {"timeout": options.timeout, "retries": options.retries, "label": options.label}
    settings["max_batch"] = options.rows  # one request a call

    def ask(number):
        with Client(options.server, options.model, **settings) as client:
            call = getattr(client, options.signature)
            position = number
            try:
                call(_batch(inputs, position, options.rows))  # connects, and is not counted
            except ServingError:
                pass  # counted below, where it happens again
            ready.wait()
            started.wait()
            while time.perf_counter() < end:
                position += clients
                batch = _batch(inputs, position, options.rows)
                before = time.perf_counter()
                try:
                    call(batch)
                except ServingError as error:
                    errors[number][error.code] += 1
                    time.sleep(0.01)  # a server that is away must not be asked a million times
                else:
                    milliseconds[number].append((time.perf_counter() - before) * 1e3)

    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(clients)]
    for thread in threads:
        thread.start()
    ready.wait()
    begin = time.perf_counter()
    end = begin + options.seconds
    started.set()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin
    answered = np.array([value for values in milliseconds for value in values])
    median, slowest = np.percentile(answered, [50, 99]) if len(answered) else (None, None)
    return {
        "clients": clients,
        "requests_per_second": len(answered) / seconds,
        "rows_per_second": len(answered) * options.rows / seconds,
        "p50_ms": median,
        "p99_ms": slowest,
        "errors": dict(sum(errors, collections.Counter())),
    }


def _batch(inputs, position, rows):
    return [inputs[(position * rows + row) % len(inputs)] for row in range(rows)]


def texts():
    """Return different texts."""
    random = np.random.default_rng(0)
    return [" ".join(random.choice(WORDS, 5)) for _ in range(DIFFERENT)]


def pictures(folder=None):
    """Return the bytes of a folder's pictures, or of made-up ones: smooth, so that they are as long as photographs'."""
    if folder is not None:
        files = [file for file in sorted(folder.glob("*")) if file.suffix.lower() in (".jpg", ".jpeg", ".png")]
        if not files:
            raise FileNotFoundError(f"no .jpg, .jpeg or .png in {folder}")
        return [file.read_bytes() for file in files[:DIFFERENT]]
    random, made = np.random.default_rng(0), []
    for _ in range(DIFFERENT):
        file = io.BytesIO()
        coarse = Image.fromarray(random.integers(0, 256, (28, 28, 3), np.uint8))
        coarse.resize((224, 224), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        made.append(file.getvalue())
    return made


def _shown(result):
    def number(value, digits):
        return "-" if value is None else f"{value:,.{digits}f}"

    errors = ", ".join(f"{code} {count:,}" for code, count in sorted(result["errors"].items()))
    return (
        f"{result['clients']}",
        number(result["requests_per_second"], 1),
        number(result["rows_per_second"], 1),
        number(result["p50_ms"], 2),
        number(result["p99_ms"], 2),
        errors or "none",
    )


if __name__ == "__main__":
    sys.exit(main())
