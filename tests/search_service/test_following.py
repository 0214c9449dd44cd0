"""The version that the server answers with and the index of its space go together, whatever happens meanwhile."""

import contextlib
import json
import threading

import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.search import EmbeddingIndex, IndexEditor, IndexWriter, ItemBatch
from mmkeras.search_service import IndexFinder

from ..serving.fake_servers import FakeGrpcServer, FakeRestServer
from .conftest import PlaneModel, direction, write_indexes


def health(asking):
    return asking.raw("GET", "/health")[0]


def test_another_version_brings_its_own_index(asking, model, models, eventually):
    assert asking.get("/health")["version"] == 1
    write_indexes(models / "2", "space-2")
    model.versions = [2]
    eventually(lambda: asking.get("/api/info")["version"] == 2)
    found = asking.search(text="at 30", k=1)
    assert (found["version"], found["space_id"]) == (2, "space-2")


def test_a_version_that_is_gone_is_noticed_by_the_search_itself(serving, model, models):
    with serving() as asking:
        asking.follower.interval = 3600  # nobody looks but the search
        asking.follower.look()
        write_indexes(models / "2", "space-2")
        model.versions = [2]
        found = asking.search(text="at 30", k=1)
        assert (found["version"], found["space_id"]) == (2, "space-2")


def test_a_version_without_an_index_is_not_answered_by_the_one_before(asking, model, models, eventually):
    model.versions = [2]
    eventually(lambda: health(asking) == 503)
    told = asking.refusal(503, text="at 30")
    assert "version 2" in told and "there is no index" in told
    assert "no index" in asking.get("/api/info", 503)["error"]
    write_indexes(models / "2", "space-of-another-training")
    eventually(lambda: "is of the space space-of-an" in asking.get("/health", 503)["error"])
    model.versions = [1]
    eventually(lambda: health(asking) == 200)
    assert asking.search(text="at 30", k=1)["version"] == 1


def test_the_same_number_in_another_space_is_not_mixed(serving, model, monkeypatch):
    """As where another folder is served under the same name."""
    with serving() as asking:
        asking.follower.interval = 3600
        asking.follower.look()
        outputs = model._outputs

        def elsewhere(signature, version, rows, inputs):
            if signature == "describe":
                return {"space_id": np.array([b"another space"] * rows, object)}
            return outputs(signature, version, rows, inputs)

        monkeypatch.setattr(model, "_outputs", elsewhere)
        told = asking.refusal(503, text="at 30")
        assert "another spac" in told and "there is no index of it here" in told


def test_spaces_are_never_mixed_while_versions_change(asking, model, models):
    """Version 2 has the items turned by 60 degrees: an answer of both would be told by its score."""
    turned = [{"id": f"q{row}", "text": "turned"} for row in range(12)]
    angles = np.stack([direction(10 * row + 60) for row in range(12)])
    folder = models / "2" / "assets.extra" / "index"
    IndexWriter("space-2").write(folder, turned, image_embeddings=angles)
    stop = threading.Event()

    def change():
        for _ in iter(lambda: stop.wait(0.05), True):
            model.versions = [3 - model.versions[0]]

    changing = threading.Thread(target=change)
    changing.start()
    seen = set()
    try:
        for _ in range(150):
            status, _, body = asking.raw(
                "POST", "/api/search", b'{"text": "at 65", "k": 12}', {"Content-Type": "application/json"}
            )
            if status == 200:
                found = json.loads(body)
                first = found["results"][0]["item"]["id"][0]
                assert (found["version"], found["space_id"], first) in ((1, "space-1", "p"), (2, "space-2", "q"))
                seen.add(found["version"])
            else:
                assert status == 503, body
    finally:
        stop.set()
        changing.join()
    assert seen == {1, 2}


def test_a_changed_index_is_taken_up(asking, models, eventually):
    new = ItemBatch([{"id": "new", "text": "n"}], {name: direction(30)[np.newaxis] for name in ("image", "text")})
    IndexEditor(models / "1/assets.extra/index").add([new])
    eventually(lambda: asking.get("/api/info")["items"] == 13)
    found = asking.search(text="at 30", k=2)
    assert (found["generation"], found["total"]) == (2, 13)
    assert {result["item"]["id"] for result in found["results"]} == {"p3", "new"}


def test_a_server_that_goes_away_and_comes_back(serving, eventually):
    model = PlaneModel()
    with FakeGrpcServer(model) as server:
        port = server.address
        with serving(address=port) as asking:
            assert health(asking) == 200
            server._server.stop(None).wait()
            eventually(lambda: health(asking) == 503)
            assert "No server answers at" in asking.refusal(503, text="at 30")
            assert asking.raw("GET", "/api/picture?id=p3")[0] == 200  # what was found is shown on
            with offered_again(model, port):
                eventually(lambda: health(asking) == 200, 20)
                assert asking.ids(text="at 30", k=1) == ["p3"]


@contextlib.contextmanager
def offered_again(model, address):
    """Offer a model on the address that another server had."""
    server = FakeGrpcServer(model)._server
    server.add_insecure_port(address)
    server.start()
    try:
        yield
    finally:
        server.stop(None).wait()


def test_a_server_that_is_away_at_the_start(serving, eventually):
    with FakeGrpcServer(PlaneModel()) as server:
        address = server.address
    with serving(address=address) as asking:
        assert health(asking) == 503
        assert "No server answers" in asking.refusal(503, text="at 30")
        with offered_again(PlaneModel(), address):
            eventually(lambda: health(asking) == 200, 20)
            assert asking.ids(text="at 30", k=1) == ["p3"]


def test_a_label_and_a_version_are_asked_for(serving, model, models, eventually):
    write_indexes(models / "2", "space-2")
    model.versions, model.labels = [1, 2], {"stable": 1}
    with serving(label="stable") as asking:
        assert (asking.get("/api/info")["version"], asking.get("/api/info")["label"]) == (1, "stable")
        model.labels = {"stable": 2}
        eventually(lambda: asking.search(text="at 1")["version"] == 2)
    with serving(version=1) as asking:
        assert asking.search(text="at 1")["version"] == 1


def test_over_rest(serving, model):
    with FakeRestServer(model) as server, serving(address=server.address) as asking:
        assert asking.ids(text="at 30", k=1) == ["p3"]


def test_indexes_of_ones_own_are_chosen_by_their_space(tmp_path, serving, model, models, eventually):
    write_indexes(models / "2", "space-2", texts_apart=True)
    folders = [models / "1/assets.extra/index", *sorted((models / "2/assets.extra").glob("index*"))]
    with serving(folders) as asking:
        assert asking.search(text="at 30", k=1)["space_id"] == "space-1"
        model.versions = [2]
        eventually(lambda: asking.search(text="at 30", k=1)["space_id"] == "space-2")
        assert asking.get("/api/info")["modalities"] == ["image", "text"]


def test_where_there_is_no_index(tmp_path):
    with pytest.raises(MmkerasError, match="Expected an index folder or the folder of a model"):
        IndexFinder([])
    with pytest.raises(MmkerasError, match="Expected base_path to be a model's folder"):
        IndexFinder([tmp_path / "nothing"])
    write_indexes(tmp_path / "1", "space-1")
    with pytest.raises(MmkerasError, match="is no index"):
        IndexFinder([tmp_path / "1/assets.extra/index", tmp_path / "nothing"])
    found = IndexFinder([tmp_path / "1/assets.extra/index"]).find(7, "space-1")
    assert isinstance(found["image"], EmbeddingIndex) and found["text"] is found["image"]
