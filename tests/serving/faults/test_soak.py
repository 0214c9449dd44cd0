"""Versions change under load from clients of both kinds: no error, no wrong answer, and memory that does not grow."""

import json
import os
import threading
import time
from pathlib import Path

import grpc
import numpy as np
import pytest

from mmkeras.serving import Client, EmbeddedServer, protos
from mmkeras.serving.tensors import decode_tensor, encode_tensor

PREDICT = "/tensorflow.serving.PredictionService/Predict"
ROWS = np.float32([1, 2, 3])


class Load:
    """Clients that ask without a pause and check each answer against the version that it says it comes from."""

    def __init__(self, address, rest_address, grpc_clients=2, rest_clients=2):
        self.address, self.rest_address = address, rest_address
        self.answers = {}  # version -> number of answers
        self.faults = []
        self._lock, self._ended = threading.Lock(), threading.Event()
        asking = [self._ask_over_grpc] * grpc_clients + [self._ask_over_rest] * rest_clients
        self._threads = [threading.Thread(target=self._repeat, args=(ask,), daemon=True) for ask in asking]
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._ended.set()
        for thread in self._threads:
            thread.join(30)

    def _repeat(self, ask):
        """Take (x, y, versions of the rows, version of the answer or None) from `ask` until the end."""
        newest, step = 0, 0
        steps = ask()
        while not self._ended.is_set():
            step += 1
            x = ROWS * (step % 1000)
            try:
                next(steps)
                y, versions, version = steps.send(x)
            except Exception as error:
                self.faults.append(repr(error))
                steps = ask()
                continue
            version = int(versions[0]) if version is None else version
            # A client never meets an older version than it has met.
            if not (versions == version).all() or not (y == x * version).all() or version < newest:
                self.faults.append((x.tolist(), y.tolist(), versions.tolist(), version, newest))
            newest = version
            with self._lock:
                self.answers[version] = self.answers.get(version, 0) + 1

    def _ask_over_grpc(self):
        with grpc.insecure_channel(self.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            predict = channel.unary_unary(PREDICT)
            while True:
                x = yield
                request = protos.PredictRequest(model_spec={"name": "times"}, inputs={"x": encode_tensor(x)})
                response = protos.PredictResponse.FromString(predict(request.SerializeToString(), timeout=20))
                outputs = {name: decode_tensor(proto) for name, proto in response.outputs.items()}
                yield outputs["y"], outputs["version"], response.model_spec.version.value

    def _ask_over_rest(self):
        with Client(f"http://{self.rest_address}", "times", timeout=20, retries=0) as client:
            while True:
                x = yield
                outputs = client.predict("", {"x": x})
                yield outputs["y"], outputs["version"], None


def resident_mib(pid="self"):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


class ResidentMemory:
    """The memory of a process, looked at twenty times a second from a thread of its own."""

    def __init__(self, pid):
        self.pid = pid
        self.mib = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self):
        while not self._ended.wait(0.05):
            self.mib.append(resident_mib(self.pid))

    def stop(self):
        self._ended.set()
        self._thread.join(30)

    def mean_between(self, begin, end):
        """The mean from one share of the whole time to another, 0 to 1."""
        count = len(self.mib)
        return float(np.mean(self.mib[int(begin * count) : int(np.ceil(end * count))]))


def soak(address, rest_address, publish, settles, seconds, changes, pid="self"):
    """Load a server that serves version 1 for so long, while versions 2, 3, ... are published; return figures."""
    load, resident, started = Load(address, rest_address), ResidentMemory(pid), time.monotonic()
    try:
        for change in range(changes + 1):
            if change:
                publish(change + 1)
                assert settles(lambda version=change + 1: load.answers.get(version)), f"no answer of {change + 1}"
            time.sleep(max(0, started + (change + 1) * seconds / (changes + 1) - time.monotonic()))
    finally:
        resident.stop()
        load.stop()

    figures = {
        "answers": sum(load.answers.values()),
        "seconds": time.monotonic() - started,
        "versions": sorted(load.answers),
        "faults": load.faults[:5],
        "MiB after a third": resident.mean_between(1 / 3, 1 / 2),
        "MiB at the end": resident.mean_between(5 / 6, 1),
    }
    print(json.dumps(figures))
    return figures


pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="reads the memory in use from /proc")


def test_four_changes_in_four_seconds(publish, base_path, settles):
    publish(1)
    with EmbeddedServer(base_path, rest_port=0, poll_seconds=0.05) as server:
        figures = soak(server.address, server.rest_address, publish, settles, seconds=4, changes=4)
    assert figures["faults"] == []
    assert figures["versions"] == [1, 2, 3, 4, 5]
    # Everything is in this one process, and four seconds are short.
    assert figures["MiB at the end"] < figures["MiB after a third"] + 64


@pytest.mark.slow
def test_twelve_changes_in_a_minute(serve, publish, base_path, settles):
    publish(1)
    server = serve(base_path, "--port", 0, "--rest-port", 0)
    rest_address = server.rest_address.removeprefix("http://")
    figures = soak(server.address, rest_address, publish, settles, seconds=60, changes=12, pid=server.pid)
    assert figures["faults"] == []
    assert figures["versions"] == list(range(1, 14))
    assert figures["answers"] > 1000
    assert figures["MiB at the end"] < figures["MiB after a third"] + 32
    assert server.errors == []
