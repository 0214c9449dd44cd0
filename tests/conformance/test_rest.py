"""Section 6 of the contract: the REST interface."""

import base64
import gzip
import json
import math

import pytest

from .asking import says
from .server import KIND

PREDICT = "/v1/models/dense:predict"
FEATS = [[1.0, 2.0, 3.0]]


def ask(server, path, body, status=200):
    """The JSON of a POST."""
    found, kind, content, _ = server.http("POST", path, body)
    assert (found, kind.partition(";")[0]) == (status, "application/json"), content
    return json.loads(content)


def look(server, path, status=200):
    """The JSON of a GET."""
    found, kind, content, _ = server.http("GET", path)
    assert (found, kind.partition(";")[0]) == (status, "application/json"), content
    return json.loads(content)


@pytest.mark.parametrize(
    ("path", "mean"),
    [
        ("/v1/models/dense:predict", 12.0),
        ("/v1/models/dense/versions/1:predict", 6.0),
        ("/v1/models/dense/versions/2:predict", 12.0),
        ("/v1/models/dense/labels/stable:predict", 6.0),
        ("/v1/models/dense/labels/canary:predict", 12.0),
        ("/V1/Models/dense:predict", 12.0),
        ("/v1/models/%64ense:predict", 12.0),
        ("/v1/models/dense/labels/%73table:predict", 6.0),
    ],
)
def test_paths(server, path, mean):
    assert ask(server, path, {"instances": FEATS}) == {"predictions": [{"mean": mean, "sum": 2 * mean}]}


PATHS = {
    "no model": ("GET", "/v1/models", "Missing model name in request."),
    "PUT": ("PUT", PREDICT, f"Malformed request: PUT {PREDICT}"),
    "DELETE": ("DELETE", "/v1/models/dense", "Malformed request: DELETE /v1/models/dense"),
    "GET of a verb": ("GET", PREDICT, f"Malformed request: GET {PREDICT}"),
    "POST without a verb": ("POST", "/v1/models/dense", "Malformed request: POST /v1/models/dense"),
    "another verb": ("POST", "/v1/models/dense:guess", "Malformed request: POST /v1/models/dense:guess"),
    "a verb in capitals": ("POST", "/v1/models/dense:Predict", "Malformed request: POST /v1/models/dense:Predict"),
    "a version that is no number": (
        "POST",
        "/v1/models/dense/versions/one:predict",
        "Malformed request: POST /v1/models/dense/versions/one:predict",
    ),
    "reload": ("POST", "/v1/models/dense:reload", "Malformed request: POST /v1/models/dense:reload"),
}


@pytest.mark.parametrize(("method", "path", "text"), PATHS.values(), ids=PATHS)
def test_malformed_request(server, method, path, text):
    status, kind, content, _ = server.http(method, path, b"{}" if method in ("POST", "PUT") else None)
    assert (status, kind.partition(";")[0]) == (400, "application/json")
    assert json.loads(content) == {"error": text}


@pytest.mark.parametrize("path", ["/", "/index.html", "/healthz", "/monitoring/prometheus/metrics"])
def test_an_unrelated_path(server, path):
    status, _, content, _ = server.http("GET", path)
    assert status == 404
    assert b"<html" in content.lower()


SPECS = {
    "unknown model": ("/v1/models/nope", 404, "Servable not found for request: Latest(nope)"),
    "unknown version": ("/v1/models/dense/versions/9", 404, "Servable not found for request: Specific(dense, 9)"),
    "unknown label": ("/v1/models/dense/labels/newest", 400, "Unrecognized servable version label: newest"),
}


@pytest.mark.parametrize(("path", "status", "text"), SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("verb", ["predict", "classify", "regress"])
def test_model_spec(server, verb, path, status, text):
    body = {"instances": FEATS} if verb == "predict" else {"examples": [{"x": 0.25}]}
    assert ask(server, f"{path}:{verb}", body, status) == {"error": text}


# Signature, body, reply.
REPLIES = {
    "rows": (
        "",
        {"instances": [[1, 2, 3], [0, 0, 1]]},
        {"predictions": [{"mean": 6.0, "sum": 12.0}, {"mean": 1.0, "sum": 2.0}]},
    ),
    "named rows": ("", {"instances": [{"feats": [1, 2, 3]}]}, {"predictions": [{"mean": 6.0, "sum": 12.0}]}),
    "rows of two inputs": (
        "pair",
        {"instances": [{"a": 1, "b": 2}, {"b": 0.5, "a": 4}]},
        {"predictions": [3.0, 4.5]},
    ),
    "columns": ("", {"inputs": FEATS}, {"outputs": {"mean": [6.0], "sum": [12.0]}}),
    "named columns": ("", {"inputs": {"feats": FEATS}}, {"outputs": {"mean": [6.0], "sum": [12.0]}}),
    "columns of two inputs": ("pair", {"inputs": {"a": [1, 2], "b": [3, 4]}}, {"outputs": [4.0, 6.0]}),
    "a column too many": ("pair", {"inputs": {"a": [1], "b": [3], "c": [5]}}, {"outputs": [4.0]}),
    "columns of two sizes": ("pair", {"inputs": {"a": [1, 2], "b": [3]}}, {"outputs": [4.0, 5.0]}),
    "a scalar column": ("scalar_input", {"inputs": 4}, {"outputs": 8.0}),
    "a scalar output": ("scalar_output", {"inputs": [1, 2]}, {"outputs": 3.0}),
    "integers": ("same_int32", {"instances": [-3, 7]}, {"predictions": [-3, 7]}),
    "int64": ("same_int64", {"instances": [2**53 + 1]}, {"predictions": [2**53 + 1]}),
    "int8": ("same_int8", {"instances": [-8]}, {"predictions": [-8]}),
    "int16": ("same_int16", {"instances": [-300]}, {"predictions": [-300]}),
    "uint8": ("same_uint8", {"instances": [255]}, {"predictions": [255]}),
    "uint32": ("same_uint32", {"instances": [2**32 - 1]}, {"predictions": [2**32 - 1]}),
    "uint64": ("same_uint64", {"instances": [2**64 - 1]}, {"predictions": [2**64 - 1]}),
    "double": ("same_double", {"instances": [0.1, 1e300]}, {"predictions": [0.1, 1e300]}),
    "bool": ("same_bool", {"instances": [True, False]}, {"predictions": [True, False]}),
    "a key too many beside": ("", {"instances": [[1, 2, 3]], "more": 1}, {"predictions": [{"mean": 6.0, "sum": 12.0}]}),
    "strings": (
        "text",
        {"instances": ["a b", {"b64": "Yw=="}, ""]},
        {
            "predictions": [
                {"same": "a b", "same_bytes": {"b64": "YSBi"}},
                {"same": "c", "same_bytes": {"b64": "Yw=="}},
                {"same": "", "same_bytes": {"b64": ""}},
            ]
        },
    ),
    "named strings": (
        "guarded_text",
        {"instances": [{"text": "é"}, {"text": {"b64": "Yw=="}}]},
        {"predictions": ["é", "c"]},
    ),
}


@pytest.mark.parametrize(("signature", "body", "reply"), REPLIES.values(), ids=REPLIES)
def test_predict(server, signature, body, reply):
    body = {**body, "signature_name": signature} if signature else body
    assert ask(server, "/v1/models/dense/versions/1:predict", body) == reply


# Body, text ("..." at an end: and whatever else is there); the status is always 400.
REFUSALS = {
    "nothing": ("", "JSON Parse error: The document is empty"),
    "no JSON": ("{", "JSON Parse error: ..."),
    "no object": ("[1]", "JSON Value: [1] Is not object"),
    "neither": ("{}", "Missing 'inputs' or 'instances' key"),
    "both": (
        {"instances": [1], "inputs": [1]},
        "...Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ...",
    ),
    "no rows": ({"instances": []}, "...No values in 'instances' array..."),
    "unknown signature": (
        {"signature_name": "zz", "instances": FEATS},
        'Serving signature name: "zz" not found in signature def',
    ),
    "ragged rows": (
        {"instances": [[1, 2, 3], [1, 2]]},
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
        "Expecting tensor size: 3 but got: 2",
    ),
    "wrong key": (
        {"instances": [{"x": [1, 2, 3]}]},
        "...JSON object: does not have named input: x...",
    ),
    "missing key": ({"signature_name": "pair", "instances": [{"a": 1}]}, "...keys must be equal to: a,b..."),
    "missing column": (
        {"signature_name": "pair", "inputs": {"a": [1]}},
        "Missing named input: b in 'inputs' object.",
    ),
    "bad base64": ({"signature_name": "text", "instances": [{"b64": "*"}]}, "...Unable to base64 decode..."),
    "a fraction for an integer": (
        {"signature_name": "same_int32", "instances": [3.5]},
        "...is not of expected type: int32...",
    ),
    "a string for an integer": (
        {"signature_name": "same_int32", "inputs": ["a"]},
        "...is not of expected type: int32...",
    ),
    "half": (
        {"signature_name": "same_half", "instances": [1]},
        "...UNIMPLEMENTED: Conversion of JSON Value: 1 to type: half...",
    ),
    "a scalar output in rows": (
        {"signature_name": "scalar_output", "instances": [1, 2]},
        "Tensor name: y has no shape information ...",
    ),
    "a wrong shape": ({"instances": [[1, 2]]}, "Matrix size-incompatible: In[0]: [1,2], In[1]: [3,2]..."),
    "plain rows for two inputs": (
        {"signature_name": "pair", "instances": [1, 2]},
        "instances is a plain list, but ...",
    ),
}


@pytest.mark.parametrize(("body", "text"), REFUSALS.values(), ids=REFUSALS)
def test_refusal(server, body, text):
    reply = ask(server, PREDICT, body, 400)
    assert list(reply) == ["error"]
    assert says(reply["error"], text), reply["error"]


def test_an_internal_error(server):
    reply = ask(server, PREDICT, {"signature_name": "jit", "instances": [1.0]}, 500)
    assert says(reply["error"], "XLA compilation disabled...")


def test_a_long_value_in_an_error(server):
    """Seen on TensorFlow Serving 2.21.0: it comes back whole, 10,080 characters; the embedded server cuts it."""
    error = ask(server, PREDICT, {"instances": [], "more": "x" * 10_000}, 400)["error"]
    assert "xxx" in error
    if KIND == "embedded":
        assert len(error) < 400


def test_what_follows_the_object_is_not_looked_at(server):
    body = json.dumps({"instances": FEATS}) + " and so on"
    assert "predictions" in ask(server, PREDICT, body)


def test_numbers_that_json_does_not_have(server):
    body = '{"signature_name": "same_double", "instances": [NaN, Infinity, -Infinity]}'
    _, _, content, _ = server.http("POST", PREDICT, body)
    assert [word in content for word in (b"NaN", b"Infinity", b"-Infinity")] == [True] * 3
    values = json.loads(content)["predictions"]
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf]


def test_floats_look_like_floats(server):
    _, _, content, _ = server.http("POST", PREDICT, {"signature_name": "same_double", "instances": [1, 1e30]})
    words = content.decode().partition("[")[2].partition("]")[0].split(",")
    assert all("." in word or "e" in word for word in words)
    assert list(map(float, words)) == [1.0, 1e30]


def test_bytes_that_are_no_utf_8(server):
    """A defect: the original writes them raw, which is no JSON. An output called ..._bytes is well on both."""
    encoded = base64.b64encode(b"\xff\xfe").decode()
    _, _, content, _ = server.http("POST", PREDICT, {"signature_name": "text", "instances": [{"b64": encoded}]})
    (row,) = json.loads(content.decode(errors="replace"))["predictions"]
    assert row["same_bytes"] == {"b64": encoded}


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_content_type_is_not_looked_at(server, content_type):
    status, kind, _, headers = server.http(
        "POST", PREDICT, {"instances": FEATS}, {"Content-Type": content_type, "Accept-Encoding": "gzip"}
    )
    assert (status, kind.partition(";")[0]) == (200, "application/json")
    assert headers.get("Content-Encoding") is None


def test_a_zipped_request(server):
    body = gzip.compress(json.dumps({"instances": FEATS}).encode())
    status, _, content, _ = server.http("POST", PREDICT, body, {"Content-Encoding": "gzip"})
    assert (status, json.loads(content)) == (200, {"predictions": [{"mean": 12.0, "sum": 24.0}]})


def test_options(server):
    assert server.http("OPTIONS", PREDICT)[0] == 400
    status, _, _, headers = server.http("OPTIONS", PREDICT, headers={"Origin": "http://example.org"})
    assert status == 200
    assert headers.get("Access-Control-Allow-Origin") is None


def test_classify(server):
    body = {"signature_name": "classify", "examples": [{"x": 0.25}, {"x": 0.5}]}
    assert ask(server, "/v1/models/dense/versions/1:classify", body) == {
        "results": [[["yes", 0.25], ["no", 0.75]], [["yes", 0.5], ["no", 0.5]]]
    }
    body = {"signature_name": "scores_only", "context": {"x": 0.25}, "examples": [{}]}
    assert ask(server, "/v1/models/dense/versions/1:classify", body) == {"results": [[["", 0.25]]]}


def test_regress(server):
    body = {"signature_name": "regress", "examples": [{"x": 0.25}, {"x": 4}]}
    code = server.http("POST", "/v1/models/dense:regress", body)[0]
    # An integer makes a feature of integers, where the model reads floats.
    assert code == 400
    body["examples"][1] = {"x": 4.0}
    assert ask(server, "/v1/models/dense:regress", body) == {"results": [0.5, 8.0]}
    assert ask(server, "/v1/models/multi:regress", {"signature_name": "regress_y", "examples": [{"x": 2.0}]}) == {
        "results": [3.0]
    }


@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_unknown_signature_of_examples(server, verb):
    body = {"signature_name": "zz", "examples": [{"x": 0.25}]}
    assert ask(server, f"/v1/models/dense:{verb}", body, 400) == {"error": "No signature was found with the name: zz"}


def status_of(version, state="AVAILABLE"):
    return {"version": str(version), "state": state, "status": {"error_code": "OK", "error_message": ""}}


def test_status(server):
    assert look(server, "/v1/models/dense") == {"model_version_status": [status_of(2), status_of(1)]}
    assert look(server, "/v1/models/dense/versions/1") == {"model_version_status": [status_of(1)]}
    assert look(server, "/v1/models/nope", 404) == {"error": "Could not find any versions of model nope"}
    assert look(server, "/v1/models/dense/versions/9", 404) == {"error": "Could not find version 9 of model dense"}


@pytest.mark.parametrize(("path", "version"), [("", "2"), ("/versions/1", "1"), ("/labels/stable", "1")])
def test_metadata(server, path, version):
    reply = look(server, f"/v1/models/dense{path}/metadata")
    assert reply["model_spec"] == {"name": "dense", "version": version, "signature_name": ""}
    signature = reply["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    feats = signature["inputs"]["feats"]
    assert (feats["dtype"], feats["name"]) == ("DT_FLOAT", "serving_default_feats:0")
    assert [dim["size"] for dim in feats["tensor_shape"]["dim"]] == ["-1", "3"]


def test_metadata_of_nobody(server):
    assert look(server, "/v1/models/nope/metadata", 404) == {"error": "Servable not found for request: Latest(nope)"}


def test_a_deadline(start, start_config):
    """30 seconds by default."""
    own = start(start_config, flags=["--rest_api_timeout_in_ms=300"])
    reply = ask(own, PREDICT, {"signature_name": "slow", "inputs": 2**31 - 1}, 504)
    assert reply == {"error": "Timed out waiting for notification"}


def test_cors(start, start_config):
    own = start(start_config, flags=["--rest_api_enable_cors_support=true"])
    _, _, _, headers = own.http("OPTIONS", PREDICT, headers={"Origin": "http://example.org"})
    assert headers.get("Access-Control-Allow-Origin")
