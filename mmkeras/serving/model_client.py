"""The methods that `Client` and `AsyncClient` have in common."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmkeras.errors import MmkerasError
from mmkeras.serving.answer_types import ModelMetadata, VersionStatus
from mmkeras.serving.model_requests import ModelRequests
from mmkeras.serving.pictures import Images, Pictures, object_array
from mmkeras.serving.tls_files import TlsFiles


class _OfOneSpace(Protocol):
    """What has a `space_id`, such as an `EmbeddingIndex`."""

    space_id: str


class ModelClient(abc.ABC):
    """Ask a served model; a subclass carries the requests out.

    Every method takes `timeout`, the seconds that this call may take in all; the constructor's where None. Without
    images, texts or rows at all a method raises: no request of zero rows is ever sent.
    """

    def __init__(
        self,
        address: str,
        model: str,
        version: int | None = None,
        timeout: float = 60.0,
        max_batch: int = 256,
        *,
        label: str | None = None,
        tls: TlsFiles | bool | None = None,
        concurrency: int = 4,
        retries: int = 5,
    ) -> None:
        if not isinstance(address, str) or not address:
            raise MmkerasError(f'Expected address to be "host:port" or "http://...". Received: address={address!r}')
        if not isinstance(model, str) or not model:
            raise MmkerasError(f"Expected model to be a model's name. Received: model={model!r}")
        if version is not None and int(version) < 0:
            raise MmkerasError(f"Expected version to be a number from 0 or None. Received: version={version!r}")
        if label is not None and (version is not None or not isinstance(label, str) or not label):
            raise MmkerasError(
                f"Expected label to be a version's label, without a version. Received: label={label!r}, "
                f"version={version!r}"
            )
        if timeout <= 0:
            raise MmkerasError(f"Expected timeout to be seconds above 0. Received: timeout={timeout!r}")
        for name, value, low in (("max_batch", max_batch, 1), ("concurrency", concurrency, 1), ("retries", retries, 0)):
            if value < low:
                raise MmkerasError(f"Expected {name} to be at least {low}. Received: {name}={value!r}")
        self.over_rest = address.lower().startswith(("http://", "https://"))
        if tls is True:
            tls = TlsFiles()
        if not (tls is None or tls is False or isinstance(tls, TlsFiles)):
            raise MmkerasError(f"Expected tls to be True, TlsFiles or None. Received: tls={tls!r}")
        if "://" in address and not self.over_rest:
            raise MmkerasError(
                f'Expected address to be "host:port" for gRPC or a URL of http or https. Received: address={address!r}'
            )
        if tls and address.lower().startswith("http://"):
            raise MmkerasError(f"Expected an https address beside tls. Received: address={address!r}")
        self.address = address
        self.model = model
        self.version = version
        self.label = label
        self.timeout = timeout
        self.tls = tls or None
        self.concurrency = concurrency
        self.retries = retries
        self._requests = ModelRequests(model, version, label, max_batch, address, tells_version=not self.over_rest)
        self._prepare()

    @property
    def max_batch(self) -> int:
        """Rows a request at most: what was given, or what the server said that it takes."""
        return self._requests.max_batch

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

    def _seconds(self, timeout):
        timeout = self.timeout if timeout is None else timeout
        if timeout <= 0:
            raise MmkerasError(f"Expected timeout to be seconds above 0. Received: timeout={timeout!r}")
        return timeout

    @abc.abstractmethod
    def _prepare(self):
        """Make what the subclass carries requests out with."""

    @abc.abstractmethod
    def _run(self, steps, timeout):
        """Carry out a conversation of `ModelRequests` and return its result, or something to await it."""


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
