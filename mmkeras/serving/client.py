"""The Python client of a served model; it needs NumPy, protobuf and, for gRPC, grpcio, and no TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent import futures
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmkeras.errors import MmkerasError
from mmkeras.serving.answer_types import ModelMetadata, VersionStatus
from mmkeras.serving.errors import ServingError
from mmkeras.serving.model_client import ModelClient
from mmkeras.serving.pictures import Images, Pictures, object_array


class _OfOneSpace(Protocol):
    """What has a `space_id`, such as an `EmbeddingIndex`."""

    space_id: str


class Client(ModelClient):
    """Ask a model on TensorFlow Serving, or on `EmbeddedServer`, over gRPC or REST.

    `predict` calls any signature of any model with one request. The named methods (`encode_text`, ...) call the
    signatures that `mmkeras export` writes; they split long inputs into requests of at most `max_batch` rows, several
    at a time, and see to it that all rows come from one version, asking again where the server changes it on the way. A
    server that takes fewer rows says so, and is believed. No request of zero rows is ever sent: under server-side
    batching one would hang, so an empty input raises.

    A request that fails with UNAVAILABLE or RESOURCE_EXHAUSTED is repeated, after random pauses that grow; nothing else
    is. Five repetitions take about a second: a client that is to sit out a server's restart needs more `retries`, up to
    its `timeout`. Threads may share a client.

    Args:
        address: "host:port" of the server's gRPC port, "unix:PATH", or "http://host:port" (or https) of its REST port.
            gRPC is the faster of the two, and only gRPC knows float16 and complex numbers.
        model: the model's name on the server.
        version: integer version; the server's choice (its newest) where None.
        timeout: seconds for a call of a method of this class, all its requests and their repetitions included. Every
            method takes a `timeout` of its own: a long list may need more.
        max_batch: rows a request at most; fewer where they hold more than 16 MiB.
        label: a version label ("stable"), in place of a version.
        tls: `TlsFiles`, or True to trust the system's authorities; for gRPC. An https address is encrypted without it.
        concurrency: requests at a time, of calls that need several.
        retries: how often a request is repeated at most.

    Raises:
        ServingError: the server refused, was away or too slow; `.code` is the gRPC code, `.details` its text. Over REST
            the code is read from the HTTP status, where 400 stands for FAILED_PRECONDITION and OUT_OF_RANGE too.
        MmkerasError: an argument is not what is expected, and nothing was sent; or the model is no mmkeras export.

    Example:
        >>> with Client("127.0.0.1:8500", "glyphs") as client:
        ...     client.encode_text(["greek small letter omega"]).shape
        (1, 128)
    """

    def predict(
        self, signature: str, inputs: Mapping[str, ArrayLike], timeout: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """Return the outputs of one request.

        Args:
            signature: signature name; "serving_default" where empty.
            inputs: dict from input name to array or nested list. Arrays keep their dtype, lists of Python numbers
                become float32 and int32, strings UTF-8.
            timeout: seconds.

        Returns:
            Dict from output name to array; string outputs are object arrays of bytes.
        """
        return self._run(self._requests.predict(signature, inputs), timeout)

    def encode_text(self, texts: Iterable[str | bytes], timeout: float | None = None) -> NDArray[np.float32]:
        """Return the embeddings of a list of strings, float32 of shape (N, D)."""
        return self._run(self._requests.embeddings("encode_text", {"text": _texts(texts)}), timeout)

    def encode_image(self, images: Images, timeout: float | None = None) -> NDArray[np.float32]:
        """Return the embeddings of a list of pictures, float32 of shape (N, D).

        Args:
            images: list of paths, encoded files (bytes), uint8 arrays (H, W) or (H, W, C) of any size, or Pillow
                images; or one array (N, H, W, C). Arrays travel as PNG files and are prepared as a file would be.
            timeout: seconds.
        """
        return self._run(self._requests.embeddings("encode_image", {"image_bytes": Pictures(images)}), timeout)

    def encode_image_tolerant(
        self, images: Images, timeout: float | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return (embeddings float32 (N, D), valid bool (N,)): a picture that cannot be read is not valid.

        Slower than `encode_image`, which fails where one picture does.
        """
        columns = {"image_bytes": Pictures(images)}
        return self._run(self._requests.tolerant_embeddings("encode_image_tolerant", columns), timeout)

    def encode_pixels(self, pixels: ArrayLike, timeout: float | None = None) -> NDArray[np.float32]:
        """Return the embeddings of uint8 pictures of shape (N, H, W, C) in the model's own size, float32 (N, D)."""
        pixels = np.asarray(pixels)
        if pixels.dtype != np.uint8 or pixels.ndim != 4:
            raise MmkerasError(
                "Expected pixels to be uint8 of shape (N, H, W, 3). "
                f"Received: dtype={pixels.dtype}, shape={pixels.shape}"
            )
        return self._run(self._requests.embeddings("encode_pixels", {"image": pixels}), timeout)

    def encode_features(self, features: ArrayLike, timeout: float | None = None) -> NDArray[np.float32]:
        """Return the embeddings of image features of shape (N, F), float32 (N, D), of a model that takes these."""
        return self._run(self._requests.embeddings("encode_features", {"image": _features(features)}), timeout)

    def encode_text_features(self, features: ArrayLike, timeout: float | None = None) -> NDArray[np.float32]:
        """Return the embeddings of text features of shape (N, F), float32 (N, D), of a model that takes these."""
        return self._run(self._requests.embeddings("encode_text_features", {"text": _features(features)}), timeout)

    def match(self, images: Images, texts: Iterable[str | bytes], timeout: float | None = None) -> NDArray[np.float32]:
        """Return the scores of N pairs of a picture (as in `encode_image`) and a string, float32 of shape (N,)."""
        columns = {"image_bytes": Pictures(images), "text": _texts(texts)}
        if len(columns["image_bytes"]) != len(columns["text"]):
            raise MmkerasError(
                "Expected as many images as texts: they are pairs. "
                f"Received: {len(columns['image_bytes'])} images, {len(columns['text'])} texts"
            )
        return self._run(self._requests.embeddings("match", columns, "score"), timeout)

    def classify_text(
        self, texts: Iterable[str | bytes], timeout: float | None = None
    ) -> tuple[NDArray[np.float32], list[str]]:
        """Return (probabilities float32 (N, C), labels): labels is the list of the C classes' names."""
        return self._run(self._requests.classes("classify_text", {"text": _texts(texts)}), timeout)

    def classify_image(self, images: Images, timeout: float | None = None) -> tuple[NDArray[np.float32], list[str]]:
        """Return (probabilities float32 (N, C), labels) of pictures as `encode_image` takes them."""
        return self._run(self._requests.classes("classify_image", {"image_bytes": Pictures(images)}), timeout)

    def classify_features(
        self, features: ArrayLike, timeout: float | None = None
    ) -> tuple[NDArray[np.float32], list[str]]:
        """Return (probabilities float32 (N, C), labels) of image features of shape (N, F)."""
        return self._run(self._requests.classes("classify_features", {"image": _features(features)}), timeout)

    def classify_text_features(
        self, features: ArrayLike, timeout: float | None = None
    ) -> tuple[NDArray[np.float32], list[str]]:
        """Return (probabilities float32 (N, C), labels) of text features of shape (N, F)."""
        return self._run(self._requests.classes("classify_text_features", {"text": _features(features)}), timeout)

    def classify(
        self,
        *,
        images: Images | None = None,
        texts: Iterable[str | bytes] | None = None,
        k: int = 5,
        timeout: float | None = None,
    ) -> list[list[tuple[str, float]]]:
        """Return for each picture or text a list of its `k` most probable (label, probability) pairs, best first.

        Example:
            >>> client.classify(texts=["a dog by the sea"], k=2)
            [[('animals', 0.93), ('outdoors', 0.06)]]
        """
        if (images is None) == (texts is None):
            raise MmkerasError(f"Expected images or texts. Received: {'none' if images is None else 'both'} of them")
        if images is None:
            signature, columns = "classify_text", {"text": _texts(texts)}
        else:
            signature, columns = "classify_image", {"image_bytes": Pictures(images)}
        return self._run(self._requests.best_classes(signature, columns, k), timeout)

    def space_id(self, timeout: float | None = None) -> str:
        """Return the identity of the embedding space; embeddings of two spaces must never be compared."""
        return self._run(self._requests.space_id(), timeout)

    def check_space(self, index: _OfOneSpace | str, timeout: float | None = None) -> str:
        """Return the identity of the embedding space, which is the index's too.

        Args:
            index: an `EmbeddingIndex`, or the `space_id` of one.
            timeout: seconds.

        Raises:
            MmkerasError: it is not; the text names index and server.
        """
        return self._run(self._requests.check_space(index), timeout)

    def metadata(self, timeout: float | None = None) -> ModelMetadata:
        """Return `{"model", "version", "signatures": {name: {"inputs": {name: {"dtype", "shape"}}, "outputs": ...}}}`.

        A shape is a list with None for a free dimension, or None where the rank is free.
        """
        return self._run(self._requests.metadata(), timeout)

    def status(self, timeout: float | None = None) -> list[VersionStatus]:
        """Return a list of `{"version", "state", "error_code", "error_message"}`, the highest version first.

        `state` is START, LOADING, AVAILABLE, UNLOADING or END; a version that failed to load is END with its error.
        """
        return self._run(self._requests.status(), timeout)

    def models(self, *names: str, timeout: float | None = None) -> dict[str, list[VersionStatus]]:
        """Return a dict from model name to its status, as `status` gives it; an empty list for one not on the server.

        A server tells about models that it is asked for and has no list of them; without names, about this client's.
        """
        return self._run(self._requests.models(names), timeout)

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Return once the model (its `version` or `label`, where one was given) is available.

        Raises:
            ServingError: DEADLINE_EXCEEDED after `timeout` seconds, with the server's last answer.
        """
        return self._run(self._requests.wait_until_ready(timeout), timeout + 1)

    def close(self) -> None:
        """Close the connections; calls that run or come raise."""
        self._transport.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _prepare(self):
        if self.over_rest:
            from mmkeras.serving.rest_transport import RestTransport as Transport
        else:
            from mmkeras.serving.grpc_transport import GrpcTransport as Transport
        self._transport = Transport(self.address, self.tls, self.retries)
        self._threads = futures.ThreadPoolExecutor(self.concurrency, thread_name_prefix="mmkeras-client")

    def _run(self, steps, timeout):
        deadline = time.monotonic() + self._seconds(timeout)
        try:
            step = next(steps)
            while True:
                try:
                    answers = self._take(step, deadline)
                except ServingError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answers)
        except StopIteration as end:
            return end.value

    def _take(self, step, deadline):
        """Wait, where the step is a number of seconds; else return the answers of its calls."""
        if isinstance(step, float):
            return time.sleep(step)
        if len(step) == 1:
            return [self._answer(step[0], deadline)]
        try:
            running = [self._threads.submit(self._answer, call, deadline) for call in step]
        except RuntimeError as error:  # how an executor says that it was shut down
            raise ServingError("CANCELLED", "The client is closed", step[0].method) from error
        try:
            done, _ = futures.wait(running, return_when=futures.FIRST_EXCEPTION)
            for future in done:
                future.result()
            return [future.result() for future in running]
        except futures.CancelledError as error:
            raise ServingError("CANCELLED", "The client is closed", step[0].method) from error
        finally:
            for future in running:
                future.cancel()

    def _answer(self, call, deadline):
        request = call.build()
        seconds = deadline - time.monotonic()
        if call.longest is not None:
            seconds = min(seconds, call.longest)
        return call.decode(self._transport(call.method, request, call.response_class, seconds))


def _texts(texts):
    """Return the strings as a 1-D array of UTF-8 bytes."""
    if isinstance(texts, str | bytes):
        raise MmkerasError(f"Expected texts to be a list of strings. Received: one {type(texts).__name__}, {texts!r}")
    encoded = []
    for position, text in enumerate(texts):
        try:
            encoded.append(text if isinstance(text, bytes) else text.encode())
        except (AttributeError, UnicodeEncodeError) as error:
            raise MmkerasError(f"Expected texts to be Unicode strings. Received: texts[{position}]={text!r}") from error
    return object_array(encoded)


def _features(features):
    features = np.asarray(features)
    if features.dtype.kind not in "fiu" or features.ndim != 2:
        raise MmkerasError(
            f"Expected features to be numbers of shape (N, F). Received: dtype={features.dtype}, shape={features.shape}"
        )
    return features.astype(np.float32, copy=False)
