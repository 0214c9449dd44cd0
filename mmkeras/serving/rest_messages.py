"""A model server's REST interface in terms of its messages: from request to path and JSON, and from JSON to response.

Predictions travel in the column format, which asks nothing of the inputs' first dimension. JSON has no dtypes, so an
answer is read with those of the signature; bytes that are no UTF-8 pass through, though a server writes them raw.

Reference: tensorflow_serving/util/json_tensor.cc, tensorflow_serving/model_servers/http_rest_api_handler.cc.
"""

import base64
import json
from urllib.parse import quote

import numpy as np
from google.protobuf import json_format

from mmkeras.errors import MmkerasError
from mmkeras.serving import protos
from mmkeras.serving.errors import STATUS_CODES
from mmkeras.serving.tensors import decode_tensor, numpy_dtype_name, write_tensor

# The HTTP statuses of a model server, and of what may stand before it.
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_IN_JSON = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "bool")


def predict_request(request):
    """Return (verb, path, body) of a PredictRequest."""
    inputs = {name: _values(name, decode_tensor(proto)) for name, proto in request.inputs.items()}
    body = {"inputs": inputs}
    if request.model_spec.signature_name:
        body["signature_name"] = request.model_spec.signature_name
    return "POST", f"{_model_path(request.model_spec)}:predict", json.dumps(body, separators=(",", ":")).encode()


def metadata_request(request):
    """Return (verb, path, body) of a GetModelMetadataRequest."""
    return "GET", f"{_model_path(request.model_spec)}/metadata", None


def status_request(request):
    """Return (verb, path, body) of a GetModelStatusRequest."""
    return "GET", _model_path(request.model_spec), None


def predict_response(content, request, data_types):
    """Return the PredictResponse of a body, or None where the body does not fit the signature's outputs.

    Args:
        content: bytes of the answer.
        request: the PredictRequest; the version that it names is the one that answered.
        data_types: dict from output name to DataType number.
    """
    outputs = _json(content).get("outputs")
    if len(data_types) == 1:
        outputs = {next(iter(data_types)): outputs}  # a single output stands without its name
    if not isinstance(outputs, dict) or set(outputs) != set(data_types):
        return None
    response = protos.PredictResponse(model_spec=request.model_spec)
    for name, values in outputs.items():
        try:
            write_tensor(response.outputs[name], _array(values, data_types[name]))
        except (TypeError, ValueError, OverflowError):
            return None
    return response


def metadata_response(content):
    """Return the GetModelMetadataResponse of a body."""
    answer = _json(content)
    try:
        signatures = json_format.ParseDict(
            answer["metadata"]["signature_def"], protos.SignatureDefMap(), ignore_unknown_fields=True
        )
        spec = protos.ModelSpec(name=answer["model_spec"]["name"])
        spec.version.value = int(answer["model_spec"]["version"])
    except (KeyError, TypeError, ValueError, json_format.ParseError) as error:
        raise _not_understood(content) from error
    response = protos.GetModelMetadataResponse(model_spec=spec)
    response.metadata["signature_def"].CopyFrom(
        protos.Any(type_url=protos.SIGNATURE_DEF_MAP_URL, value=signatures.SerializeToString())
    )
    return response


def status_response(content):
    """Return the GetModelStatusResponse of a body."""
    response = protos.GetModelStatusResponse()
    try:
        for entry in _json(content)["model_version_status"]:
            status = entry.get("status", {})
            response.model_version_status.add(
                version=int(entry["version"]),
                state=protos.State.get(entry.get("state"), 0),
                status=protos.StatusProto(
                    error_code=STATUS_CODES.get(status.get("error_code"), STATUS_CODES["UNKNOWN"]),
                    error_message=status.get("error_message", ""),
                ),
            )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _not_understood(content) from error
    return response


def data_types_of(metadata, signature):
    """Return a dict from output name to DataType number of a signature, empty where there is none of that name."""
    signatures = protos.SignatureDefMap.FromString(metadata.metadata["signature_def"].value).signature_def
    name = signature or "serving_default"
    return {alias: info.dtype for alias, info in signatures[name].outputs.items()} if name in signatures else {}


def refusal(status, reason, content):
    """Return (code, details) of an answer that is not 200."""
    try:
        details = json.loads(content.decode("utf-8", "replace"))["error"]
    except (ValueError, KeyError, TypeError):
        details = f"HTTP {status} {reason}: {content[:200].decode('utf-8', 'replace')}"
    return _CODES.get(status, "UNKNOWN"), str(details)


def _model_path(spec):
    path = f"/v1/models/{quote(spec.name, safe='')}"
    if spec.HasField("version"):
        return f"{path}/versions/{spec.version.value}"
    return f"{path}/labels/{quote(spec.version_label, safe='')}" if spec.version_label else path


def _values(name, array):
    """Return an array as JSON has it."""
    if not array.dtype.hasobject and array.dtype.name not in _IN_JSON:
        raise MmkerasError(
            f"Expected strings or a dtype among {', '.join(_IN_JSON)}: REST has no other, gRPC has. "
            f"Received: {name} of dtype {array.dtype.name}"
        )
    if not array.dtype.hasobject:
        return array.tolist()
    flat = np.empty(array.size, dtype=object)
    for position, value in enumerate(array.ravel()):
        try:
            flat[position] = value.decode()
        except UnicodeDecodeError:
            flat[position] = {"b64": base64.b64encode(value).decode()}
    return flat.reshape(array.shape).tolist()


def _array(values, data_type):
    name = numpy_dtype_name(data_type)
    if name != "string":
        return np.asarray(values, dtype=name)
    array = np.asarray(values, dtype=object)
    flat = np.empty(array.size, dtype=object)
    for position, value in enumerate(array.ravel()):
        if isinstance(value, dict) and set(value) == {"b64"}:
            flat[position] = base64.b64decode(value["b64"], validate=True)
        elif isinstance(value, str):
            flat[position] = value.encode("utf-8", "surrogateescape")
        else:
            raise ValueError(f"Expected a string. Received: {value!r}")
    return flat.reshape(array.shape)


def _json(content):
    try:
        answer = json.loads(content.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise _not_understood(content) from error
    if not isinstance(answer, dict):
        raise _not_understood(content)
    return answer


def _not_understood(content):
    return MmkerasError(f"Expected the JSON of a model server. Received: {content[:200].decode('utf-8', 'replace')!r}")
