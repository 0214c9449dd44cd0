"""The same facts over gRPC and REST, waiting and awaited: four clients, one small fake model."""

import asyncio
import contextlib
import inspect
import time

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving import AsyncClient, Client, ServingError

from .fake_servers import LABELS, FakeGrpcServer, FakeModel, FakeRestServer


class Awaited:
    """An `AsyncClient` whose calls wait, so that one test holds for both."""

    def __init__(self, *arguments, **keywords):
        self._runner = asyncio.Runner()
        self._client = AsyncClient(*arguments, **keywords)

    def __getattr__(self, name):
        attribute = getattr(self._client, name)
        if not inspect.ismethod(attribute):
            return attribute

        def call(*arguments, **keywords):
            async def awaited():
                return await attribute(*arguments, **keywords)

            return self._runner.run(awaited())

        return call

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
        self._runner.close()


@pytest.fixture(params=["grpc", "rest"])
def server_class(request):
    return {"grpc": FakeGrpcServer, "rest": FakeRestServer}[request.param]


@pytest.fixture(params=["waiting", "awaited"])
def open_client(request, server_class):
    """A function of (fake model, client arguments) that opens a client of a server of that model."""
    with contextlib.ExitStack() as stack:

        def open_client(model, name="toy", **keywords):
            server = stack.enter_context(server_class(model))
            client_class = {"waiting": Client, "awaited": Awaited}[request.param]
            return stack.enter_context(client_class(server.address, name, **keywords))

        yield open_client


def test_named_methods(open_client, tmp_path):
    client = open_client(FakeModel(versions=[3]))
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    images = [tmp_path / "a.png", str(tmp_path / "a.png"), b"\xff\x00", bytearray(b"abc")]
    assert client.encode_text(["a", "\u03c9", b"\xff\xfe\xfd"]).tolist() == [[1, 3], [2, 3], [3, 3]]
    embeddings = client.encode_image(images)
    assert embeddings.dtype == np.float32 and embeddings.tolist() == [[4, 3], [4, 3], [2, 3], [3, 3]]
    embeddings, valid = client.encode_image_tolerant([b"", b"12"])
    assert embeddings[:, 0].tolist() == [0, 2] and valid.dtype == bool and valid.tolist() == [False, True]
    assert client.encode_pixels(np.full([2, 4, 4, 3], 7, np.uint8)).tolist() == [[7, 3], [7, 3]]
    assert client.encode_features([[1, 2], [3, 4]]).tolist() == [[1.5, 3], [3.5, 3]]
    assert client.encode_text_features([[1, 2], [3, 4]]).tolist() == [[1.5, 3], [3.5, 3]]
    assert client.match([b"a", b"a"], ["a", "b"]).tolist() == [1, 0]
    assert client.space_id() == "space-3"


def test_classes(open_client):
    client = open_client(FakeModel(), max_batch=2)
    for call in (
        lambda: client.classify_text(["a", "bb", ""]),
        lambda: client.classify_image([b"a", b"bb", b""]),
        lambda: client.classify_features([[1], [2], [0]]),
        lambda: client.classify_text_features([[1], [2], [0]]),
    ):
        probabilities, labels = call()
        assert labels == LABELS
        assert probabilities.dtype == np.float32
        assert probabilities.tolist() == [[0.5, 0, 1], [0.5, 0, 2], [0.5, 0, 0]]
    assert client.classify(texts=["a", ""], k=2) == [[("\u03c9", 1.0), ("cat", 0.5)], [("cat", 0.5), ("dog", 0.0)]]
    assert [len(row) for row in client.classify(images=[b"a"])] == [3]
    for wrong, text in (({}, "none"), ({"texts": ["a"], "images": [b"a"]}, "both"), ({"texts": ["a"], "k": 0}, "k=0")):
        with pytest.raises(MmkerasError, match=text):
            client.classify(**wrong)


def test_values_come_back_as_they_went(open_client):
    client = open_client(FakeModel())
    strings = [b"", b"plain", '\u03c9 \U0001f600 \u0000 "'.encode(), b"\xff\xfe\x00", b"\xed\xa0\x80"]
    for _ in range(2):  # the fake server answers in both tensor encodings by turns
        outputs = client.predict("echo", {"text": strings})
        assert outputs["text"].tolist() == strings
        assert outputs["text_bytes"].tolist() == strings
        sent = {"i": np.array([2**62 + 1, -5]), "f": np.array([np.nan, -np.inf], np.float32)}
        outputs = client.predict("numbers", sent)
        for name, values in sent.items():
            assert outputs[name].dtype == values.dtype
            np.testing.assert_array_equal(outputs[name], values)


def test_metadata_status_and_models(open_client):
    client = open_client(FakeModel(versions=[1, 12]))
    metadata = client.metadata()
    assert (metadata["model"], metadata["version"]) == ("toy", 12)
    assert "__saved_model_init_op" not in metadata["signatures"]
    assert metadata["signatures"]["match"] == {
        "inputs": {"image_bytes": {"dtype": "string", "shape": [None]}, "text": {"dtype": "string", "shape": [None]}},
        "outputs": {"score": {"dtype": "float32", "shape": [None]}},
    }
    ready = [{"version": v, "state": "AVAILABLE", "error_code": "OK", "error_message": ""} for v in (12, 1)]
    assert client.status() == ready
    assert client.models() == {"toy": ready}
    assert client.models("toy", "no/such model") == {"toy": ready, "no/such model": []}


def test_versions_and_labels(open_client):
    model = FakeModel(versions=[1, 2])
    assert open_client(model, version=1).encode_text(["a"] * 3)[:, 1].tolist() == [1, 1, 1]
    for wrong, code in ((open_client(model, version=7), "NOT_FOUND"), (open_client(model, "nope"), "NOT_FOUND")):
        with pytest.raises(ServingError, match="Servable not found") as caught:
            wrong.encode_text(["a"])
        assert caught.value.code == code
    stable = open_client(model, label="stable", max_batch=2)
    with pytest.raises(ServingError, match="Unrecognized servable version label: stable"):
        stable.encode_text(["a"])
    with pytest.raises(ServingError, match="not available within 0.4 s.*Unrecognized"):
        stable.wait_until_ready(0.4)
    model.labels["stable"] = 1
    stable.wait_until_ready(5)
    assert stable.encode_text(["a"] * 5)[:, 1].tolist() == [1] * 5
    assert stable.metadata()["version"] == 1


def test_chunks_in_order_at_most_so_many_at_a_time(open_client):
    model = FakeModel(seconds=0.02)
    client = open_client(model, max_batch=2, concurrency=3)
    texts = ["x" * length for length in range(21)]
    assert client.encode_text(texts)[:, 0].tolist() == list(range(21))
    assert sorted(model.rows) == [1] + [2] * 10
    assert model.peak == 3
    assert client.match([b"a"] * 5, ["a", "b"] * 2 + ["a"]).tolist() == [1, 0, 1, 0, 1]


def test_the_servers_batch_limit_is_learnt_once(open_client):
    model = FakeModel(max_rows=8)
    client = open_client(model)
    texts = ["x" * length for length in range(20)]
    assert client.encode_text(texts)[:, 0].tolist() == list(range(20))
    assert model.asked == 1 + 3 and sorted(model.rows) == [4, 8, 8]
    assert client.max_batch == 8
    client.encode_text(texts)
    assert model.asked == 4 + 3
    model.max_rows = 0  # a limit that no request can meet is the server's error, not a reason to go on
    with pytest.raises(ServingError, match="maximum input batch size 0"):
        client.encode_text(["a"])


def test_rows_are_of_one_version_while_the_server_changes_it(open_client):
    model = FakeModel(versions=[1])
    client = open_client(model, max_batch=1, concurrency=2)

    def roll(count):
        if count == 3:
            model.versions = [1, 2]  # the new one is there before the old one goes
        if count == 4:
            model.versions = [2]

    model.after_request = roll
    assert client.encode_text(["a"] * 6)[:, 1].tolist() == [2] * 6
    model.versions = [2, 3]

    def withdraw(count):
        model.versions = [1]

    model.after_request = withdraw  # rolled back, on the way
    assert client.encode_text(["a"] * 6)[:, 1].tolist() == [1] * 6


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_a_busy_server_is_asked_again(open_client, code):
    model = FakeModel()
    model.failures = [ServingError(code, "Server Threadpool Exhausted")] * 2
    assert open_client(model).encode_text(["a"]).tolist() == [[1, 1]]
    assert model.asked == 3
    model.failures = [ServingError(code, "busy")] * 9
    with pytest.raises(ServingError, match="busy") as caught:
        open_client(model, retries=1).encode_text(["a"])
    assert (caught.value.code, model.asked) == (code, 5)


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "INTERNAL", "NOT_FOUND", "DEADLINE_EXCEEDED", "UNIMPLEMENTED"])
def test_other_failures_are_not_repeated(open_client, code):
    model = FakeModel()
    model.failures = [ServingError(code, "as told")]
    with pytest.raises(ServingError, match="of model 'toy' at .*as told") as caught:
        open_client(model).encode_text(["a"])
    assert (caught.value.code, caught.value.details, model.asked) == (code, "as told", 1)


def test_an_error_shows_the_reason_and_keeps_the_servers_text(open_client):
    """TensorFlow Serving sends what TensorFlow quotes of the model's graph; people need none of it."""
    model = FakeModel()
    sent = (
        "{{function_node __inference_f_7}} assertion failed: [row 3 is no picture]\n\t [[{{node map/Assert}}]]\n\t "
        "[[StatefulPartitionedCall/map/while/body/_39]]"
    )
    model.failures = [ServingError("INVALID_ARGUMENT", sent)]
    with pytest.raises(ServingError) as caught:
        open_client(model).encode_text(["a"])
    assert str(caught.value).endswith(" failed: INVALID_ARGUMENT: row 3 is no picture")
    assert (caught.value.details, caught.value.reason) == (sent, "row 3 is no picture")


def test_one_failing_chunk_fails_the_call_and_stops_the_rest(open_client):
    model = FakeModel(seconds=0.02)
    client = open_client(model, max_batch=1, concurrency=2)
    client.encode_text(["a"])
    model.failures = [None, ServingError("INVALID_ARGUMENT", "row 0 is no picture")]
    with pytest.raises(ServingError, match="row 0 is no picture"):
        client.encode_text(["a"] * 40)
    time.sleep(0.1)
    assert model.asked < 12
    assert client.encode_text(["a"] * 3).shape == (3, 2)


def test_the_timeout_holds_for_the_whole_call(open_client):
    client = open_client(FakeModel(seconds=0.15), max_batch=1, concurrency=1, timeout=0.5)
    started = time.monotonic()
    with pytest.raises(ServingError) as caught:
        client.encode_text(["a"] * 20)
    assert caught.value.code == "DEADLINE_EXCEEDED"
    assert time.monotonic() - started < 1.5
    assert client.encode_text(["a"] * 5, timeout=30).shape == (5, 2)
    with pytest.raises(MmkerasError, match="timeout=0"):
        client.encode_text(["a"], timeout=0)


def test_nothing_is_sent_where_there_is_nothing(open_client):
    model = FakeModel()
    client = open_client(model)
    for call in (
        lambda: client.encode_text([]),
        lambda: client.encode_image([]),
        lambda: client.match([], []),
        lambda: client.classify(texts=[]),
        lambda: client.encode_features(np.zeros([0, 3])),
        lambda: client.predict("echo", {"text": []}),
    ):
        with pytest.raises(MmkerasError, match="Expected at least one row"):
            call()
    assert model.asked == 0


def test_an_index_of_another_space_is_refused(open_client):
    class Index:
        folder = "savedmodels/toy/1/assets.extra/index"
        space_id = "space-1"

    model = FakeModel(versions=[1])
    client = open_client(model)
    assert client.check_space(Index()) == client.check_space("space-1") == "space-1"
    model.versions = [2]
    with pytest.raises(MmkerasError, match="toy/1/assets.extra/index.*space-1.*model 'toy'.*127.0.0.1.*space-2"):
        client.check_space(Index())
    with pytest.raises(MmkerasError, match="Expected an index"):
        client.check_space(3)


def test_an_answer_that_lost_rows_is_refused(open_client, monkeypatch):
    monkeypatch.setattr(FakeModel, "_outputs", lambda *_: {"embedding": np.zeros([1, 2], np.float32)})
    client = open_client(FakeModel())
    with pytest.raises(MmkerasError, match=r"Expected 2 rows of 'embedding'.*\(1, 2\)"):
        client.encode_text(["a", "b"])


def test_waiting_for_a_model(open_client):
    model = FakeModel()
    open_client(model).wait_until_ready(5)
    with pytest.raises(ServingError, match="not available within 0.5 s; the last answer was: .*Could not find any"):
        open_client(model, "nope").wait_until_ready(0.5)


def test_a_closed_client_says_so(open_client):
    client = open_client(FakeModel(), max_batch=1)
    client.encode_text(["a"])
    client.close()
    for texts in (["a"], ["a", "b"]):
        with pytest.raises(ServingError, match="closed") as caught:
            client.encode_text(texts)
        assert caught.value.code == "CANCELLED"


@pytest.mark.parametrize("client_class", [Client, Awaited])
@pytest.mark.parametrize("address", ["127.0.0.1:9", "http://127.0.0.1:9"])
def test_a_server_that_is_away_fails_within_the_timeout(client_class, address):
    started = time.monotonic()
    with client_class(address, "toy", timeout=0.5) as client, pytest.raises(ServingError) as caught:
        client.encode_text(["a"])
    assert caught.value.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    assert time.monotonic() - started < 1.5
