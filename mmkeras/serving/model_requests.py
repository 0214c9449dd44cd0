"""What a client asks a served model and how it reads the answers, without any input or output of its own."""

import re
import time

import numpy as np

from mmkeras.errors import MmkerasError
from mmkeras.serving import protos
from mmkeras.serving.call import Call
from mmkeras.serving.chunks import chunks
from mmkeras.serving.errors import ServingError
from mmkeras.serving.model_answers import check_rows, read_metadata, read_outputs, read_status
from mmkeras.serving.tensors import as_array, write_tensor

_ATTEMPTS = 3  # at an answer of which all rows come from one version
_POLL_SECONDS = 0.1
_POLL_LONGEST = 5.0
_TOO_MANY_ROWS = re.compile(r"Task size \d+ is larger than maximum input batch size (\d+)")
_NOT_YET = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "NOT_FOUND")


class ModelRequests:
    """The conversations with one model; `Client` and `AsyncClient` carry them out, each in its way.

    Every method is a generator. It yields a list of `Call`, to be answered at the same time or one after the other, and
    is sent the list of what their `decode` returned; or it yields a number of seconds, to be waited. A `ServingError`
    is thrown into it. What it returns is the result.

    Args:
        model: the model's name on the server.
        version: integer version, or None.
        label: version label, or None.
        max_batch: rows a request at most; lowered once a server says that it takes fewer.
        address: the server's, for messages.
        tells_version: whether an answer says which version gave it. Over REST it does not: a call of several requests
            asks for the version first and names it in each of them.

    Example:
        >>> steps = ModelRequests("glyphs").predict("encode_text", {"text": ["snowman"]})
        >>> next(steps)[0].build().model_spec.signature_name
        'encode_text'
    """

    def __init__(self, model, version=None, label=None, max_batch=256, address="", tells_version=True):
        self.model = model
        self.version = version
        self.label = label
        self.max_batch = max_batch
        self.address = address
        self.tells_version = tells_version

    def predict(self, signature, inputs):
        """Return the outputs of one request: a dict from name to array."""
        arrays = {name: as_array(values) for name, values in inputs.items()}
        for name, array in arrays.items():
            if array.ndim and not len(array):
                raise MmkerasError(f"Expected at least one row. Received: {name} of shape {array.shape}")
        [(outputs, _)] = yield [self._predict_call(signature, lambda: arrays, self.version)]
        return outputs

    def rows(self, signature, columns, names):
        """Return the named outputs, a list of arrays, for columns of equal length, all rows from one version.

        A column is an array, or has a length, `sizes` and slices that are arrays.
        """
        for name, column in columns.items():
            if not len(column):
                raise MmkerasError(f"Expected at least one row. Received: {name} of length 0")
        # Answers are kept by the chunks' first rows: while there are any, the chunks stay, whatever other calls learn.
        parts, answers = chunks(columns, self.max_batch), {}
        version, attempt = self.version, 0
        while attempt < _ATTEMPTS:
            try:
                if version is None and len(parts) > 1 and not self.tells_version:
                    version = (yield from self.metadata())["version"]
                missing = [chunk for chunk in parts if chunk.start not in answers]
                received = yield [self._chunk_call(signature, columns, names, chunk, version) for chunk in missing]
            except ServingError as error:
                if self._lower_max_batch(error, max(chunk.stop - chunk.start for chunk in parts)):
                    parts, answers = chunks(columns, self.max_batch), {}
                elif error.code == "NOT_FOUND" and version != self.version:
                    # It was there a moment ago; the server has gone on, or back, to another one.
                    answers, version, attempt = {}, None, attempt + 1
                else:
                    raise
                continue
            answers |= {chunk.start: answer for chunk, answer in zip(missing, received, strict=True)}
            version = max(answering for _, answering in answers.values())
            answers = {start: answer for start, answer in answers.items() if answer[1] == version}
            if len(answers) == len(parts):
                outputs = [answers[chunk.start][0] for chunk in parts]
                return [np.concatenate([output[name] for output in outputs]) for name in names]
            attempt += 1
        raise ServingError(
            "ABORTED",
            f"the model's version changed in each of {_ATTEMPTS} attempts, last to {version}",
            f"{signature} of model {self.model!r} at {self.address}",
        )

    def embeddings(self, signature, columns, output="embedding"):
        """Return one output, float32."""
        [rows] = yield from self.rows(signature, columns, [output])
        return rows.astype(np.float32, copy=False)

    def tolerant_embeddings(self, signature, columns):
        """Return (embedding float32 (N, D), valid bool (N,))."""
        embeddings, valid = yield from self.rows(signature, columns, ["embedding", "valid"])
        return embeddings.astype(np.float32, copy=False), valid.astype(bool)

    def classes(self, signature, columns):
        """Return (probabilities float32 (N, C), labels, a list of C strings)."""
        probabilities, labels = yield from self.rows(signature, columns, ["probabilities", "labels"])
        if labels.ndim != 2 or labels.shape != probabilities.shape or (labels != labels[:1]).any():
            raise MmkerasError(
                f"Expected signature {signature!r} to name the same labels in every row, one a probability. "
                f"Received: labels of shape {labels.shape}, probabilities of shape {probabilities.shape}"
            )
        names = [label.decode("utf-8", "replace") for label in labels[0].tolist()]
        return probabilities.astype(np.float32, copy=False), names

    def best_classes(self, signature, columns, k):
        """Return for each row its k most probable (label, probability) pairs, best first."""
        if k < 1:
            raise MmkerasError(f"Expected at least one class a row. Received: k={k!r}")
        probabilities, labels = yield from self.classes(signature, columns)
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
        return [
            [(labels[column], float(row[column])) for column in chosen]
            for row, chosen in zip(probabilities, best, strict=True)
        ]

    def space_id(self):
        """Return the identity of the embedding space."""
        [identity] = yield from self.rows("describe", {"probe": as_array([""])}, ["space_id"])
        return identity[0].decode()

    def check_space(self, index):
        """Return the space of server and index where they are the same; raise where not."""
        expected = index if isinstance(index, str) else getattr(index, "space_id", None)
        if not isinstance(expected, str):
            raise MmkerasError(f"Expected an index with a space_id, or a space_id. Received: index={index!r}")
        served = yield from self.space_id()
        if served != expected:
            folder = "" if isinstance(index, str) else f" {getattr(index, 'folder', '')}"
            choice = f"version {self.version}, " if self.version is not None else ""
            choice = f"label {self.label!r}, " if self.label is not None else choice
            raise MmkerasError(
                f"The index{folder} was made in the space {expected[:12]}, model {self.model!r} ({choice}at "
                f"{self.address}) answers in {served[:12]}: their embeddings cannot be compared. Use the index "
                "exported with that model, or ask for the version that the index came with"
            )
        return served

    def metadata(self, longest=None):
        """Return a dict of model, version and signatures."""
        request = protos.GetModelMetadataRequest(model_spec=self._model_spec(), metadata_field=["signature_def"])
        response_class = protos.GetModelMetadataResponse
        method = "PredictionService/GetModelMetadata"
        [metadata] = yield [Call(method, lambda: request, response_class, read_metadata, longest=longest)]
        return metadata

    def status(self, model=None, longest=None):
        """Return the entries of a model's versions, the highest first."""
        version = self.version if model in (None, self.model) else None
        spec = protos.ModelSpec(name=model or self.model, version=_version_value(version))
        request = protos.GetModelStatusRequest(model_spec=spec)
        response_class = protos.GetModelStatusResponse
        method = "ModelService/GetModelStatus"
        [status] = yield [Call(method, lambda: request, response_class, read_status, longest=longest)]
        return status

    def models(self, names):
        """Return a dict from model name to its status, an empty list where the server does not know it."""
        known = {}
        for name in names or [self.model]:
            try:
                known[name] = yield from self.status(name)
            except ServingError as error:
                if error.code != "NOT_FOUND":
                    raise
                known[name] = []
        return known

    def wait_until_ready(self, timeout):
        """Return once the model, its version or label is available."""
        deadline = time.monotonic() + timeout
        seen = ""
        while True:
            longest = max(min(deadline - time.monotonic(), _POLL_LONGEST), 0.05)
            try:
                if self.label is not None:
                    yield from self.metadata(longest)  # the status takes no notice of a label
                    return
                states = yield from self.status(longest=longest)
                if any(state["state"] == "AVAILABLE" for state in states):
                    return
                seen = str(states)
            except ServingError as error:
                if error.code not in _NOT_YET and "Unrecognized servable version label" not in error.details:
                    raise
                # An answer says more than that the last look was cut short.
                seen = seen if seen and error.code == "DEADLINE_EXCEEDED" else str(error)
            if deadline - time.monotonic() <= _POLL_SECONDS:
                raise ServingError(
                    "DEADLINE_EXCEEDED",
                    f"not available within {timeout} s; the last answer was: {seen}",
                    f"Waiting for model {self.model!r} at {self.address}",
                )
            yield _POLL_SECONDS

    def _model_spec(self, signature="", version=None):
        version = self.version if version is None else version
        spec = protos.ModelSpec(name=self.model, signature_name=signature, version=_version_value(version))
        if version is None and self.label is not None:
            spec.version_label = self.label
        return spec

    def _predict_call(self, signature, arrays, version, decode=read_outputs, reads_files=False):
        """Return the Call of one request; `arrays` is a function that returns the inputs."""

        def build():
            request = protos.PredictRequest(model_spec=self._model_spec(signature, version))
            for name, array in arrays().items():
                write_tensor(request.inputs[name], array)
            return request

        return Call("PredictionService/Predict", build, protos.PredictResponse, decode, reads_files)

    def _chunk_call(self, signature, columns, names, chunk, version):
        def arrays():
            return {name: column[chunk] for name, column in columns.items()}

        def decode(response):
            outputs, answering = read_outputs(response)
            check_rows(outputs, names, chunk.stop - chunk.start, f"signature {signature!r} of model {self.model!r}")
            return outputs, answering

        reads_files = not all(isinstance(column, np.ndarray) for column in columns.values())
        return self._predict_call(signature, arrays, version, decode, reads_files)

    def _lower_max_batch(self, error, rows):
        """Take the server's limit over where that is what it says, for this and all later calls; say so."""
        told = _TOO_MANY_ROWS.search(error.details)
        if error.code != "INVALID_ARGUMENT" or told is None or not 0 < int(told[1]) < rows:
            return False
        self.max_batch = min(self.max_batch, int(told[1]))
        return True


def _version_value(version):
    return None if version is None else protos.Int64Value(value=int(version))
