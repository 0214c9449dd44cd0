"""A server's answers as Python and NumPy values."""

from __future__ import annotations

from typing import Any

from mmkeras.errors import MmkerasError
from mmkeras.serving import protos
from mmkeras.serving.answer_types import ModelMetadata, VersionStatus
from mmkeras.serving.errors import STATUS_NAMES
from mmkeras.serving.tensors import decode_tensor, numpy_dtype_name


def read_outputs(response):
    """Return (dict from output name to array, the version that answered or 0) of a PredictResponse."""
    outputs = {name: decode_tensor(proto) for name, proto in response.outputs.items()}
    return outputs, response.model_spec.version.value


def check_rows(outputs, names, rows, signature):
    """Refuse an answer without the named outputs, or with another number of rows than were sent."""
    for name in names:
        if name not in outputs:
            raise MmkerasError(
                f"Expected {signature} to return {name!r}, as mmkeras exports do. Received: {sorted(outputs)}"
            )
        if not outputs[name].ndim or len(outputs[name]) != rows:
            raise MmkerasError(
                f"Expected {rows} rows of {name!r} from {signature}. Received: shape {outputs[name].shape}"
            )


def read_metadata(response: Any) -> ModelMetadata:
    """Return a dict of model, version and signatures from a GetModelMetadataResponse."""
    signatures = protos.SignatureDefMap.FromString(response.metadata["signature_def"].value).signature_def
    return {
        "model": response.model_spec.name,
        "version": response.model_spec.version.value,
        "signatures": {
            name: {
                "inputs": {alias: _tensor_info(info) for alias, info in sorted(signature.inputs.items())},
                "outputs": {alias: _tensor_info(info) for alias, info in sorted(signature.outputs.items())},
            }
            for name, signature in sorted(signatures.items())
            # The server lists the initialiser too; it is no signature that could be asked.
            if name != "__saved_model_init_op"
        },
    }


def _tensor_info(info):
    shape = [None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim]
    return {"dtype": numpy_dtype_name(info.dtype), "shape": None if info.tensor_shape.unknown_rank else shape}


def read_status(response: Any) -> list[VersionStatus]:
    """Return the entries of a GetModelStatusResponse as dicts."""
    return [
        {
            "version": entry.version,
            "state": protos.STATE_NAMES.get(entry.state, str(entry.state)),
            "error_code": STATUS_NAMES.get(entry.status.error_code, str(entry.status.error_code)),
            "error_message": entry.status.error_message,
        }
        for entry in response.model_version_status
    ]
