"""The client against the embedded server, and against servers that are away, busy or strange."""

import pickle
import subprocess
import sys
import time
from concurrent import futures

import grpc
import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import Client, ServingError, protos
from mmkeras.serving.tensors import encode_tensor


class ScriptedServer:
    """Answer Predict and GetModelStatus with the next of a list: a response, or a gRPC status code to fail with."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []
        self._server = grpc.server(futures.ThreadPoolExecutor(1))
        handler = grpc.unary_unary_rpc_method_handler(self._answer)
        for service, method in (("PredictionService", "Predict"), ("ModelService", "GetModelStatus")):
            generic = grpc.method_handlers_generic_handler(f"tensorflow.serving.{service}", {method: handler})
            self._server.add_generic_rpc_handlers([generic])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def _answer(self, content, context):
        self.requests.append(content)
        answer = self.answers.pop(0)
        if isinstance(answer, grpc.StatusCode):
            context.abort(answer, "as scripted")
        return answer.SerializeToString()

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *exception):
        self._server.stop(None)


def embeddings(rows, version=1):
    response = protos.PredictResponse(outputs={"embedding": encode_tensor(np.full([rows, 2], version, np.float32))})
    response.model_spec.version.value = version
    return response


def rows_asked(server):
    return [
        protos.PredictRequest.FromString(content).inputs["text"].tensor_shape.dim[0].size for content in server.requests
    ]


def test_predict(toy_client):
    outputs = toy_client.predict("pair", {"a": [1.0, 2.0], "b": np.array([3, 5], np.float32)})
    assert outputs["sum"].dtype == np.float32
    assert {name: values.tolist() for name, values in outputs.items()} == {"sum": [4.0, 7.0], "mean": [2.0, 3.5]}
    outputs = toy_client.predict("upper", {"text": ["\u03c9mega", b"\xff"]})
    assert outputs["upper"].tolist() == ["\u03c9MEGA".encode(), b"\xff"]


def test_named_methods(toy_client, tmp_path):
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"12345")
    assert toy_client.encode_text(["ab", "abcd"]).tolist() == [[2, 4], [4, 8]]
    assert toy_client.encode_image([picture, str(picture), b"1\x00"]).tolist() == [[5, 10], [5, 10], [2, 4]]
    pixels = np.full([2, 4, 4, 3], 7, np.uint8)
    pixels[1] = 255
    assert toy_client.encode_pixels(pixels).tolist() == [[7] * 3, [255] * 3]
    scores = toy_client.match([picture, b"x"], ["12345", "y"])
    assert scores.dtype == np.float32 and scores.tolist() == [1, 0]
    assert toy_client.space_id() == "space-2"


def test_rows_are_split_into_requests(toy_server):
    with Client(toy_server.address, "toy", max_batch=3) as client:
        texts = ["x" * length for length in range(1, 9)]
        assert client.encode_text(texts)[:, 0].tolist() == list(range(1, 9))
        assert client.match([b"a"] * 7, ["a", "b"] * 3 + ["a"]).tolist() == [1, 0, 1, 0, 1, 0, 1]
    with ScriptedServer(embeddings(3), embeddings(3), embeddings(1)) as server:
        with Client(server.address, "m", max_batch=3, concurrency=1) as client:
            assert client.encode_text(["t"] * 7).shape == (7, 2)
        assert rows_asked(server) == [3, 3, 1]


def test_rows_of_two_versions_are_never_mixed():
    with ScriptedServer(embeddings(1, 1), embeddings(1, 2), embeddings(1, 2), embeddings(1, 2)) as server:
        with Client(server.address, "m", max_batch=1) as client:
            assert client.encode_text(["a", "b"]).tolist() == [[2, 2], [2, 2]]
    with ScriptedServer(*[embeddings(1, version) for version in range(6)]) as server:
        with Client(server.address, "m", max_batch=1) as client, pytest.raises(ServingError) as caught:
            client.encode_text(["a", "b"])
        assert caught.value.code == "ABORTED"


def test_metadata_and_status(toy_client):
    metadata = toy_client.metadata()
    assert (metadata["model"], metadata["version"]) == ("toy", 2)
    assert "__saved_model_init_op" not in metadata["signatures"]
    assert metadata["signatures"]["encode_pixels"] == {
        "inputs": {"image": {"dtype": "uint8", "shape": [None, 4, 4, 3]}},
        "outputs": {"embedding": {"dtype": "float32", "shape": [None, 3]}},
    }
    assert metadata["signatures"]["slow"]["inputs"]["steps"] == {"dtype": "int32", "shape": []}
    ready = {"version": 2, "state": "AVAILABLE", "error_code": "OK", "error_message": ""}
    assert toy_client.status() == [ready]


def test_a_version_is_asked_for(toy_server):
    with Client(toy_server.address, "toy", version=2) as client:
        assert client.encode_text(["a"]).shape == (1, 2)
        assert client.metadata()["version"] == 2
    with Client(toy_server.address, "toy", version=0) as client, pytest.raises(ServingError) as caught:
        client.encode_text(["a"])
    assert (caught.value.code, caught.value.details) == (
        "NOT_FOUND",
        "Servable not found for request: Specific(toy, 0)",
    )
    assert "model 'toy'" in str(caught.value) and toy_server.address in str(caught.value)


def test_no_rows_are_never_sent(toy_client):
    for call in (
        lambda: toy_client.encode_text([]),
        lambda: toy_client.encode_image([]),
        lambda: toy_client.encode_pixels(np.zeros([0, 4, 4, 3], np.uint8)),
        lambda: toy_client.match([], []),
        lambda: toy_client.predict("", {"x": np.zeros([0, 3], np.float32)}),
    ):
        with pytest.raises(MmkerasError, match="Expected at least one row"):
            call()


def test_arguments_that_are_not_what_they_should_be(toy_client, tmp_path):
    for call, text in (
        (lambda: toy_client.encode_text("one"), "list of strings"),
        (lambda: toy_client.encode_text(["a", 3]), r"texts\[1\]=3"),
        (lambda: toy_client.encode_text(["\ud800"]), r"texts\[0\]"),
        (lambda: toy_client.encode_image(b"one"), "list of paths or bytes"),
        (lambda: toy_client.encode_image([b"a", tmp_path / "missing.png"]), r"images\[1\].*missing\.png"),
        (lambda: toy_client.encode_image([np.zeros(3)]), r"images\[0\] of ndarray"),
        (lambda: toy_client.encode_pixels(np.zeros([1, 4, 4, 3])), "uint8 of shape"),
        (lambda: toy_client.encode_pixels(np.zeros([4, 4, 3], np.uint8)), r"shape=\(4, 4, 3\)"),
        (lambda: toy_client.match([b"a"], ["a", "b"]), "1 images, 2 texts"),
        (lambda: toy_client.predict("pair", {"a": [[1], [1, 2]]}), "equal length"),
        (lambda: Client("", "m"), "address"),
        (lambda: Client("a:1", ""), "model"),
        (lambda: Client("a:1", "m", version=-1), "version"),
        (lambda: Client("a:1", "m", timeout=0), "timeout"),
        (lambda: Client("a:1", "m", max_batch=0), "max_batch"),
    ):
        with pytest.raises(MmkerasError, match=text):
            call()


def test_a_model_of_another_kind_is_told_from_an_export(half_plus_two_path):
    with ScriptedServer(protos.PredictResponse(outputs={"y": encode_tensor([1.0])})) as server:
        with Client(server.address, "m") as client, pytest.raises(MmkerasError, match=r"'embedding'.*\['y'\]"):
            client.encode_text(["a"])


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_a_busy_server_is_asked_again(code):
    with ScriptedServer(code, code, embeddings(1)) as server, Client(server.address, "m") as client:
        assert client.encode_text(["a"]).shape == (1, 2)
        assert len(server.requests) == 3


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "INTERNAL", "ABORTED", "NOT_FOUND", "DEADLINE_EXCEEDED"])
def test_other_failures_are_not_repeated(code):
    with ScriptedServer(grpc.StatusCode[code]) as server, Client(server.address, "m") as client:
        with pytest.raises(ServingError) as caught:
            client.encode_text(["a"])
        assert (caught.value.code, caught.value.details, len(server.requests)) == (code, "as scripted", 1)


def test_a_server_that_is_away_fails_within_the_timeout():
    started = time.monotonic()
    with Client("127.0.0.1:9", "m", timeout=0.5) as client, pytest.raises(ServingError) as caught:
        client.encode_text(["a"])
    assert caught.value.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    assert time.monotonic() - started < 1.5


def test_a_slow_answer_is_cut_off_by_the_timeout(toy_server):
    with Client(toy_server.address, "toy", timeout=0.2) as client, pytest.raises(ServingError) as caught:
        client.predict("slow", {"steps": np.int32(2_000_000_000)})
    assert caught.value.code == "DEADLINE_EXCEEDED"


def test_a_closed_client_says_so(toy_server):
    client = Client(toy_server.address, "toy")
    client.close()
    with pytest.raises(ServingError, match="closed"):
        client.encode_text(["a"])


def test_wait_until_ready(toy_client):
    toy_client.wait_until_ready(5)

    def status(state):
        response = protos.GetModelStatusResponse()
        response.model_version_status.add(version=1, state=protos.State[state])
        return response

    answers = [grpc.StatusCode.NOT_FOUND, status("LOADING"), status("AVAILABLE")]
    with ScriptedServer(*answers) as server, Client(server.address, "m") as client:
        client.wait_until_ready(5)
        assert len(server.requests) == 3
    with ScriptedServer(grpc.StatusCode.UNIMPLEMENTED) as server, Client(server.address, "m") as client:
        with pytest.raises(ServingError, match="as scripted"):
            client.wait_until_ready(5)
    with Client("127.0.0.1:9", "m") as client, pytest.raises(ServingError, match="not available within 0.4 s"):
        client.wait_until_ready(0.4)


def test_errors_travel_between_processes():
    error = pickle.loads(pickle.dumps(ServingError("NOT_FOUND", "gone", "Predict")))
    assert (error.code, error.details, str(error)) == ("NOT_FOUND", "gone", "Predict failed: NOT_FOUND: gone")
    with pytest.raises(ValueError, match="Expected code"):
        ServingError("nothing", "")


def test_the_client_loads_no_tensorflow(toy_server):
    program = f"""
import sys, time
started = time.perf_counter()
from mmkeras.serving import Client, ServingError
seconds = time.perf_counter() - started
with Client({toy_server.address!r}, "toy") as client:
    client.wait_until_ready(10)
    client.encode_text(["a"]), client.metadata(), client.space_id()
heavy = {{"tensorflow", "keras", "tensorflow_serving", "tensorflow_text", "PIL", "scipy"}} & set(sys.modules)
print(sorted(heavy), seconds < 2.5, seconds)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] True"), done.stdout
