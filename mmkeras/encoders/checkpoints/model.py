"""`PublishedModel`: what every family of published models offers."""

from __future__ import annotations

import functools
import re
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray

from mmkeras.encoders.checkpoints.checkpoint import Checkpoint
from mmkeras.encoders.checkpoints.image_settings import ImageSettings
from mmkeras.encoders.encoder import Encoder
from mmkeras.errors import MmkerasError
from mmkeras.layers.activations import ActivationName

# What transformers calls them.
ACTIVATIONS: dict[str, ActivationName] = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
}
Projection = tuple[NDArray[Any], NDArray[Any] | None]


class PublishedModel:
    """A published model: towers of ours with its weights, and what else is in its folder; see `published_model`.

    A tower is an `Encoder` whose `embedding` is the pooled features, float32, not normalised: what the published
    projection, or a new one, is put upon. Every call makes a new tower.

    Args:
        checkpoint: `Checkpoint` of the family.

    Attributes:
        family: its name, such as `"clip"`.
        loss: what it was trained with, `"info_nce"` or `"sigmoid"`.
        sequence_length: ids of a text that its text tower takes, L; `None` without a text tower.
        image_preprocessing: dict of arguments of `ImagePreprocessor`, height and width among them; empty without an
            image tower.
        image_projection: pair of kernel (W, D) and bias (D,) or `None`, float32, from the image tower's features to the
            space that pictures and texts share; `None` where the features are in it, or where there is no such space.
        text_projection: the same of the text tower.
        temperature: what cosines are divided by, `None` where there are no pairs.
        logit_bias: what is added to them then, in a model of the sigmoid loss; else `None`.

    Raises:
        MmkerasError: settings of the checkpoint that its family cannot be built with here.
    """

    family: str
    loss: Literal["info_nce", "sigmoid"] = "info_nce"
    sequence_length: int | None = None
    # What names of arrays may begin with, and of these what no tower takes: regular expressions.
    known: ClassVar[str] = ""
    left_out: ClassVar[str] = r"$^"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    @property
    def image_preprocessing(self) -> dict[str, Any]:
        settings = self.image_settings
        return {} if settings is None else settings.preprocessing

    @property
    def image_settings(self) -> ImageSettings | None:
        """How pictures are brought to the image tower; `None` without one."""
        return None

    @property
    def image_projection(self) -> Projection | None:
        return None

    @property
    def text_projection(self) -> Projection | None:
        return None

    @property
    def temperature(self) -> float | None:
        return None

    @property
    def logit_bias(self) -> float | None:
        return None

    def image_tower(self, height: int | None = None, width: int | None = None) -> Encoder | None:
        """Return the image tower with its weights, `None` where the family has none.

        Args:
            height: px; by default as `image_preprocessing` says. Position embeddings are resized to it.
            width: px.

        Raises:
            MmkerasError: a size that the patches do not fill; weights that lack an array, or have one too many or of
                another shape.
        """
        return None

    def text_tower(self, sequence_length: int | None = None, depth: int | None = None) -> Encoder | None:
        """Return the text tower with its weights, `None` where the family has none.

        Args:
            sequence_length: the longest sequence of ids, L, by default the published one.
            depth: blocks, of which the first are taken, by default all.

        Raises:
            MmkerasError: more ids or blocks than were published; weights that lack an array, or have one too many or of
                another shape.
        """
        return None

    # --- For families ---

    @property
    def source(self) -> str:
        """What messages call the checkpoint."""
        return repr(str(self.checkpoint.folder))

    @functools.cached_property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The checkpoint's arrays by name, without those that no tower takes.

        Raises:
            MmkerasError: arrays that the family does not know.
        """
        arrays = {name: one for name, one in self.checkpoint.arrays.items() if not re.match(self.left_out, name)}
        if unknown := sorted(name for name in arrays if not re.match(self.known, name)):
            raise MmkerasError(
                f"Expected arrays of the family {self.family} in {self.source}. Received: {', '.join(unknown[:4])}"
                + (f" and {len(unknown) - 4} more" if len(unknown) > 4 else "")
            )
        return arrays

    def below(self, prefix: str, but: str = r"$^") -> dict[str, NDArray[Any]]:
        """Return the arrays whose names begin with a prefix, by the rest of their names, but for those that match."""
        rest = {name.removeprefix(prefix): one for name, one in self.arrays.items() if name.startswith(prefix)}
        return {name: one for name, one in rest.items() if not re.match(but, name)}

    def array(self, name: str) -> NDArray[Any]:
        """Return one array.

        Raises:
            MmkerasError: there is none of this name.
        """
        if name not in self.arrays:
            raise MmkerasError(f"Expected {name} in {self.source}")
        return self.arrays[name]

    def projection(self, name: str) -> Projection:
        """Return kernel and bias of a linear layer, the bias `None` where there is none."""
        return self.array(f"{name}.weight").T, self.arrays.get(f"{name}.bias")

    def activation(self, name: str) -> ActivationName:
        """Return what we call an activation.

        Raises:
            MmkerasError: one that we do not have.
        """
        if name not in ACTIVATIONS:
            raise MmkerasError(
                f"Expected an activation of {', '.join(ACTIVATIONS)}. Received: {name!r} in {self.source}"
            )
        return ACTIVATIONS[name]

    def require(self, **settings: tuple[Any, Any]) -> None:
        """Raise unless each setting, given as what there is and what there must be, is as it must be.

        Raises:
            MmkerasError: a setting that the family cannot be built with here.
        """
        for name, (value, needed) in settings.items():
            if value != needed:
                raise MmkerasError(
                    f"Expected {name}={needed!r}: nothing else of the family {self.family} can be built here. "
                    f"Received: {name}={value!r} in {self.source}"
                )

    def size(
        self, height: int | None, width: int | None, published: tuple[int, int], patch: int
    ) -> tuple[int, int, bool]:
        """Return height and width of an image tower's pictures in px, and whether patches leave some of them unseen.

        Args:
            height: px, `None` takes that of `image_preprocessing`.
            width: px.
            published: the size of the published tower's pictures.
            patch: px.

        Raises:
            MmkerasError: a size that patches do not fill, other than the published one.
        """
        height = self.image_preprocessing["height"] if height is None else height
        width = self.image_preprocessing["width"] if width is None else width
        fills = not (height % patch or width % patch)
        if min(height, width) < patch or not (fills or (height, width) == published):
            raise MmkerasError(
                f"Expected a height and a width that patches of {patch} px fill. Received: height={height}, "
                f"width={width}"
            )
        return height, width, not fills

    def depth(self, depth: int | None, published: int) -> int:
        """Return how many blocks a text tower gets.

        Raises:
            MmkerasError: fewer than one, or more than were published.
        """
        if depth is not None and not 1 <= depth <= published:
            raise MmkerasError(f"Expected a depth of 1 to {published} blocks of {self.source}. Received: depth={depth}")
        return depth or published

    def length(self, sequence_length: int | None, published: int) -> int:
        """Return the longest sequence of ids that a text tower takes.

        Raises:
            MmkerasError: fewer than one, or more than there are positions.
        """
        if sequence_length is not None and not 1 <= sequence_length <= published:
            raise MmkerasError(
                f"Expected a sequence_length of 1 to {published}, the positions of {self.source}. "
                f"Received: sequence_length={sequence_length}"
            )
        return sequence_length or published


def pair(size: int | list[int]) -> tuple[int, int]:
    """Return height and width of a size that may be one number for both."""
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
