"""What goes into an encoder on a device."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal, TypeAlias

import keras
import tensorflow as tf
from numpy.typing import NDArray

from mmkeras.tensors import Tensor

Kind: TypeAlias = Literal["ids", "text", "mediapipe", "pixels"]


class EncoderInput(abc.ABC):
    """What an encoder takes on a device, and what of that cannot be.

    Args:
        encoder: `Encoder`.
        preprocessor: what feeds it.

    Attributes:
        modality: `text` or `image`.
        kinds: the names of the ways in, the first of which has builtin operators only.
        signature: name of the network's signature.
        examples: what `batch` takes, in a word.

    Raises:
        MmkerasError: an encoder that no device can feed.
    """

    modality: ClassVar[str]
    kinds: ClassVar[tuple[Kind, ...]]
    signature: ClassVar[str]
    examples: ClassVar[str]

    def __init__(self, encoder: keras.Model, preprocessor: Any) -> None:
        self.encoder = encoder
        self.preprocessor = preprocessor
        self.check()

    @abc.abstractmethod
    def check(self) -> None:
        """Refuse an encoder that no device can feed."""

    @abc.abstractmethod
    def spec(self, kind: str) -> tf.TensorSpec:
        """What the network takes, of one row."""

    @abc.abstractmethod
    def prepare(self, kind: str) -> Callable[[Tensor], Tensor]:
        """The function from what the network takes to what the encoder takes."""

    @abc.abstractmethod
    def batch(self, examples: Iterable[Any]) -> NDArray[Any]:
        """What the encoder takes of examples, one array."""

    def unusual(self, examples: list[Any]) -> list[Any]:
        """Examples that no data set holds and users have: measured on ordinary ones alone, ranges cut these off."""
        return []

    def custom_operators(self, kind: str) -> set[str]:
        """The operators of a kind that are not built into TFLite."""
        return set()

    def impossible(self, kind: str, precision: str) -> str:
        """Why there is no network of this kind and precision; empty where there is one."""
        return ""
