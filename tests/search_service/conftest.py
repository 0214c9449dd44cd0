"""A model server of a few lines, its indexes and the search service before it. No TensorFlow."""

import contextlib
import http.client
import json
import time

import numpy as np
import pytest

from mmkeras.search import IndexWriter
from mmkeras.search_service import IndexFinder, SearchServer, ServiceLimits, VersionFollower
from mmkeras.serving import ServingError

from ..serving.fake_servers import FakeGrpcServer, FakeModel

PNG = b"\x89PNG\r\n\x1a\n"
ITEMS = 12  # one every ten degrees


def direction(degrees):
    """A unit vector in the plane, float32 (2,)."""
    return np.float32([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])


class PlaneModel(FakeModel):
    """Embeds a text or picture that ends in a number as the direction of so many degrees; its space is its version's.

    A text "slow 30" takes half a second. Of a picture without a number it says that it is none.
    """

    def _outputs(self, signature, version, rows, inputs):
        if signature not in ("encode_text", "encode_image", "match"):
            return super()._outputs(signature, version, rows, inputs)
        if signature == "match":
            return {"score": np.float32([self._degrees(text) / 180 for text in inputs["text"]])}
        (values,) = inputs.values()
        if any(value.startswith(b"slow") for value in values):
            time.sleep(0.5)
        return {"embedding": np.stack([direction(self._degrees(value)) for value in values])}

    def _degrees(self, value):
        try:
            return float(value.split()[-1])
        except (ValueError, IndexError):
            raise ServingError("INVALID_ARGUMENT", "row 0 is no picture") from None


def write_indexes(version, space_id, texts_apart=False, **space):
    """Write the index of an exported version: pictures p0 to p11, and their captions in it or in an index of texts."""
    extra = version / "assets.extra"
    embeddings = np.stack([direction(10 * row) for row in range(ITEMS)])
    items = [
        {
            "id": f"p{row}",
            "text": f"picture {row}",
            "seen": row % 2 == 0,
            "kind": "it's odd" if row % 2 else "even",
            "price": row,
            "labels": ["small"] if row < 3 else ["large", "late"],
            "picture": f"p{row}.png",
        }
        for row in range(ITEMS)
    ]
    IndexWriter(space_id).write(
        extra / "index",
        items,
        image_embeddings=embeddings,
        text_embeddings=None if texts_apart else embeddings[::-1],
        pictures={item["picture"]: PNG + item["id"].encode() for item in items},
    )
    if texts_apart:
        texts = [
            {"id": f"text-{row}", "text": f"caption {row}", "images": [f"p{row // 2}"]} for row in range(2 * ITEMS)
        ]
        angles = np.stack([direction(5 * row) for row in range(2 * ITEMS)])
        IndexWriter(space_id).write(extra / "index_of_texts", texts, text_embeddings=angles)
    (extra / "space.json").write_text(json.dumps({"space_id": space_id} | space))
    return version


@pytest.fixture
def models(tmp_path):
    """The folder of the model "toy", with its version 1."""
    scores = {"random_mean": 0.1, "random_deviation": 0.2, "threshold": 0.9}
    write_indexes(tmp_path / "toy" / "1", "space-1", scores=scores)
    return tmp_path / "toy"


@pytest.fixture
def model():
    return PlaneModel()


@pytest.fixture
def model_server(model):
    with FakeGrpcServer(model) as server:
        yield server


class Asking:
    """A search service that is asked over HTTP."""

    def __init__(self, server, follower):
        self.server, self.follower = server, follower

    def raw(self, method, path, body=None, headers=None, host="127.0.0.1"):
        """Return (status, headers, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        with contextlib.closing(connection):
            named = {"Host": f"{host}:{self.server.port}"} if host else {}
            connection.request(method, path, body, named | (headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def get(self, path, status=200):
        answered, _, body = self.raw("GET", path)
        assert answered == status, body
        return json.loads(body)

    def post(self, path, content, status=200):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        answered, _, body = self.raw("POST", path, body, {"Content-Type": "application/json"})
        assert answered == status, body
        return json.loads(body) if body else None

    def search(self, status=200, **request):
        return self.post("/api/search", request, status)

    def ids(self, **request):
        return [result["item"]["id"] for result in self.search(**request)["results"]]

    def refusal(self, status, **request):
        told = self.search(status, **request)
        assert list(told) == ["error"] and "Traceback" not in told["error"]
        return told["error"]


@pytest.fixture
def serving(model_server, models, tmp_path):
    """A context manager that serves the search of "toy", by default as its folder has it."""

    @contextlib.contextmanager
    def serve(folders=None, limits=None, feedback=None, address=None, **choice):
        finder = IndexFinder(folders or [models])
        address = address or model_server.address
        follower = VersionFollower(address, "toy", finder, interval=0.1, timeout=10, **choice)
        with SearchServer(follower, port=0, limits=limits or ServiceLimits(), feedback=feedback) as server:
            yield Asking(server, follower)

    return serve


@pytest.fixture
def asking(serving, tmp_path):
    with serving(feedback=tmp_path / "feedback.jsonl") as asking:
        yield asking


@pytest.fixture
def eventually():
    """A function that calls another one until it holds, for some seconds, and returns what it returned."""

    def wait(holds, seconds=10.0):
        deadline = time.monotonic() + seconds
        while not (held := holds()):
            assert time.monotonic() < deadline, "it does not come"
            time.sleep(0.02)
        return held

    return wait
