"""`SeveralOptimizers`: what a model needs whose training step is taken by several optimizers of one kind."""

import keras

from mmkeras.models.fused_adam import FusedAdam
from mmkeras.models.repeated_steps import RepeatedSteps
from mmkeras.models.weight_decay import without_decay_of_scales


class SeveralOptimizers:
    """One optimizer for each role of a training step, all of the kind that `compile` is given.

    A model names its roles and the variables of each. The first role's optimizer is `optimizer`, Keras' own, the others
    are attributes `<role>_optimizer`, so that files and checkpoints hold them all. Roles may take several steps a
    batch; a learning-rate schedule counts batches for all of them. Under mixed_float16 each scales its own loss.
    """

    @property
    def steps_of_optimizers(self):
        """The steps that the optimizer of each role takes a batch: a dict from role to a number."""
        raise NotImplementedError

    def variables_of(self, role):
        """Return the variables that the optimizer of a role moves, those that a stage leaves alone not among them."""
        raise NotImplementedError

    def optimizer_of(self, role):
        """Return the optimizer of a role."""
        return getattr(self, self._attribute_of(role))

    def _attribute_of(self, role):
        return "optimizer" if role == next(iter(self.steps_of_optimizers)) else f"{role}_optimizer"

    def compile(self, optimizer="auto", **kwargs):
        """Configure training; see `ImageTextModel.compile`.

        Args:
            optimizer: of the kind and with the settings that all optimizers get; `"auto"` is `FusedAdam` with learning
                rate 1e-3 and beta_1 0.5. A schedule is in batches.
            **kwargs: see `ImageTextModel.compile`.
        """
        if optimizer == "auto":
            optimizer = FusedAdam(1e-3, beta_1=0.5, epsilon=1e-8)
        optimizer = keras.optimizers.get(optimizer)
        first, *others = self.steps_of_optimizers.items()
        super().compile(_twin(optimizer, first[1]), **kwargs)
        for role, steps in others:
            # Of what Keras made of the first: under mixed_float16 it scales its loss.
            setattr(self, self._attribute_of(role), without_decay_of_scales(_twin(self.optimizer, steps)))
        self.build_optimizers()  # now, for Keras' fit would build the first one for all variables

    def build_optimizers(self):
        for role in self.steps_of_optimizers:
            optimizer = self.optimizer_of(role)
            if not optimizer.built:  # Keras' LossScaleOptimizer would make its variables again
                optimizer.build(self.variables_of(role))


def _twin(optimizer, steps):
    """A new optimizer of the same kind and settings, whose schedule goes on once in so many steps."""
    config = optimizer.get_config()
    if "inner_optimizer" in config:  # a LossScaleOptimizer
        inner = _twin(optimizer.inner_optimizer, steps)
        return type(optimizer).from_config(config | {"inner_optimizer": keras.saving.serialize_keras_object(inner)})
    if isinstance(config["learning_rate"], dict):
        schedule = keras.saving.deserialize_keras_object(config["learning_rate"])
        schedule = schedule.schedule if isinstance(schedule, RepeatedSteps) else schedule
        schedule = RepeatedSteps(schedule, steps) if steps > 1 else schedule
        config = config | {"learning_rate": keras.saving.serialize_keras_object(schedule)}
    return type(optimizer).from_config(config)
