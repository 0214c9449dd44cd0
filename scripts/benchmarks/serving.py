"""Requests a second of `EmbeddedServer`, against direct calls of the same signature at the same batch.

    python scripts/benchmarks/serving.py savedmodels/NAME

prints one line a measurement: the signatures `encode_text` and `encode_pixels` at 1 and 32 rows a request, one request
at a time, and at 32 rows with four requests in flight. Success: a ratio that nears 1 where the model has work to do (32
rows); at one row of a small model the network's fixed cost shows.

Client and server share this process. The direct calls are those of `tf.saved_model.load` in this process, NumPy in and
NumPy out, from as many threads as there are requests in flight. Rounds of both alternate, so that another load on the
machine meets both; each row gives the medians, and as ratio the median of the rounds' ratios. Beside one request at a
time stands a bare handler: the same gRPC server with a function that only runs the session, asked with bytes that are
ready and answered with such. What is between it and the embedded server is this package's own work.
"""

import contextlib
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ((1, 1), (32, 1), (32, 4))  # rows a request, requests in flight
ROUNDS, ROUND_SECONDS = 7, 0.4
TEXT = "latin small letter d with topbar {}"


def per_second(call, in_flight=1):
    """How often `call` runs in a second, over one round, in so many threads."""
    start = time.perf_counter()

    def repeat(_):
        count = 0
        while time.perf_counter() - start < ROUND_SECONDS:
            call()
            count += 1
        return count

    if in_flight == 1:
        count = repeat(0)
    else:
        with ThreadPoolExecutor(in_flight) as threads:
            count = sum(threads.map(repeat, range(in_flight)))
    return count / (time.perf_counter() - start)


def inputs(metadata, batch):
    """By signature: the name of its input and its array of `batch` rows."""
    random = np.random.default_rng(0)
    size = metadata["signatures"]["encode_pixels"]["inputs"]["image"]["shape"][1:]
    texts = np.array([TEXT.format(row) for row in range(batch)], dtype=object)
    return {
        "encode_text": ("text", texts),
        "encode_pixels": ("image", random.integers(0, 256, [batch, *size], dtype=np.uint8)),
    }


@contextlib.contextmanager
def bare_handler(servable):
    """Give a function of (signature, input's name, array) that returns a call of what only runs the session."""
    import grpc

    from mmkeras.serving import protos
    from mmkeras.serving.server.predict import predict
    from mmkeras.serving.tensors import as_array, encode_tensor

    runs = {}

    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details):
            run = runs[handler_call_details.method]
            return grpc.unary_unary_rpc_method_handler(lambda content, context: run())

    server = grpc.server(ThreadPoolExecutor(8), handlers=[Handler()])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:

        def call_of(signature, name, array):
            request = protos.PredictRequest(model_spec=protos.ModelSpec(name="bare", signature_name=signature))
            request.inputs[name].CopyFrom(encode_tensor(array))
            content, answer = request.SerializeToString(), predict(servable, request).SerializeToString()
            feeds, aliases = {name: as_array(array)}, sorted(servable.signatures[signature].outputs)

            def run():
                servable.run(signature, feeds, aliases, 60)
                return answer

            method = f"/bare/{signature}{len(array)}"
            runs[method] = run
            call = channel.unary_unary(method)
            return lambda: call(content, timeout=60)

        yield call_of
    server.stop(0)


def compare(what, direct, calls, in_flight):
    """Return a row for each of `calls`, a dict from what is added to `what`."""
    for call in (direct, *calls.values()):
        call()  # warm up
    rounds = [[per_second(call, in_flight) for call in (direct, *calls.values())] for _ in range(ROUNDS)]
    yardstick = statistics.median(rates[0] for rates in rounds)
    return [
        {
            "what": what + more,
            "value": statistics.median(rates[position] for rates in rounds),
            "unit": "requests/s",
            "yardstick": yardstick,
            "ratio": statistics.median(rates[position] / rates[0] for rates in rounds),
        }
        for position, more in enumerate(calls, start=1)
    ]


def measure(saved_model_dir) -> list[dict]:
    """Rows of what, value, unit, yardstick (in the same unit) and ratio (value over yardstick).

    Args:
        saved_model_dir: a model's folder, or one version in it.
    """
    sys.path.insert(0, str(ROOT))
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  importing it registers its operations

    from mmkeras.serving import Client, EmbeddedServer
    from mmkeras.serving.server.servable import Servable
    from mmkeras.serving.versions import find_versions

    folder = Path(saved_model_dir).resolve()
    is_version = (folder / "saved_model.pb").exists()
    base_path, version = (folder.parent, int(folder.name)) if is_version else (folder, None)
    rows = []
    with (
        EmbeddedServer(base_path, "benchmark", version=version) as server,
        Client(server.address, "benchmark") as client,
    ):
        direct_path = find_versions(base_path)[server.version]
        signatures = tf.saved_model.load(str(direct_path)).signatures
        with bare_handler(Servable(direct_path, "bare", server.version)) as bare_call:
            for batch, in_flight in MEASURED:
                for signature, (name, array) in inputs(client.metadata(), batch).items():
                    run = signatures[signature]

                    def direct(run=run, name=name, array=array):
                        return {key: value.numpy() for key, value in run(**{name: tf.constant(array)}).items()}

                    def served(signature=signature, name=name, array=array):
                        return client.predict(signature, {name: array})

                    calls = {"": served}
                    if in_flight == 1:
                        calls[" (bare handler)"] = bare_call(signature, name, array)
                    what = f"serving: {signature}, {batch} rows a request, {in_flight} at a time"
                    rows += compare(what, direct, calls, in_flight)
    return rows


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for row in measure(sys.argv[1]):
        print(f"{row['what']}: {row['value']:.4g} {row['unit']} ({row['ratio']:.2f} x {row['yardstick']:.4g})")
