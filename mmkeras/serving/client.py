"""The Python client of a served model; it needs NumPy and grpcio, and no TensorFlow."""

import time
from pathlib import Path

import numpy as np

from mmkeras.errors import MmkerasError
from mmkeras.serving import protos
from mmkeras.serving.errors import STATUS_NAMES, ServingError
from mmkeras.serving.grpc_transport import GrpcTransport
from mmkeras.serving.tensors import as_array, decode_tensor, encode_tensor, numpy_dtype_name

_POLL_SECONDS = 0.1


class Client:
    """Ask a model on TensorFlow Serving, or on `EmbeddedServer`, over gRPC.

    `predict` calls any signature of any model with one request. The named methods (`encode_text`, ...) call the
    signatures that `mmkeras export` writes; they split long inputs into requests of at most `max_batch` rows and see
    to it that all rows come from one version, starting anew where the server changes it on the way. No request of zero
    rows is ever sent: under server-side batching one would hang, so an empty input raises.

    Args:
        address: "host:port" of the server's gRPC port.
        model: the model's name on the server.
        version: integer version; the server's choice (its newest) where None.
        timeout: seconds for a call of this class to the server, its repetitions included.
        max_batch: rows a request at most; a server with batching refuses more than its own `max_batch_size`.

    Raises:
        ServingError: the server refused, was away or too slow; `.code` is the gRPC code, `.details` its text.
        MmkerasError: an argument is not what is expected; nothing was sent.

    Example:
        >>> with Client("127.0.0.1:8500", "glyphs") as client:
        ...     client.encode_text(["greek small letter omega"]).shape
        (1, 128)
    """

    def __init__(self, address, model, version=None, timeout=60.0, max_batch=256):
        if not isinstance(address, str) or not address:
            raise MmkerasError(f'Expected address to be "host:port". Received: address={address!r}')
        if not isinstance(model, str) or not model:
            raise MmkerasError(f"Expected model to be a model's name. Received: model={model!r}")
        if version is not None and int(version) < 0:
            raise MmkerasError(f"Expected version to be a number from 0 or None. Received: version={version!r}")
        if timeout <= 0:
            raise MmkerasError(f"Expected timeout to be seconds above 0. Received: timeout={timeout!r}")
        if max_batch < 1:
            raise MmkerasError(f"Expected max_batch to be at least 1. Received: max_batch={max_batch!r}")
        self.address = address
        self.model = model
        self.version = version
        self.timeout = timeout
        self.max_batch = max_batch
        self._call = GrpcTransport(address)

    def predict(self, signature, inputs):
        """Return the outputs of one request.

        Args:
            signature: signature name; "serving_default" where empty.
            inputs: dict from input name to array or nested list. Arrays keep their dtype, lists of Python numbers
                become float32 and int32, strings UTF-8.

        Returns:
            Dict from output name to array; string outputs are object arrays of bytes.
        """
        return self._predict(signature, {name: as_array(values) for name, values in inputs.items()})[0]

    def encode_text(self, texts):
        """Return the embeddings of a list of strings, float32 of shape (N, D)."""
        return self._predict_rows("encode_text", {"text": _texts(texts)}, "embedding")

    def encode_image(self, images):
        """Return the embeddings of a list of picture files (paths, or their bytes), float32 of shape (N, D)."""
        return self._predict_rows("encode_image", {"image_bytes": _image_bytes(images)}, "embedding")

    def encode_pixels(self, pixels):
        """Return the embeddings of uint8 pictures of shape (N, H, W, 3) in the model's own size, float32 (N, D)."""
        pixels = np.asarray(pixels)
        if pixels.dtype != np.uint8 or pixels.ndim != 4:
            raise MmkerasError(
                "Expected pixels to be uint8 of shape (N, H, W, 3). "
                f"Received: dtype={pixels.dtype}, shape={pixels.shape}"
            )
        return self._predict_rows("encode_pixels", {"image": pixels}, "embedding")

    def match(self, images, texts):
        """Return the scores of N pairs of a picture (path or bytes) and a string, float32 of shape (N,)."""
        inputs = {"image_bytes": _image_bytes(images), "text": _texts(texts)}
        if len(inputs["image_bytes"]) != len(inputs["text"]):
            raise MmkerasError(
                "Expected as many images as texts: they are pairs. "
                f"Received: {len(inputs['image_bytes'])} images, {len(inputs['text'])} texts"
            )
        return self._predict_rows("match", inputs, "score")

    def space_id(self):
        """Return the identity of the embedding space; embeddings of two spaces must never be compared."""
        return self._output("describe", self.predict("describe", {"probe": [""]}), "space_id")[0].decode()

    def metadata(self):
        """Return `{"model", "version", "signatures": {name: {"inputs": {name: {"dtype", "shape"}}, "outputs": ...}}}`.

        A shape is a list with None for a free dimension, or None where the rank is free.
        """
        request = protos.GetModelMetadataRequest(model_spec=self._model_spec(), metadata_field=["signature_def"])
        response = self._call(
            "PredictionService/GetModelMetadata", request, protos.GetModelMetadataResponse, self.timeout
        )
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

    def status(self):
        """Return a list of `{"version", "state", "error_code", "error_message"}`, the highest version first.

        `state` is START, LOADING, AVAILABLE, UNLOADING or END; a version that failed to load is END with its error.
        """
        return self._status(self.timeout)

    def wait_until_ready(self, timeout=60.0):
        """Return once the model (its `version`, where one was given) is available; raise after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            remaining = deadline - time.monotonic()
            try:
                states = self._status(max(min(remaining, 5.0), 0.05))
                if any(state["state"] == "AVAILABLE" for state in states):
                    return
                seen = str(states)
            except ServingError as error:
                if error.code not in ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "NOT_FOUND"):
                    raise
                seen = str(error)
            if deadline - time.monotonic() <= _POLL_SECONDS:
                raise ServingError(
                    "DEADLINE_EXCEEDED",
                    f"not available within {timeout} s; the last answer was: {seen}",
                    f"Waiting for model {self.model!r} at {self.address}",
                )
            time.sleep(_POLL_SECONDS)

    def close(self):
        """Close the connection; calls after this one raise."""
        self._call.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def _model_spec(self, signature="", version=None):
        version = self.version if version is None else version
        return protos.ModelSpec(
            name=self.model,
            signature_name=signature,
            version=None if version is None else protos.Int64Value(value=int(version)),
        )

    def _status(self, timeout):
        request = protos.GetModelStatusRequest(model_spec=self._model_spec())
        response = self._call("ModelService/GetModelStatus", request, protos.GetModelStatusResponse, timeout)
        return [
            {
                "version": entry.version,
                "state": protos.STATE_NAMES.get(entry.state, str(entry.state)),
                "error_code": STATUS_NAMES.get(entry.status.error_code, str(entry.status.error_code)),
                "error_message": entry.status.error_message,
            }
            for entry in response.model_version_status
        ]

    def _predict(self, signature, arrays):
        """Return (outputs, the version that answered) of one request."""
        for name, array in arrays.items():
            if array.ndim and not len(array):
                raise MmkerasError(f"Expected at least one row. Received: {name} of shape {array.shape}")
        request = protos.PredictRequest(
            model_spec=self._model_spec(signature),
            inputs={name: encode_tensor(array) for name, array in arrays.items()},
        )
        response = self._call("PredictionService/Predict", request, protos.PredictResponse, self.timeout)
        outputs = {name: decode_tensor(proto) for name, proto in response.outputs.items()}
        return outputs, response.model_spec.version.value

    def _predict_rows(self, signature, arrays, output):
        """Return the rows of one output for inputs of equal length, from requests of at most `max_batch` rows."""
        count = len(next(iter(arrays.values())))
        for _ in range(3):
            rows, versions = [], set()
            for start in range(0, max(count, 1), self.max_batch):
                batch = {name: array[start : start + self.max_batch] for name, array in arrays.items()}
                outputs, version = self._predict(signature, batch)
                rows.append(self._output(signature, outputs, output))
                versions.add(version)
                if len(versions) > 1:
                    break
            else:
                return np.concatenate(rows).astype(np.float32, copy=False)
        raise ServingError(
            "ABORTED", f"the model's version changed in each of 3 attempts, last {sorted(versions)}", f"{signature}"
        )

    def _output(self, signature, outputs, name):
        if name not in outputs:
            raise MmkerasError(
                f"Expected signature {signature!r} of model {self.model!r} to return {name!r}, as mmkeras exports do. "
                f"Received: {sorted(outputs)}"
            )
        return outputs[name]


def _tensor_info(info):
    shape = [None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim]
    return {"dtype": numpy_dtype_name(info.dtype), "shape": None if info.tensor_shape.unknown_rank else shape}


def _texts(texts):
    """Return the strings as a 1-D array of UTF-8 bytes."""
    if isinstance(texts, str | bytes):
        raise MmkerasError(f"Expected texts to be a list of strings. Received: one {type(texts).__name__}, {texts!r}")
    texts = list(texts)
    encoded = []
    for position, text in enumerate(texts):
        try:
            encoded.append(text if isinstance(text, bytes) else text.encode())
        except (AttributeError, UnicodeEncodeError) as error:
            raise MmkerasError(f"Expected texts to be Unicode strings. Received: texts[{position}]={text!r}") from error
    return _object_array(encoded)


def _image_bytes(images):
    """Return the files' bytes as a 1-D array."""
    if isinstance(images, str | bytes | Path):
        raise MmkerasError(f"Expected images to be a list of paths or bytes. Received: one {type(images).__name__}")
    contents = []
    for position, image in enumerate(images):
        if isinstance(image, str | Path):
            try:
                image = Path(image).read_bytes()
            except OSError as error:
                raise MmkerasError(f"Expected images[{position}] to be a readable file. Received: {error}") from error
        if not isinstance(image, bytes):
            raise MmkerasError(
                f"Expected images to be paths or bytes. Received: images[{position}] of {type(image).__name__}"
            )
        contents.append(image)
    return _object_array(contents)


def _object_array(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
