"""`StagedModel`: a model that trains in stages, each of its roles by an optimizer of its own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias, TypeVar

import keras
import tensorflow as tf
from keras import ops

from mmkeras._config import ConfigFromSignature, constructor_arguments
from mmkeras.errors import MmkerasError
from mmkeras.models.batch_checks import BATCH
from mmkeras.models.fused_adam import FusedAdam
from mmkeras.models.repeated_steps import repeating, twin, without_decay_of_scales
from mmkeras.models.stage_changes import StageArguments, changes_of, set_values, values_of
from mmkeras.tensors import Arrays, Tensor, TensorLike, Tensors

T = TypeVar("T")
GradientsOf: TypeAlias = Callable[[list[keras.Variable]], Sequence[Any]]


@keras.saving.register_keras_serializable("mmkeras")
class StagedModel(ConfigFromSignature, keras.Model):
    """What is said once about training, whatever a model is made of and trained for.

    A model that is trained says:

    - `compute_losses`, a function without side effects: every number that is logged, by name, `loss` among them;
    - `parts`, what a stage may train or leave alone, and `stage_arguments`, which arguments it may change;
    - `roles`, where its step is taken by several optimizers, and `variables_of` each; the step is then its own
      `train_step`. What a step moves beside weights, a teacher or a queue, is moved there too.

    Attributes:
        trackers: dict from the names that `compute_losses` returns, `loss` apart, to a `keras.metrics.Mean`.
        optimizers: dict from each role to its optimizer, once the model is compiled.
        stage_arguments: dict from the name of a constructor argument that a stage may change to the check of its value,
            a function (name, value) that raises; or from the name of a part or a dict to such a dict of what it holds.
    """

    stage_arguments: ClassVar[StageArguments] = {}
    trackers: dict[str, keras.metrics.Metric] = {}
    optimizers: dict[str, keras.optimizers.Optimizer] = {}
    _trained_parts: tuple[str, ...] | None = None  # those that were trainable before the first stage

    # --- Losses ---

    def compute_losses(self, batch: Arrays, outputs: Tensors, training: bool = True) -> Tensors:
        """Return what a step measures, a dict of scalars: `loss`, what it descends on, and the values of `tracked`.

        Args:
            batch: dict, as it came from the pipeline.
            outputs: what `call` made of it.
            training: whether this is a step of training.
        """
        raise NotImplementedError(f"{type(self).__name__} trains nothing: it has no compute_losses")

    @property
    def tracked(self) -> tuple[str, ...]:
        """Names of `trackers` that this stage measures; the others are left out of the log."""
        return tuple(self.trackers)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        batch_of((x, y, sample_weight))
        return self.compute_losses(x, y_pred, training)["loss"]

    def test_step(self, data: Any) -> dict[str, Any]:
        batch = batch_of(data)
        self.track(self.compute_losses(batch, self(batch, training=False), training=False))
        return self.get_metrics_result()

    def track(self, measured: Mapping[str, TensorLike]) -> None:
        """Add what a step measured to the running means of the epoch.

        Args:
            measured: what `compute_losses` returned; names that are not tracked are passed over.
        """
        # A loss of Keras is divided by the replicas, so that their sum is the mean.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        trackers = {"loss": self._loss_tracker, **self.trackers}
        for name in ("loss", *self.tracked):
            if name in measured:
                value = measured[name]
                trackers[name].update_state(value * replicas if name.endswith("loss") else value)

    def get_metrics_result(self) -> dict[str, Any]:
        """The total and what this stage measures; the other trackers are at 0."""
        results = super().get_metrics_result()
        return {name: value for name, value in results.items() if name in self.tracked or name not in self.trackers}

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

    # --- Optimizers ---

    @property
    def roles(self) -> dict[str, int]:
        """The roles of a step, each with an optimizer: a dict to the updates that it takes a batch."""
        return {"main": 1}

    def variables_of(self, role: str) -> list[keras.Variable]:
        """Return the variables that a role's optimizer moves; none where the stage leaves them alone."""
        return self.trainable_variables

    def default_optimizer(self, role: str) -> keras.optimizers.Optimizer:
        """Return what `compile()` gives a role by itself."""
        return FusedAdam(1e-3, weight_decay=0.01, global_clipnorm=1.0)

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "auto",
        optimizers: Mapping[str, str | keras.optimizers.Optimizer] | None = None,
        *,
        jit_compile: bool = False,
        **kwargs: Any,
    ) -> None:
        """Configure training; `compile()` alone trains sensibly.

        Args:
            optimizer: what each role gets that `optimizers` does not name: an optimizer of its own, of this kind and
                with these settings. A learning-rate schedule counts batches, however many updates a role takes in each.
                `"auto"` is the default of each role, see `default_optimizer`. Weight decay leaves out biases, the
                scales and offsets of normalisation, and the temperature.
            optimizers: dict from names of `roles` to an optimizer of that role.
            jit_compile: whether XLA compiles the step; it slows small convolutions on a CPU (docs/performance.md), and
                draws other random numbers than the plain graph.
            **kwargs: see `keras.Model.compile`; there is no loss among them, which is the model's own.

        Raises:
            MmkerasError: a role that the model does not have, a loss, metrics or their weights; gradients that are
                accumulated by an optimizer that takes several steps a batch.
        """
        for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            if kwargs.get(name) is not None:
                raise MmkerasError(
                    f"Expected no {name}: {type(self).__name__} has its own loss and measures. Recall is what "
                    f"mmkeras.training.callbacks.RetrievalValidation measures. Received: {name}={kwargs[name]!r}"
                )
        given, (first, *others) = dict(optimizers or {}), self.roles
        if unknown := set(given) - set(self.roles):
            raise MmkerasError(
                f"Expected roles of {type(self).__name__} in this stage: {', '.join(self.roles)}. "
                f"Received: {', '.join(sorted(unknown))}"
            )

        def made(role):
            chosen = given.get(role, optimizer)
            if isinstance(chosen, str) and chosen == "auto":
                chosen = self.default_optimizer(role)
            chosen = keras.optimizers.get(chosen)
            if getattr(chosen, "gradient_accumulation_steps", None) and self.roles[role] > 1:
                raise MmkerasError(
                    f"Expected no gradient_accumulation_steps for {role}: it takes {self.roles[role]} steps a batch, "
                    f"which would be gathered in place of batches. Received: {chosen.gradient_accumulation_steps}"
                )
            shared = role not in given and role != first and optimizer != "auto"
            return without_decay_of_scales(repeating(twin(chosen) if shared else chosen, self.roles[role]))

        super().compile(optimizer=made(first), jit_compile=jit_compile, **kwargs)
        scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)  # under mixed_float16, by Keras
        made_others = {role: made(role) for role in others}
        self.optimizers = {
            first: self.optimizer,
            **{role: _loss_scaled(one) if scaled else one for role, one in made_others.items()},
        }
        for role, one in self.optimizers.items():
            if not one.built:  # now: Keras' fit would build the first one for all variables
                one.build(self.variables_of(role))

    def get_compile_config(self) -> dict[str, Any]:
        config = super().get_compile_config()
        others = list(self.optimizers.items())[1:]
        if config and others:
            config["optimizers"] = {role: keras.saving.serialize_keras_object(one) for role, one in others}
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as the saved model was, with the optimizers' variables made, ready to be restored."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def descend(self, role: str, gradients_of: GradientsOf) -> None:
        """Let a role's optimizer take one step down.

        Args:
            role: name of `roles`.
            gradients_of: function from the role's variables to their gradients, of a loss that the optimizer scaled.
        """
        if variables := self.variables_of(role):  # none where the stage leaves them alone
            self.optimizers[role].apply(gradients_of(variables), variables)

    # --- Stages ---

    @property
    def parts(self) -> dict[str, keras.layers.Layer]:
        """What training may change or leave alone, by name: a dict of layers."""
        return {}

    def kept_for_training(self) -> dict[str, list[keras.Variable]]:
        """Return what the model holds beside its parts for its training alone, by name: a dict of lists of variables.

        No export has it, its memory is told by itself, and a training that begins with this model makes it anew.
        """
        return {}

    def set_stage(self, trains: Iterable[str] = (), **arguments: Any) -> None:
        """Set what the next `fit` trains and how its losses are weighed. Compile after it.

        Args:
            trains: names of `parts`, the others are frozen; empty for those that were trainable at first. A pretrained
                network is trained with its encoder only.
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
        for name, part in self.parts.items():  # an encoder before the network within it
            part.trainable = name in trains
        set_values(changes)

    def stage_settings(self) -> tuple[dict[str, bool], dict[str, Any]]:
        """Return what `set_stage` may change as it is now: for `restore_stage`."""
        trains = {name: part.trainable for name, part in self.parts.items()}
        return trains, values_of(self, self.stage_arguments)

    def restore_stage(self, settings: tuple[dict[str, bool], dict[str, Any]]) -> None:
        """Put back what `stage_settings` returned."""
        trains, arguments = settings
        for name, part in self.parts.items():
            part.trainable = trains[name]
        set_values(changes_of(self, self.stage_arguments, arguments))

    def check_arguments(self, **arguments: Any) -> None:
        """Check values of constructor arguments that a stage may change too.

        Raises:
            MmkerasError: a value that its argument does not take.
        """
        changes_of(self, self.stage_arguments, arguments)


def batch_of(data: Any) -> Arrays:
    """Return the batch of what Keras hands to a `train_step`.

    Args:
        data: a batch, or a tuple of it and of what stands beside it.

    Raises:
        MmkerasError: targets or weights beside the batch, which no loss of ours would look at.
    """
    batch, targets, weights = keras.utils.unpack_x_y_sample_weight(data)
    if targets is not None:
        raise MmkerasError(
            f"Expected {BATCH}, alone: who belongs together stands in it. Received: targets y beside it, or tuples "
            "(image, text), whose second Keras takes for these"
        )
    if weights is not None:
        raise MmkerasError(
            "Expected no sample_weight or class_weight: each pair is compared with all others of its batch, so that no "
            "loss belongs to it alone. Show pairs more often instead"
        )
    return batch


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


def _loss_scaled(optimizer):
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return optimizer if scaled else keras.optimizers.LossScaleOptimizer(optimizer)
