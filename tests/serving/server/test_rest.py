import gzip
import io
import json
import time
from wsgiref.validate import validator

import pytest

from mmkeras.errors import MmkerasError
from mmkeras.serving.server.metrics import Metrics
from mmkeras.serving.server.request_limits import NO_LIMITS
from mmkeras.serving.server.rest import METRICS_PATH, RestApplication
from tests.serving.server.function_servable import FixedModels, FunctionServable

TOY = "/v1/models/toy"
ROWS = b'{"instances": [[1, 2, 3], [4, 5, 6]]}'
PREDICTIONS = {"predictions": [[6.0, 1.0], [15.0, 4.0]]}


@pytest.fixture
def models():
    return FixedModels(FunctionServable(), FunctionServable(version=1), FunctionServable(name="a/b"))


@pytest.fixture
def application(models):
    return RestApplication(models, Metrics(), METRICS_PATH)


def ask(application, method, target, body=b"", **headers):
    """Return (status number, content type, text) of one request."""
    environ = {
        "REQUEST_METHOD": method,
        "REQUEST_URI": target,
        "PATH_INFO": "/elsewhere",
        "QUERY_STRING": "",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **headers,
    }
    started = []
    reply = validator(application)(environ, lambda status, headers: started.append((status, dict(headers))))
    text = b"".join(reply).decode()
    reply.close()
    ((status, headers),) = started
    assert int(headers["Content-Length"]) == len(text.encode())
    return int(status[:3]), headers["Content-Type"], text


def ask_json(application, method, target, body=b"", **headers):
    """Return (status number, what the JSON says)."""
    status, content_type, text = ask(application, method, target, body, **headers)
    assert content_type == "application/json"
    return status, json.loads(text)


@pytest.mark.parametrize(
    "target",
    [
        f"{TOY}:predict",
        f"{TOY}/versions/1:predict",
        f"{TOY}/versions/0002:predict",
        "/V1/Models/toy:predict",
        "/v1/models/t%6Fy:predict",
        f"{TOY}:predict?key=value",
        f"http://localhost{TOY}:predict",
        "/v1/models/a%2Fb:predict",
    ],
)
def test_predict_by_every_path(application, target):
    assert ask_json(application, "POST", target, ROWS) == (200, PREDICTIONS)


def test_a_server_that_tells_no_uri_is_served_too(application):
    headers = {"PATH_INFO": f"{TOY}:predict", "REQUEST_URI": None}
    environ = {key: value for key, value in headers.items() if value}
    started = []
    reply = application(
        {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(ROWS)), "wsgi.input": io.BytesIO(ROWS), **environ},
        lambda status, headers: started.append(status),
    )
    assert (started, json.loads(b"".join(reply))) == (["200 OK"], PREDICTIONS)


def test_predict_in_columns_with_a_signature(application):
    body = b'{"signature_name": "pair", "inputs": {"a": [1, 2], "b": [3, 5]}}'
    assert ask_json(application, "POST", f"{TOY}:predict", body) == (
        200,
        {"outputs": {"mean": [2.0, 3.5], "sum": [4.0, 7.0]}},
    )


def test_predict_with_bytes(application):
    body = '{"signature_name": "upper", "instances": ["é", {"b64": "/w=="}]}'.encode()
    assert ask_json(application, "POST", f"{TOY}:predict", body) == (
        200,
        {
            "predictions": [
                {"raw_bytes": {"b64": "w6k="}, "upper": "é"},
                {"raw_bytes": {"b64": "/w=="}, "upper": {"b64": "/w=="}},
            ]
        },
    )


def test_predict_with_integers_and_booleans(application):
    body = b'{"signature_name": "count", "instances": [1, 2]}'
    found = ask_json(application, "POST", f"{TOY}:predict", body)
    assert found == (200, {"predictions": [{"even": False, "twice": 2}, {"even": True, "twice": 4}]})


def test_nan_and_infinity_go_in_and_out(application):
    body = b'{"signature_name": "pair", "inputs": {"a": [NaN, Infinity], "b": [1, 1]}}'
    _, _, text = ask(application, "POST", f"{TOY}:predict", body)
    assert text == '{"outputs": {"mean": [NaN, Infinity], "sum": [NaN, Infinity]}}'


def test_classify_and_regress(application):
    body = b'{"signature_name": "judge", "examples": [{"x": 1.5}, {"x": [2.5]}]}'
    row = [["cat", 0.25], ["dog", 0.2]]
    assert ask_json(application, "POST", f"{TOY}:classify", body) == (200, {"results": [row, row]})
    body = b'{"signature_name": "weigh", "context": {"c": "abc"}, "examples": [{}, {"x": "abc"}]}'
    status, found = ask_json(application, "POST", f"{TOY}/versions/2:regress", body)
    assert status == 200
    # Both examples carry the context.
    assert found["results"][1] == 2 * found["results"][0]


ERRORS = {
    "empty": ("", b"", 400, "JSON Parse error: The document is empty"),
    "signature": (
        "",
        b'{"signature_name": "zz", "instances": [1]}',
        400,
        'Serving signature name: "zz" not found in signature def',
    ),
    "model": ("/v1/models/nope:predict", ROWS, 404, "Servable not found for request: Latest(nope)"),
    "version": (f"{TOY}/versions/9:predict", ROWS, 404, "Servable not found for request: Specific(toy, 9)"),
    "long_version": (
        f"{TOY}/versions/{2**63}:predict",
        ROWS,
        400,
        f"Failed to convert version: {2**63} to numeric.",
    ),
    "label": (f"{TOY}/labels/stable:predict", ROWS, 400, "Unrecognized servable version label: stable"),
    "half": (
        "",
        b'{"signature_name": "half", "instances": [1]}',
        400,
        "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: "
        "Conversion of JSON Value: 1 to type: half",
    ),
    "half_out": (
        "",
        b'{"signature_name": "to_half", "instances": [1]}',
        400,
        "Failed to write JSON value for tensor type: half",
    ),
    "scalar": ("", b'{"signature_name": "total", "instances": [1]}', 400, "Tensor name: y has no shape information "),
    "rank": (
        "",
        b'{"signature_name": "upper", "inputs": "a"}',
        400,
        "Expects arg[0] (text) to have rank 1 but rank 0 is provided",
    ),
    "late": ("", b'{"signature_name": "late", "instances": [1]}', 504, "Timed out waiting for notification"),
    "broken": ("", b'{"signature_name": "broken", "instances": [1]}', 500, "KeyError: 'y'"),
    "verb": (f"{TOY}:PREDICT", ROWS, 400, f"Malformed request: POST {TOY}:PREDICT"),
    "no_verb": (TOY, ROWS, 400, f"Malformed request: POST {TOY}"),
    "no_example": (f"{TOY}:classify", b'{"signature_name": "judge", "examples": [1]}', 400, None),
    "no_signature": (
        f"{TOY}:classify",
        b'{"signature_name": "zz", "examples": [{}]}',
        400,
        "No signature was found with the name: zz",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_json_with_the_status_of_their_code(application, models, name):
    target, body, status, text = ERRORS[name]
    found, answer = ask_json(application, "POST", target or f"{TOY}:predict", body)
    assert found == status
    assert answer == {"error": text} or text is None
    assert list(answer) == ["error"]
    assert models.held == 0


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", f"{TOY}:predict"),
        ("GET", f"{TOY}:predict"),
        ("DELETE", TOY),
        ("GET", f"{TOY}/versions/x"),
        ("GET", "/v1/models/"),
        ("GET", f"{TOY}/metadata/more"),
        ("POST", "/v1/elsewhere"),
    ],
)
def test_malformed_requests(application, method, target):
    assert ask_json(application, method, target) == (400, {"error": f"Malformed request: {method} {target}"})


def test_unrelated_paths_are_html(application):
    for target in ("/", "/v2/models", "/monitoring", "*"):
        status, content_type, _ = ask(application, "GET", target)
        assert (status, content_type.partition(";")[0]) == (404, "text/html")


def test_status(application):
    status, found = ask_json(application, "GET", TOY)
    assert status == 200
    assert [version["version"] for version in found["model_version_status"]] == ["2", "1"]
    _, found = ask_json(application, "GET", f"{TOY}/versions/1")
    assert [version["version"] for version in found["model_version_status"]] == ["1"]
    status, found = ask_json(application, "GET", "/v1/models/nope")
    assert (status, found) == (404, {"error": "Could not find any versions of model nope"})
    assert ask_json(application, "GET", "/v1/models") == (400, {"error": "Missing model name in request."})


def test_metadata(application):
    status, found = ask_json(application, "GET", f"{TOY}/versions/1/metadata")
    assert status == 200
    assert found["model_spec"] == {"name": "toy", "signature_name": "", "version": "1"}
    signature = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["x"]["tensor_shape"]["dim"][1] == {"size": "3", "name": ""}


def test_options_needs_an_origin(application):
    assert ask(application, "OPTIONS", f"{TOY}:predict", HTTP_ORIGIN="https://a")[0] == 200
    assert ask_json(application, "OPTIONS", f"{TOY}:predict")[0] == 400


def test_zipped_bodies(application):
    zipped = gzip.compress(ROWS)
    headers = {"HTTP_CONTENT_ENCODING": "gzip"}
    assert ask_json(application, "POST", f"{TOY}:predict", zipped, **headers) == (200, PREDICTIONS)
    for broken in (ROWS, zipped[:-9], b""):
        assert ask_json(application, "POST", f"{TOY}:predict", broken, **headers)[0] == 400


def test_bodies_have_a_limit_zipped_or_not(models):
    application = RestApplication(models, max_body_bytes=1000)
    long = b'{"instances": [' + b" " * 1000
    status, found = ask_json(application, "POST", f"{TOY}:predict", long)
    assert status == 413
    assert "1000 bytes" in found["error"]
    bomb = gzip.compress(b"0" * 10_000_000)
    for body in (gzip.compress(long), bomb[:1000]):
        assert ask_json(application, "POST", f"{TOY}:predict", body, HTTP_CONTENT_ENCODING="gzip")[0] == 413


def test_a_run_gets_the_time_that_is_left(models):
    application = RestApplication(models, seconds=5.0)
    ask_json(application, "POST", f"{TOY}:predict", ROWS)
    ((_, _, seconds),) = models.servables["toy", 2].runs
    assert 4 < seconds <= 5


def test_requests_are_counted(application):
    ask(application, "POST", f"{TOY}:predict", ROWS)
    ask(application, "POST", f"{TOY}:predict", b"")
    ask(application, "GET", TOY)
    ask(application, "GET", f"{TOY}/versions/{2**63}")
    ask(application, "GET", "/v1/models")
    ask(application, "PUT", TOY)
    status, content_type, text = ask(application, "GET", METRICS_PATH)
    assert (status, content_type) == (200, "text/plain")
    assert ':tensorflow:serving:request_count{model_name="toy",status="OK"} 2\n' in text
    assert ':tensorflow:serving:request_count{model_name="toy",status="INVALID_ARGUMENT"} 2\n' in text
    assert ':tensorflow:serving:request_count{model_name="",status="INVALID_ARGUMENT"} 2\n' in text
    # As TensorFlow Serving writes them: the verb of the path, and none for a GET.
    assert ':request_latency_count{model_name="toy",API="predict",entrypoint="REST"} 1\n' in text
    assert ':request_latency_count{model_name="toy",API="",entrypoint="REST"} 1\n' in text
    assert ':runtime_latency_count{model_name="toy",API="Predict",runtime="TF1"} 1\n' in text


def test_without_monitoring_there_is_no_metrics_page(models):
    assert ask(RestApplication(models, Metrics()), "GET", METRICS_PATH)[0] == 404


def test_a_draining_application_refuses(application):
    assert application.drain(1.0)
    assert ask_json(application, "POST", f"{TOY}:predict", ROWS) == (503, {"error": "The server is stopping"})


@pytest.mark.parametrize("arguments", [{"seconds": 0}, {"max_body_bytes": 0}])
def test_arguments_out_of_range(models, arguments):
    with pytest.raises(MmkerasError):
        RestApplication(models, **arguments)


def test_a_large_body_is_read_in_bearable_time(models):
    application = RestApplication(models, limits=NO_LIMITS)
    rows = json.dumps({"instances": [[0.1, 0.2, 0.3]] * 50_000}).encode()
    started = time.perf_counter()
    status, found = ask_json(application, "POST", f"{TOY}:predict", rows)
    assert (status, len(found["predictions"])) == (200, 50_000)
    assert time.perf_counter() - started < 5
