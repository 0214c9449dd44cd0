"""The embedded server goes to a new version while searches run: every answer is of one version and its own index."""

import json
import os
import threading

import numpy as np
import pytest

from mmkeras.search import IndexWriter

from .conftest import direction


def write_version(folder, space, degrees, names):
    """Write a version that embeds every text as the direction of so many degrees, with an index of two items."""
    import tensorflow as tf

    class Toy(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def encode_text(self, text):
            return {"embedding": tf.tile(direction(degrees)[np.newaxis], [tf.size(text), 1])}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="probe")])
        def describe(self, probe):
            return {"space_id": tf.fill(tf.shape(probe), space)}

    toy = Toy()
    tf.saved_model.save(toy, str(folder), signatures={name: getattr(toy, name) for name in ("encode_text", "describe")})
    items = [{"id": name, "text": name} for name in names]
    embeddings = np.stack([direction(degrees), direction(degrees + 90)])
    IndexWriter(space).write(folder / "assets.extra" / "index", items, image_embeddings=embeddings)


@pytest.mark.slow
def test_versions_change_while_searches_run(serving, tmp_path, eventually):
    from mmkeras.serving import EmbeddedServer

    toy = tmp_path / "embedded" / "toy"
    write_version(toy / "1", "space-one", 0, ["a", "b"])
    write_version(tmp_path / "later", "space-two", 90, ["c", "d"])
    with EmbeddedServer(toy, poll_seconds=0.1) as server, serving([toy], address=server.address) as asking:
        answers, stop = [], threading.Event()

        def search():
            while not stop.is_set():
                content = json.dumps({"text": "any", "k": 2}).encode()
                answers.append(asking.raw("POST", "/api/search", content, {"Content-Type": "application/json"}))

        searching = [threading.Thread(target=search) for _ in range(3)]
        for thread in searching:
            thread.start()
        try:
            eventually(lambda: len(answers) > 20)
            os.rename(tmp_path / "later", toy / "2")
            eventually(lambda: asking.get("/health")["version"] == 2, 30)
            seen = len(answers)
            eventually(lambda: len(answers) > seen + 20)
        finally:
            stop.set()
            for thread in searching:
                thread.join()
        told = asking.get("/api/info")
        assert told["tasks"] == {"text": True, "picture": False} and not told["pictures"]
        assert "takes no picture" in asking.refusal(422, picture="YQ==")
    spaces = set()
    for status, _, body in answers:
        assert status == 200, body
        found = json.loads(body)
        first = found["results"][0]
        assert (found["version"], found["space_id"], first["item"]["id"]) in (
            (1, "space-one", "a"),
            (2, "space-two", "c"),
        )
        assert first["score"] == pytest.approx(1)
        spaces.add(found["space_id"])
    assert spaces == {"space-one", "space-two"}
