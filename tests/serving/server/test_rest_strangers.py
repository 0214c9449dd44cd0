"""What a stranger sends over HTTP makes nothing grow."""

import json

import pytest

from mmkeras.serving.server.metrics import Metrics
from mmkeras.serving.server.rest import METRICS_PATH, RestApplication
from tests.serving.server.function_servable import FixedModels, FunctionServable
from tests.serving.server.test_rest import PREDICTIONS, ROWS, TOY, ask, ask_json


@pytest.fixture
def models():
    return FixedModels(FunctionServable(), FunctionServable(version=1))


@pytest.fixture
def application(models):
    return RestApplication(models, Metrics(), METRICS_PATH)


def test_what_clients_invent_makes_no_series(application):
    def ask_strangely(number):
        for body in (ROWS, b"", json.dumps({"signature_name": f"s{number}", "instances": [1]}).encode()):
            for model in (f"m{number}", f"toy/versions/{number + 9}", f"toy/labels/l{number}", "toy"):
                for method in ("predict", "classify", "regress", f"method{number}"):
                    ask(application, "POST", f"/v1/models/{model}:{method}", body)
                ask(application, "PATCH", f"/v1/models/{model}")
                ask(application, "GET", f"/v1/models/{model}")
                ask(application, "GET", f"/v1/paths/{number}")

    ask_strangely(0)
    before = ask(application, "GET", METRICS_PATH)[2]
    for number in range(1, 50):
        ask_strangely(number)
    after = ask(application, "GET", METRICS_PATH)[2]
    assert {line.partition("{")[2].rpartition(" ")[0] for line in after.splitlines() if "request_count{" in line} == {
        f'model_name="{model}",status="{status}"}}'
        for model, status in (
            ("toy", "OK"),
            ("toy", "INVALID_ARGUMENT"),
            ("toy", "NOT_FOUND"),
            ("(other)", "NOT_FOUND"),
            ("(other)", "INVALID_ARGUMENT"),
            ("", "INVALID_ARGUMENT"),  # what names no model
        )
    }
    assert len(after.splitlines()) == len(before.splitlines())


def test_bodies_that_are_large_together_are_refused(models, monkeypatch):
    monkeypatch.setattr("mmkeras.serving.server.rest._MOST_BYTES", 40)
    application = RestApplication(models)
    told = f"Expected at most 40 bytes of requests that wait or run. Received: {len(ROWS)} bytes more"
    answers = []
    servable = models.servables["toy", 2]
    run = servable.run

    def run_and_ask(*arguments):
        if not answers:
            answers.append(ask_json(application, "POST", f"{TOY}:predict", ROWS))
        return run(*arguments)

    servable.run = run_and_ask
    assert ask_json(application, "POST", f"{TOY}:predict", ROWS) == (200, PREDICTIONS)
    assert answers == [(429, {"error": told})]
    assert ask_json(application, "POST", f"{TOY}:predict", ROWS) == (200, PREDICTIONS)
