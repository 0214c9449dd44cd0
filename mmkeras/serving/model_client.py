"""What `Client` and `AsyncClient` have in common."""

from __future__ import annotations

import abc

from mmkeras.errors import MmkerasError
from mmkeras.serving.model_requests import ModelRequests
from mmkeras.serving.tls_files import TlsFiles


class ModelClient(abc.ABC):
    """Whom to ask, and for how long; a subclass asks.

    The calls stand in `Client`. `AsyncClient` has the same functions and declares them as coroutine functions, which it
    could not do of a base class' methods.
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
