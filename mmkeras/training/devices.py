"""The devices of a training: which TensorFlow shows, and the strategy by which several take each step together."""

from __future__ import annotations

import contextlib
import functools
from typing import Any, NamedTuple

import tensorflow as tf

from mmkeras.errors import MmkerasError


class Devices(NamedTuple):
    """The devices that train a model.

    Args:
        names: tuple of TensorFlow's names, such as `GPU:0`, in order.
        kind: `"GPU"` or `"CPU"`.
        note: what is done otherwise than the setting says, a sentence, or `""`.
    """

    names: tuple[str, ...]
    kind: str
    note: str = ""

    @property
    def described(self) -> dict[str, Any]:
        """What `run.json` holds of them: a dict of `count`, `kind` and `models`, what the devices are called."""
        details = [tf.config.experimental.get_device_details(one) for one in tf.config.list_physical_devices(self.kind)]
        models = [each.get("device_name", self.kind) for each in details][: len(self.names)]
        return {"count": len(self.names), "kind": self.kind, "models": sorted(set(models))}

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which a model for these devices is made, trained and restored."""
        return contextlib.nullcontext() if len(self.names) == 1 else _strategy(self.names).scope()

    def check_batch_size(self, batch_size: int) -> None:
        """Check that a batch can be dealt out evenly.

        Raises:
            MmkerasError: a batch of another size; the nearest ones are named.
        """
        count = len(self.names)
        if batch_size % count:
            below = batch_size - batch_size % count
            near = " or ".join(str(size) for size in (below, below + count) if size)
            raise MmkerasError(
                f"Expected batch_size, the pairs of all {count} devices together, as a multiple of {count}: {near}. "
                f"Received: batch_size={batch_size}"
            )


def training_devices(devices: str) -> Devices:
    """Return the devices that a setting means: of the GPUs that TensorFlow shows, or without any of its CPUs.

    TensorFlow shows one CPU, however many cores it has, unless a process configured logical devices.

    Args:
        devices: `"one"`, `"all"` or a number.

    Raises:
        MmkerasError: more than there are; a call in the scope of a strategy.
    """
    if tf.distribute.has_strategy():
        raise MmkerasError(
            "Expected a call outside of the scope of a tf.distribute strategy: with the setting devices a run makes "
            f"its own. Received: one in the scope of a {type(tf.distribute.get_strategy()).__name__}"
        )
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    names = [f"{kind}:{position}" for position in range(len(tf.config.list_logical_devices(kind)))]
    count = {"one": 1, "all": len(names)}.get(devices) or int(devices)
    if count > len(names):
        raise MmkerasError(
            f"Expected devices to be {len(names)} at most: TensorFlow shows {', '.join(names)}. "
            f"Received: devices={devices}"
        )
    note = "Devices: TensorFlow shows no GPU; one CPU trains, with all of its cores" if kind == "CPU" else ""
    return Devices(tuple(names[:count]), kind, note if devices == "all" and count == 1 else "")


@functools.cache
def _strategy(names):
    """One for the process: devices of two would mix up what they send to each other."""
    return tf.distribute.MirroredStrategy(list(names))
