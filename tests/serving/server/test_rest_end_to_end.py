"""REST, batching and metrics over a SavedModel, together."""

import io
import json
import urllib.error
import urllib.request
from concurrent import futures

import pytest

from mmkeras.serving.server.batching import BatchScheduler
from mmkeras.serving.server.config_files import models_config
from mmkeras.serving.server.http_server import HttpServer
from mmkeras.serving.server.loading import load_servable
from mmkeras.serving.server.metrics import Metrics
from mmkeras.serving.server.rest import METRICS_PATH, RestApplication
from mmkeras.serving.server.served_models import ServedModels


@pytest.fixture(scope="module")
def ask(toy_path):
    """A function of (path, what to send as JSON) -> (status, text)."""
    metrics = Metrics()
    with BatchScheduler(max_batch_size=8, batch_timeout_micros=2000, metrics=metrics) as scheduler:
        models = ServedModels(lambda *version: scheduler.batched(load_servable(*version)))
        models.start(models_config("toy", toy_path))
        application = RestApplication(models, metrics, METRICS_PATH, seconds=1.0)
        with HttpServer(application, max_threads=8) as server:

            def ask(path, request=None):
                data = None if request is None else json.dumps(request).encode()
                try:
                    with urllib.request.urlopen(f"http://{server.address}{path}", data, timeout=20) as reply:
                        return reply.status, reply.read().decode()
                except urllib.error.HTTPError as error:
                    return error.code, error.read().decode()

            yield ask
        models.close()


def test_predict(ask):
    status, text = ask("/v1/models/toy:predict", {"instances": [[1, 2, 3]]})
    assert (status, json.loads(text)) == (200, {"predictions": [[12.0, 12.0]]})
    status, text = ask("/v1/models/toy:predict", {"signature_name": "upper", "inputs": ["ä", {"b64": "YQ=="}]})
    assert json.loads(text) == {"outputs": {"upper": ["ä", "A"], "word": [-1, -1]}}


def test_an_operations_error(ask):
    status, text = ask("/v1/models/toy:predict", {"instances": [[1, 2, 3, 4]]})
    assert status == 400
    assert json.loads(text)["error"] == "Matrix size-incompatible: In[0]: [1,4], In[1]: [3,2]"


def test_a_scalar_is_no_batch(ask):
    status, text = ask("/v1/models/toy:predict", {"signature_name": "slow", "inputs": 10**9})
    # A scalar is no batch: the scheduler refuses it before it runs.
    assert (status, json.loads(text)["error"][:13]) == (400, "Batching Run(")


def test_metadata_and_status(ask):
    _, text = ask("/v1/models/toy/metadata")
    signatures = json.loads(text)["metadata"]["signature_def"]["signature_def"]
    assert signatures["serving_default"]["inputs"]["x"]["dtype"] == "DT_FLOAT"
    _, text = ask("/v1/models/toy")
    (version,) = json.loads(text)["model_version_status"]
    assert (version["version"], version["state"]) == ("2", "AVAILABLE")


def test_many_clients_get_their_own_answers_out_of_shared_batches(ask):
    with futures.ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(ask, "/v1/models/toy:predict", {"instances": [[n, 0, 0]]}) for n in range(64)]
        found = [json.loads(job.result(20)[1])["predictions"] for job in jobs]
    assert found == [[[2.0 * n, 2.0 * n]] for n in range(64)]
    _, text = ask(METRICS_PATH)
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    name = ":tensorflow:serving:batching_session:processed_batch_size"
    assert float(samples[f"{name}_count{{}}"]) < float(samples[f"{name}_sum{{}}"])


def test_a_slow_run_without_batching_is_a_timeout(toy_path):
    models = ServedModels()
    models.start(models_config("toy", toy_path))
    application = RestApplication(models, seconds=0.2)
    started = []
    body = b'{"signature_name": "slow", "inputs": 1000000000}'
    environ = {"REQUEST_METHOD": "POST", "REQUEST_URI": "/v1/models/toy:predict", "CONTENT_LENGTH": str(len(body))}
    reply = application({**environ, "wsgi.input": io.BytesIO(body)}, lambda status, headers: started.append(status))
    models.close()
    assert started == ["504 Gateway Timeout"]
    assert json.loads(b"".join(reply)) == {"error": "Timed out waiting for notification"}
