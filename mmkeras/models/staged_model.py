"""`StagedModel`: a model that trains in stages."""

from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar

import keras
from keras import ops

from mmkeras._config import constructor_arguments
from mmkeras.errors import MmkerasError
from mmkeras.models.adapters import train_adapters_alone
from mmkeras.models.role_model import RoleModel
from mmkeras.models.stage_changes import StageArguments, changes_of, set_values, values_of
from mmkeras.tensors import Tensor, TensorLike

T = TypeVar("T")


@keras.saving.register_keras_serializable("mmkeras")
class StagedModel(RoleModel):
    """What is said once about a training in stages, and about files, whatever a model is made of and trained for.

    Beside what `RoleModel` asks for, a model says `parts`, what a stage may train or leave alone, and
    `stage_arguments`, which arguments it may change.

    Attributes:
        stage_arguments: dict from the name of a constructor argument that a stage may change to the check of its value,
            a function (name, value) that raises; or from the name of a part or a dict to such a dict of what it holds.
    """

    stage_arguments: ClassVar[StageArguments] = {}
    _trained_parts: tuple[str, ...] | None = None  # those that were trainable before the first stage

    # --- Files ---

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Save the model as a `.keras` file, see `keras.Model.save`.

        Raises:
            MmkerasError: a name with the ending of another format.
        """
        if not str(filepath).endswith(".keras"):
            raise MmkerasError(
                f"Expected the name of a Keras archive, which ends in .keras. Received: {str(filepath)!r}. "
                "mmkeras.export.export_saved_model writes a SavedModel for servers"
            )
        super().save(filepath, overwrite, **kwargs)

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Refuse: a model has a signature for each encoder, and the preprocessing goes with them.

        Raises:
            MmkerasError: always; it names what exports.
        """
        raise MmkerasError(
            f"Expected mmkeras.export.export_saved_model(model, {str(filepath)!r}), which writes a signature for each "
            "encoder with its preprocessing. Received: model.export"
        )

    # --- Stages ---

    def kept_for_training(self) -> dict[str, list[keras.Variable]]:
        """Return what the model holds beside its parts for its training alone, by name: a dict of lists of variables.

        No export has it, its memory is told by itself, and a training that begins with this model makes it anew.
        """
        return {}

    def set_stage(self, trains: Iterable[str] = (), **arguments: Any) -> None:
        """Set what the next `fit` trains and how its losses are weighed. Compile after it.

        Args:
            trains: names of `parts`, the others are frozen; empty for those that were trainable at first. A pretrained
                network is trained with its encoder only; of one with adapters, see `add_adapters`, they are trained.
            **arguments: new values of constructor arguments, of those in `stage_arguments`; for one that is a part a
                dict of the part's arguments.

        Raises:
            MmkerasError: a part or an argument that the model does not have, or a value that it does not take.
        """
        if self._trained_parts is None:
            self._trained_parts = tuple(name for name, part in self.parts.items() if part.trainable)
        trains = tuple(trains) or self._trained_parts
        if unknown := set(trains) - set(self.parts):
            raise MmkerasError(
                f"Expected parts of {type(self).__name__}: {', '.join(self.parts)}. "
                f"Received: {', '.join(sorted(unknown))}"
            )
        for name in trains:
            if name.endswith("_backbone") and (encoder := name.replace("backbone", "encoder")) not in trains:
                raise MmkerasError(f"Expected {encoder} where its {name} is trained. Received: {', '.join(trains)}")
        changes = changes_of(self, self.stage_arguments, arguments)
        self._set_trainable({name: name in trains for name in self.parts})
        set_values(changes)

    def stage_settings(self) -> tuple[dict[str, bool], dict[str, Any]]:
        """Return what `set_stage` may change as it is now: for `restore_stage`."""
        trains = {name: part.trainable for name, part in self.parts.items()}
        return trains, values_of(self, self.stage_arguments)

    def restore_stage(self, settings: tuple[dict[str, bool], dict[str, Any]]) -> None:
        """Put back what `stage_settings` returned."""
        trains, arguments = settings
        self._set_trainable(trains)
        set_values(changes_of(self, self.stage_arguments, arguments))

    def _set_trainable(self, trains):
        for name, part in self.parts.items():  # an encoder before the network within it
            part.trainable = trains[name]
            if name.endswith("_backbone"):
                train_adapters_alone(part)

    def check_arguments(self, **arguments: Any) -> None:
        """Check values of constructor arguments that a stage may change too.

        Raises:
            MmkerasError: a value that its argument does not take.
        """
        changes_of(self, self.stage_arguments, arguments)


def total(losses: Iterable[TensorLike]) -> Tensor:
    """Return the sum of scalars, in one operation.

    Chains of additions TensorFlow reorders, now one way, now another: a run that was cut off would log a loss that
    differs from an uninterrupted one's in the last digit.
    """
    return ops.sum(ops.stack(list(losses)))


def part(layer_class: type[T], given: T | dict[str, Any] | None, **defaults: Any) -> T:
    """Return a part of a model: `given` itself, or the layer that a dict of its arguments describes.

    Args:
        layer_class: a registered layer.
        given: one of it, a dict of its arguments, or `None`.
        **defaults: arguments that the model gives it where `given` is a dict that leaves them out, or `None`.

    Raises:
        MmkerasError: something else, or an argument that it does not take.
    """
    if isinstance(given, layer_class):
        return given
    if given is not None and not isinstance(given, dict):
        raise MmkerasError(
            f"Expected a {layer_class.__name__} or a dict of its arguments. Received: {type(given).__name__}"
        )
    allowed = constructor_arguments(layer_class)
    if unknown := set(given or ()) - set(allowed) - {"name", "dtype", "trainable"}:
        raise MmkerasError(
            f"Expected arguments of {layer_class.__name__}: {', '.join(allowed)}. "
            f"Received: {', '.join(sorted(unknown))}"
        )
    try:
        return layer_class(**{**defaults, **(given or {})})
    except ValueError as error:
        raise MmkerasError(str(error)) from error
