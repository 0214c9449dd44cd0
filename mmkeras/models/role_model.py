"""`RoleModel`: a model whose step is taken by roles, each with an optimizer of its own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.errors import MmkerasError
from mmkeras.layers.replicas import mean_over_replicas, replica_count
from mmkeras.models.batch_checks import batch_of
from mmkeras.models.fused_adam import FusedAdam
from mmkeras.models.replicated_step import (
    check_replicated,
    check_strategy,
    summed_gradients,
    synchronize_statistics,
    takes_sums,
)
from mmkeras.models.role_optimizers import common_scale, loss_scaled, rescaled, role_optimizer
from mmkeras.tensors import Arrays, Tensor, TensorLike, Tensors

GradientsOf: TypeAlias = Callable[[list[keras.Variable]], Sequence[Any]]

BACKBONES = "backbones"  # the optimizer of pretrained networks, where they have one of their own


@keras.saving.register_keras_serializable("mmkeras")
class RoleModel(ConfigFromSignature, keras.Model):
    """What is said once about losses and the optimizers that descend on them, whatever a model is made of.

    A model that is trained says:

    - `compute_losses`, a function without side effects: every number that is logged, by name, `loss` among them;
    - `roles`, where its step is taken by several optimizers, and `variables_of` each; the step is then its own
      `train_step`. What a step moves beside weights, a teacher or a queue, is moved there too.

    Attributes:
        trackers: dict from the names that `compute_losses` returns, `loss` apart, to a `keras.metrics.Mean`.
        optimizers: dict from each role to its optimizer, once the model is compiled.
    """

    trackers: dict[str, keras.metrics.Metric] = {}
    optimizers: dict[str, keras.optimizers.Optimizer] = {}

    @property
    def parts(self) -> dict[str, keras.layers.Layer]:
        """What training may change or leave alone, by name: a dict of layers."""
        return {}

    # --- Losses ---

    def compute_losses(self, batch: Arrays, outputs: Tensors, training: bool = True) -> Tensors:
        """Return what a step measures, a dict of scalars: `loss`, what it descends on, and the values of `tracked`.

        Where several devices compute the step, each is given its own rows; the mean of what they return is of the whole
        batch.

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
        return self.compute_losses(x, y_pred, training)["loss"] / replica_count()  # Keras adds up those of replicas

    def test_step(self, data: Any) -> dict[str, Any]:
        batch = batch_of(data)
        self.track(self.compute_losses(batch, self(batch, training=False), training=False))
        return self.get_metrics_result()

    def track(self, measured: Mapping[str, TensorLike]) -> None:
        """Add what a step measured to the running means of the epoch.

        Args:
            measured: what `compute_losses` returned; names that are not tracked are passed over.
        """
        trackers = {"loss": self._loss_tracker, **self.trackers}
        values = {name: measured[name] for name in ("loss", *self.tracked) if name in measured}
        if replica_count() > 1:  # each then keeps the mean, which a checkpoint holds once
            means = mean_over_replicas(ops.stack([ops.cast(value, "float32") for value in values.values()]))
            values = dict(zip(values, ops.unstack(means), strict=True))
        for name, value in values.items():
            trackers[name].update_state(value)

    def get_metrics_result(self) -> dict[str, Any]:
        """The total and what this stage measures; the other trackers are at 0."""
        results = super().get_metrics_result()
        return {name: value for name, value in results.items() if name in self.tracked or name not in self.trackers}

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
            optimizers: dict from names of `roles` to an optimizer of that role, or from `backbones` to one of the
                pretrained networks, which no role's optimizer moves then: see `optimizer_roles`.
            jit_compile: whether XLA compiles the step; it slows small convolutions on a CPU (docs/performance.md), and
                draws other random numbers than the plain graph.
            **kwargs: see `keras.Model.compile`; there is no loss among them, which is the model's own.

        Raises:
            MmkerasError: a role that the model does not have, a loss, metrics or their weights; gradients that are
                accumulated by an optimizer that takes several steps a batch; XLA or accumulated gradients where several
                devices train, or devices of several machines.
        """
        for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            if kwargs.get(name) is not None:
                raise MmkerasError(
                    f"Expected no {name}: {type(self).__name__} has its own loss and measures. Recall is what "
                    f"mmkeras.training.callbacks.RetrievalValidation measures. Received: {name}={kwargs[name]!r}"
                )
        given, moved = dict(optimizers or {}), self.optimizer_roles(optimizers or ())
        first, *others = moved
        if unknown := set(given) - set(moved):
            raise MmkerasError(
                f"Expected roles of {type(self).__name__} in this stage: {', '.join(moved)}. "
                f"Received: {', '.join(sorted(unknown))}"
            )

        def made(role):
            steps = self.roles.get(role, 1)
            return role_optimizer(given, role, steps, optimizer, self.default_optimizer, role == first)

        check_strategy(self)
        with self.distribute_strategy.scope():
            super().compile(optimizer=made(first), jit_compile=jit_compile, **kwargs)
            scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)  # under mixed_float16, by Keras
            made_others = {role: made(role) for role in others}
            self.optimizers = {
                first: self.optimizer,
                **{role: loss_scaled(one) if scaled else one for role, one in made_others.items()},
            }
            for role, one in self.optimizers.items():
                if not one.built:  # now: Keras' fit would build the first one for all variables
                    one.build(moved[role])
        if self.distribute_strategy.num_replicas_in_sync > 1:
            check_replicated(self.optimizers.values(), jit_compile)
            synchronize_statistics(self)
            for one in self.optimizers.values():
                takes_sums(one)

    def get_compile_config(self) -> dict[str, Any]:
        config = super().get_compile_config()
        others = list(self.optimizers.items())[1:]
        if config and others:
            config["optimizers"] = {role: keras.saving.serialize_keras_object(one) for role, one in others}
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as the saved model was, with the optimizers' variables made, ready to be restored."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def optimizer_roles(self, given: Iterable[str] = ()) -> dict[str, list[keras.Variable]]:
        """Return what each optimizer of a step moves: a dict from `roles` to lists of variables.

        Args:
            given: names of optimizers of their own. With `backbones` among them the pretrained networks, the parts
                `image_backbone` and `text_backbone`, are taken from the roles that move them: one gradient, and two
                optimizers that descend on it, each with its own rate, clipping and decay.
        """
        moved = {role: self.variables_of(role) for role in self.roles}
        networks = [part for name, part in self.parts.items() if name.endswith("_backbone")]
        if BACKBONES not in given or not networks:
            return moved
        ids = {id(variable) for network in networks for variable in network.variables}
        apart = {
            id(variable): variable for variables in moved.values() for variable in variables if id(variable) in ids
        }
        moved = {role: [one for one in variables if id(one) not in apart] for role, variables in moved.items()}
        return {**moved, BACKBONES: list(apart.values())}

    def scale_loss(self, role: str, loss: TensorLike) -> Tensor:
        """Return a role's loss as its gradients are to be taken: scaled, where halves would lose small ones.

        Of several devices each takes its share, so that the sum of their gradients is that of the loss.

        Args:
            role: name of `roles`.
            loss: scalar.
        """
        return loss * (common_scale(self._descending(role).values()) / replica_count())

    def descend(self, role: str, gradients_of: GradientsOf) -> None:
        """Let a role's optimizer take one step down, and with it that of the `backbones` among what the role moves.

        Args:
            role: name of `roles`.
            gradients_of: function from the role's variables to their gradients, of a loss that `scale_loss` scaled;
                those of several devices are added up.
        """
        variables = self.variables_of(role)
        if not variables:  # the stage leaves them alone
            return
        summed = summed_gradients(gradients_of(variables))
        gradients = {id(one): gradient for one, gradient in zip(variables, summed, strict=True)}
        optimizers, moved = self._descending(role), self.optimizer_roles(self.optimizers)
        scale = common_scale(optimizers.values())
        steps = []
        for name, optimizer in optimizers.items():  # all scales are read before a step changes one
            theirs = [gradients[id(variable)] for variable in moved[name]]
            factor = optimizer.scale_loss(1.0) / scale
            steps.append((optimizer, rescaled(theirs, factor) if len(optimizers) > 1 else theirs, moved[name]))
        for optimizer, theirs, variables in steps:
            if variables:
                optimizer.apply(theirs, variables)

    def _descending(self, role):
        """The optimizers that take a role's step: its own, and that of the networks that it would move."""
        moved = self.optimizer_roles(self.optimizers)
        whole = {id(variable) for variable in self.variables_of(role)}
        networks = [BACKBONES] if any(id(one) in whole for one in moved.get(BACKBONES, ())) else []
        return {name: self.optimizers[name] for name in (role, *networks)}

    def train_on_batch(self, *arguments: Any, **keywords: Any) -> Any:
        """Take one step, see `keras.Model.train_on_batch`.

        Raises:
            MmkerasError: of several devices, among which Keras divides no single batch.
        """
        self._check_alone("train_on_batch", "fit")
        return super().train_on_batch(*arguments, **keywords)

    def test_on_batch(self, *arguments: Any, **keywords: Any) -> Any:
        """Measure one batch, see `keras.Model.test_on_batch`.

        Raises:
            MmkerasError: see `train_on_batch`.
        """
        self._check_alone("test_on_batch", "evaluate")
        return super().test_on_batch(*arguments, **keywords)

    def _check_alone(self, method, other):
        if (devices := self.distribute_strategy.num_replicas_in_sync) > 1:
            raise MmkerasError(
                f"Expected {other} where several devices train: {method} would give each the whole batch. "
                f"Received: {method} on {devices}"
            )

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take the step of a model with one role; a model with several has its own."""
        batch, (role, *_) = batch_of(data), self.roles
        with tf.GradientTape() as tape:
            losses = self.compute_losses(batch, self(batch, training=True), training=True)
            scaled_loss = self.scale_loss(role, losses["loss"])
        self.descend(role, lambda variables: tape.gradient(scaled_loss, variables))
        self.track(losses)
        return self.get_metrics_result()
