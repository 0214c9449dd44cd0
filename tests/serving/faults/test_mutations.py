"""Requests that are changed at random, on both ports: none ends the server, and right ones stay right."""

import http.client
import json
import random
import resource
import time

import grpc
import numpy as np
import pytest

from mmkeras.serving import Client, protos

MEMORY = 8 * 2**30  # of addresses
GROWTH = 600 * 2**20  # of memory that is used, at its peak
REQUESTS, SECONDS = 300, 25
SIGNATURES = ["", "pair", "upper", "half", "fail", "encode_text", "encode_image", "encode_pixels", "match", "describe"]
ALIASES = ["x", "a", "b", "text", "image_bytes", "image", "probe", "message", ""]
SIZES = [0, 1, 2, 3, 4, 5, 4096, 4097, 20_000, 2**20, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1, -1, -2, -(2**63)]
STRINGS = [b"", b"a", b"omega", b"\xff\xfe", b"\0" * 9, b"x" * 70_000, "日本".encode()]
NUMBERS = [0, 1, -1, 0.5, 1e308, -1e39, 2**24, 2**53 + 1, 2**63, 2**64, 10**400, True, False, None, float("nan")]
RIGHT = [
    {"instances": [[1, 2, 3], [4, 5, 6]]},
    {"signature_name": "upper", "instances": ["a", {"b64": "YQ=="}]},
    {"signature_name": "pair", "inputs": {"a": [1], "b": [2]}},
]
METHODS = ["Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata", "Nonsense"]
WORDS = ["instances", "inputs", "examples", "context", "signature_name", "b64", "predictions", *ALIASES]


def bounded():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


@pytest.fixture(params=range(2))
def chosen(request):
    return random.Random(request.param)


@pytest.fixture
def server(serve, toy_path):
    return serve(toy_path, "--port", 0, "--rest-port", 0, preexec_fn=bounded)


def peak_memory(pid):
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def mutated(chosen, content):
    """Bytes with a few changes."""
    content = bytearray(content)
    for _ in range(chosen.choice([0, 1, 1, 2, 8])):
        place = chosen.randrange(len(content) + 1)
        match chosen.randrange(5):
            case 0:
                content[place : place + 1] = chosen.randbytes(1)
            case 1:
                del content[place : place + chosen.randrange(1, 9)]
            case 2:
                content[place:place] = chosen.randbytes(chosen.randrange(1, 9))
            case 3:
                content[place:place] = b"\xff" * 9 + b"\x01"  # the longest number
            case 4:
                content[place:place] = content[: chosen.randrange(200)] * chosen.choice([1, 1, 50])
    return bytes(content)


def tensor(chosen):
    proto = protos.TensorProto(dtype=chosen.choice([1, 1, 3, 4, 7, 7, 7, 9, 19, 0, 77]))
    for _ in range(chosen.choice([0, 1, 1, 1, 2, 4, 4, 40])):
        proto.tensor_shape.dim.add(size=chosen.choice(SIZES))
    proto.tensor_shape.unknown_rank = chosen.random() < 0.05
    count = chosen.choice([0, 1, 1, 3, 100])
    match chosen.randrange(5):
        case 0:
            proto.float_val.extend(chosen.uniform(-9, 9) for _ in range(count))
        case 1:
            proto.string_val.extend(chosen.choice(STRINGS) for _ in range(count))
        case 2:
            proto.tensor_content = chosen.randbytes(chosen.choice([0, 4, 48, 5000]))
        case 3:
            proto.int_val.extend(chosen.randrange(-(2**31), 2**31) for _ in range(count))
        case 4:
            proto.string_val.extend([b""] * chosen.choice([5000, 200_000]))
    return proto


def message(chosen, method):
    """The bytes of a request of a method, near to a right one."""
    spec = {"name": chosen.choice(["toy"] * 9 + [f"m{chosen.random()}"]), "signature_name": chosen.choice(SIGNATURES)}
    if method in ("Predict", "Nonsense"):
        aliases = chosen.sample(ALIASES, chosen.choice([1, 1, 2]))
        request = protos.PredictRequest(model_spec=spec, inputs={alias: tensor(chosen) for alias in aliases})
        return mutated(chosen, request.SerializeToString())
    example = protos.Example()
    example.features.feature[chosen.choice(ALIASES)].bytes_list.value.append(chosen.choice(STRINGS))
    given = {"example_list": {"examples": [example] * chosen.choice([0, 1, 5000])}}
    if method == "MultiInference":
        request = protos.MultiInferenceRequest(tasks=[{"model_spec": spec}] * chosen.randrange(3), input=given)
    elif method == "GetModelMetadata":
        request = protos.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
    else:
        kind = protos.ClassificationRequest if method == "Classify" else protos.RegressionRequest
        request = kind(model_spec=spec, input=given)
    return mutated(chosen, request.SerializeToString())


def value(chosen, depth=0):
    """Anything that JSON can say."""
    kind = chosen.randrange(8 if depth < 5 else 3)
    if kind == 0:
        return chosen.choice(NUMBERS)
    if kind in (1, 2):
        return chosen.choice(["", "a", "omega", "日本", "YQ==", "not base64!", "x" * 70_000, *SIGNATURES])
    if kind == 3:
        return {chosen.choice(WORDS): value(chosen, depth + 1) for _ in range(chosen.randrange(3))}
    if kind == 4:
        return [value(chosen, depth + 1)] * chosen.choice([0, 1, 2, 5000 if depth < 2 else 3])
    return [value(chosen, depth + 1) for _ in range(chosen.randrange(4))]


def body(chosen):
    if chosen.random() < 0.3:  # near to a right one
        return mutated(chosen, json.dumps(chosen.choice(RIGHT)).encode())
    document = {"signature_name": chosen.choice(SIGNATURES), chosen.choice(WORDS[:3]): value(chosen)}
    return mutated(chosen, json.dumps(document)[: 2**20].encode())


def right(server):
    """Whether a right request over each port gets the right value."""
    rows = np.float32([[1, 2, 3], [0, 0, 1]])
    for address in (server.address, server.rest_address):
        with Client(address, "toy", timeout=20, retries=0) as client:
            if client.predict("", {"x": rows})["y"].tolist() != [[12.0, 12.0], [2.0, 2.0]]:
                return False
            if client.predict("upper", {"text": ["omega", "x"]})["word"].tolist() != [24, -1]:
                return False
    return True


def test_what_is_changed_at_random_over_grpc(server, chosen):
    assert right(server)
    before, codes, end = peak_memory(server.pid), set(), time.monotonic() + SECONDS
    with grpc.insecure_channel(server.address) as channel:
        for number in range(REQUESTS):
            method = chosen.choice(METHODS[:1] * 9 + METHODS)
            content = message(chosen, method)
            compression = grpc.Compression.Gzip if chosen.random() < 0.1 else None
            try:
                call = channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")
                call(content, timeout=5, compression=compression)
                codes.add("OK")
            except grpc.RpcError as error:
                codes.add(error.code().name)
            if number % 100 == 0:
                assert right(server)
            if time.monotonic() > end:
                break
    assert right(server)
    assert codes >= {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED"}
    assert not codes & {"UNAVAILABLE", "CANCELLED", "UNKNOWN"}
    assert peak_memory(server.pid) - before < GROWTH
    assert not [line for line in server.errors if "Traceback" in line]


def test_what_is_changed_at_random_over_rest(server, chosen):
    assert right(server)
    before, statuses, end = peak_memory(server.pid), set(), time.monotonic() + SECONDS
    connection = http.client.HTTPConnection(server.rest_address.removeprefix("http://"), timeout=20)
    for number in range(REQUESTS):
        method = chosen.choice(["predict", "predict", "predict", "classify", "regress", "other"])
        path = f"/v1/models/{chosen.choice(['toy', 'toy', 'toy', 'gone', 'toy/versions/2', 'toy/labels/x'])}:{method}"
        headers = {"Content-Encoding": "gzip"} if chosen.random() < 0.05 else {}
        try:
            connection.request("POST", path, body(chosen), headers)
            reply = connection.getresponse()
            reply.read()
        except (http.client.HTTPException, ConnectionError):  # closed after a reply that says so
            connection.close()
            continue
        statuses.add(reply.status)
        if number % 100 == 0:
            assert right(server)
        if time.monotonic() > end:
            break
    connection.close()
    assert right(server)
    assert statuses >= {200, 400, 404}
    assert peak_memory(server.pid) - before < GROWTH
    assert not [line for line in server.errors if "Traceback" in line]
