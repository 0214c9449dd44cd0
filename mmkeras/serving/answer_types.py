"""What a client's `metadata` and `status` return, for type checkers: dicts with these keys."""

from typing import TypedDict


class TensorInfo(TypedDict):
    """An input or an output of a signature: None in `shape` is a free dimension, None in its place a free rank."""

    dtype: str
    shape: list[int | None] | None


class SignatureInfo(TypedDict):
    """A signature's inputs and outputs by name."""

    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]


class ModelMetadata(TypedDict):
    """The version of a model that answered, and its signatures by name."""

    model: str
    version: int
    signatures: dict[str, SignatureInfo]


class VersionStatus(TypedDict):
    """A version of a model: `state` is START, LOADING, AVAILABLE, UNLOADING or END."""

    version: int
    state: str
    error_code: str
    error_message: str
