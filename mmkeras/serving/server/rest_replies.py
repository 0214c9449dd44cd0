"""The bodies of REST replies: from a signature's outputs, a status or an error to JSON.

Reference: tensorflow_serving/util/json_tensor.cc, tensorflow_serving/model_servers/http_rest_api_util.cc.
"""

import json

import numpy as np
from google.protobuf import json_format

from mmkeras.serving import protos
from mmkeras.serving.errors import STATUS_NAMES, ServingError
from mmkeras.serving.server.json_texts import json_text, json_texts

_BYTES_SUFFIX = "_bytes"


def write_outputs(in_rows, outputs):
    """Return the JSON of a predict reply.

    Strings of an output named `..._bytes` are written as `{"b64": ...}`, and so is any other string that is no UTF-8.

    Args:
        in_rows: whether the request was written in rows.
        outputs: dict from output alias to array; in rows of one 0th dimension.

    Raises:
        ServingError: INVALID_ARGUMENT where the outputs are no rows, or of a type that REST does not know.
    """
    if not outputs:
        raise _invalid("Cannot convert empty tensor map to JSON")
    if not in_rows:
        texts = {alias: json_text(array, _holds_bytes(alias)) for alias, array in sorted(outputs.items())}
        return f'{{"outputs": {_object(texts) if len(texts) > 1 else next(iter(texts.values()))}}}'
    batch_size = 0
    for alias, array in sorted(outputs.items()):
        if array.ndim == 0:
            raise _invalid(f"Tensor name: {alias} has no shape information ")
        if not len(array):
            raise _invalid(f"Tensor name: {alias} has invalid batch size: 0")
        if batch_size not in (0, len(array)):
            raise _invalid(f"Tensor name: {alias} has inconsistent batch size: {len(array)} expecting: {batch_size}")
        batch_size = len(array)
    columns = {alias: json_texts(array, _holds_bytes(alias)) for alias, array in sorted(outputs.items())}
    if len(columns) == 1:
        (rows,) = columns.values()
    else:
        rows = [_object(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]
    return f'{{"predictions": [{", ".join(rows)}]}}'


def write_classifications(rows):
    """Return the JSON of a classify reply; `rows` holds a list of (label, score) for each example."""
    labelled = (", ".join(f"[{_text(label)}, {json_text(np.float32(score))}]" for label, score in row) for row in rows)
    return f'{{"results": [{", ".join(f"[{row}]" for row in labelled)}]}}'


def write_regressions(values):
    """Return the JSON of a regress reply; `values` are numbers, one an example."""
    return f'{{"results": {json_text(np.asarray(values, np.float32))}}}'


def write_status(response):
    """Return the JSON of a GetModelStatusResponse."""
    versions = [
        {
            "version": str(version.version),
            "state": protos.STATE_NAMES.get(version.state, "UNKNOWN"),
            "status": {
                "error_code": STATUS_NAMES.get(version.status.error_code, "UNKNOWN"),
                "error_message": version.status.error_message,
            },
        }
        for version in response.model_version_status
    ]
    return json.dumps({"model_version_status": versions}, indent=1)


def write_metadata(response):
    """Return the JSON of a GetModelMetadataResponse."""
    signatures = json_format.MessageToDict(
        protos.SignatureDefMap.FromString(response.metadata["signature_def"].value),
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
    spec = response.model_spec
    model_spec = {"name": spec.name, "signature_name": "", "version": str(spec.version.value)}
    return json.dumps({"model_spec": model_spec, "metadata": {"signature_def": signatures}}, indent=1)


def write_error(details):
    """Return the JSON of any error."""
    return json.dumps({"error": details}, ensure_ascii=False)


def _object(texts):
    """Return the JSON object of a dict from name to JSON text."""
    return "{" + ", ".join(f"{_text(name)}: {text}" for name, text in texts.items()) + "}"


def _text(string):
    return json.dumps(string, ensure_ascii=False)


def _holds_bytes(alias):
    return alias.endswith(_BYTES_SUFFIX)


def _invalid(text):
    return ServingError("INVALID_ARGUMENT", text)
