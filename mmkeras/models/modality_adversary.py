"""`ModalityAdversary`: a classifier that tells images from texts, and that encoders learn to fool."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias, get_args

import keras
import tensorflow as tf
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.errors import MmkerasError
from mmkeras.layers.gradient_reversal import GradientReversal
from mmkeras.layers.modality_classifier import ModalityClassifier
from mmkeras.layers.replicas import gathered_from_replicas, replica_count, sum_over_replicas
from mmkeras.losses.adversarial import modality_crossentropy
from mmkeras.models.checks import not_negative
from mmkeras.models.fused_adam import FusedAdam
from mmkeras.models.staged_model import StagedModel
from mmkeras.tensors import Array, Arrays, Shape, Tensor, TensorLike, Tensors

Objective: TypeAlias = Literal["minimax", "fooling"]

OBJECTIVES = get_args(Objective)


@keras.saving.register_keras_serializable("mmkeras")
class ModalityAdversary(ConfigFromSignature, keras.layers.Layer):
    """A modality classifier behind a gradient-reversal layer: a part of a model whose encoders have another task.

    Over encoders (and heads) E, and the classifier M:

        min_E max_M  L_task - strength * weight * L_modality

    The strength lives in `gradient_reversal.strength`; `ReversalSchedule` raises it during training. The classifier's
    own update takes one of two forms:

    - `classifier_steps = 0`: one optimizer updates everything at once, by plain backpropagation;
    - `classifier_steps = k`: k updates of the classifier, by its own optimizer, before each update of the encoders, all
      on the embeddings of the batch at hand, so that the encoders are run once a step.

    A classifier that wins leaves hardly any gradient, since its loss saturates: the encoders' part of the game is then
    better the loss of the wrong answer, `objective = "fooling"`, than the negated loss of the right one, `"minimax"`.

    Args:
        weight: weight of the modality loss, 0 or more; 0 trains without the adversary.
        reversal_strength: where `gradient_reversal.strength` starts.
        objective: `"minimax"` or `"fooling"`.
        image_reversal: share of the strength that reaches the image encoder, 0 or more.
        text_reversal: share of the strength that reaches the text encoder, 0 or more. With 0 the text encoder follows
            its task alone, and the image encoder has to take on its distribution.
        classifier_hidden: units of the classifier's hidden layers.
        classifier_dropout: rate of dropout in the classifier's hidden layers.
        classifier_steps: updates of the classifier before each of the encoders; 0 for one joint update.
        gradient_penalty: weight of the squared norm of the gradient of the classifier's logits with respect to the
            embeddings; it keeps the classifier smooth. Only with `classifier_steps`.

    Call arguments:
        image: (B, D), the embeddings that retrieval compares.
        text: (B, D).
        training: whether the classifier drops out.

    Returns:
        dict of scalars: `modality_loss`, the classifier's; `modality_accuracy`, in [0, 1], 1/2 where it cannot tell;
        `game_loss`, what the encoders descend on through the reversal.

    Raises:
        MmkerasError: a weight below 0, an unknown objective, a gradient penalty in the joint form.

    Example:
        >>> model = ModalityInvariant(image_encoder, text_encoder, adversary=ModalityAdversary(classifier_steps=3))

    Reference:
        The game is that of Ganin & Lempitsky 2015 (arXiv 1409.7495), equations 1 to 4; the fooling objective that of
        Goodfellow et al. 2014 (arXiv 1406.2661), section 3; the penalty that of Mescheder et al. 2018 (arXiv
        1801.04406), section 4.1, over both distributions.
    """

    stage_arguments = {"weight": not_negative}
    tracked = ("modality_loss", "modality_accuracy", "gradient_ratio")

    def __init__(
        self,
        weight: float = 1.0,
        reversal_strength: float = 1.0,
        objective: Objective = "minimax",
        image_reversal: float = 1.0,
        text_reversal: float = 1.0,
        classifier_hidden: Sequence[int] = (256, 256),
        classifier_dropout: float = 0.0,
        classifier_steps: int = 0,
        gradient_penalty: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "adversary", **kwargs, "dtype": "float32"})
        numbers = {
            "weight": weight,
            "image_reversal": image_reversal,
            "text_reversal": text_reversal,
            "classifier_steps": classifier_steps,
            "gradient_penalty": gradient_penalty,
        }
        for name, value in numbers.items():
            not_negative(name, value)
        if objective not in OBJECTIVES:
            raise MmkerasError(f'Expected objective to be "minimax" or "fooling". Received: {objective!r}')
        if not classifier_steps and (gradient_penalty or objective == "fooling"):
            raise MmkerasError(
                "Expected classifier_steps of 1 or more with a gradient_penalty or the fooling objective, which are no "
                f"part of one joint update. Received: classifier_steps={classifier_steps}"
            )
        self.weight = weight
        self.reversal_strength = reversal_strength
        self.objective = objective
        self.image_reversal = image_reversal
        self.text_reversal = text_reversal
        self.classifier_hidden = classifier_hidden
        self.classifier_dropout = classifier_dropout
        self.classifier_steps = classifier_steps
        self.gradient_penalty = gradient_penalty
        self.gradient_reversal = GradientReversal(reversal_strength, name="gradient_reversal", dtype="float32")
        self.classifier = ModalityClassifier(
            classifier_hidden, classifier_dropout, name="modality_classifier", dtype="float32"
        )

    def build(self, image_shape: Shape, text_shape: Shape | None = None) -> None:
        for layer in (self.gradient_reversal, self.classifier):
            layer.build(image_shape)

    def call(self, image: Array, text: Array, training: bool | None = None) -> Tensors:
        reversed_image = self.gradient_reversal(image, share=self.image_reversal)
        reversed_text = self.gradient_reversal(text, share=self.text_reversal)
        # One batch of both, so that nothing in the classifier depends on which modality it is fed with.
        logits = self.classifier(ops.concatenate([reversed_image, reversed_text]), training=training)
        is_image = _is_image(image, text)
        modality_loss = ops.mean(modality_crossentropy(is_image, logits))
        game_loss = modality_loss
        if self.objective == "fooling":
            # What the reversal turns into a descent on the loss of the wrong answer. The classifier's own update is
            # made elsewhere, from the right ones.
            game_loss = -ops.mean(modality_crossentropy(1 - is_image, logits))
        accuracy = ops.mean(ops.cast(ops.equal(logits > 0, is_image > 0), "float32"))
        return {"modality_loss": modality_loss, "modality_accuracy": accuracy, "game_loss": game_loss}

    @property
    def roles(self) -> dict[str, int]:
        """The roles of a model that holds this part, see `StagedModel.roles`."""
        return {"encoders": 1, **({"classifier": self.classifier_steps} if self.classifier_steps else {})}

    def variables_of(self, role: str, trainable: Iterable[keras.Variable]) -> list[keras.Variable]:
        """Return what a role's optimizer moves of a model's `trainable` variables.

        The main role, `encoders`, has everything, unless the classifier has an optimizer of its own.
        """
        own = self.classifier.trainable_variables
        if role == "classifier":
            return own
        theirs = {id(variable) for variable in own} if self.classifier_steps else set()
        return [variable for variable in trainable if id(variable) not in theirs]

    def default_optimizer(self) -> FusedAdam:
        """Return the classifier's optimizer by default: quick, since encoders that it lags behind learn nothing of it.

        Its beta_1 is 0.5: the momentum of a longer past pushes against encoders that have moved on.
        """
        return FusedAdam(1e-3, beta_1=0.5, beta_2=0.99)

    def losses_with(
        self, task_loss: TensorLike, image: Array, text: Array, training: bool, regularisation: Iterable[Tensor] = ()
    ) -> Tensors:
        """Return the losses of the game around a task, for a model's `compute_losses`.

        Args:
            task_loss: scalar, what the encoders are trained for, weighted.
            image: (B, D).
            text: (B, D).
            training: see the call.
            regularisation: list of scalars that encoders bring along.

        Returns:
            dict of scalars: those of the call, `task_loss`, `loss` = task + weight * modality, and `encoders_loss`,
            what the gradient of the encoders is taken of: the same with `game_loss`.
        """
        played = self(image, text, training=training)
        regularised = sum(regularisation)
        return played | {
            "task_loss": task_loss,
            "loss": task_loss + self.weight * played["modality_loss"] + regularised,
            "encoders_loss": task_loss + self.weight * played["game_loss"] + regularised,
        }

    def step(self, model: StagedModel, batch: Arrays) -> Tensors:
        """Take one step of training: the classifier's updates, then one of the encoders on the same embeddings.

        Args:
            model: a `StagedModel` with the roles `encoders` and, where there are `classifier_steps`, `classifier`; its
                `compute_losses` returns what `losses_with` does.
            batch: dict, as it came from the pipeline.

        Returns:
            What `compute_losses` returned, with `gradient_ratio`, the norm of the adversary's gradient at the
            embeddings over that of the task's.
        """
        with tf.GradientTape(persistent=True) as tape:
            outputs = model(batch, training=True)
            embeddings = outputs["image_embedding"], outputs["text_embedding"]
            if self.classifier_steps and self.classifier.trainable:
                with tape.stop_recording():
                    self._learn(model, *map(gathered_from_replicas, embeddings))
            losses = model.compute_losses(batch, outputs, training=True)
            scaled_loss = model.scale_loss("encoders", losses["encoders_loss"])
        model.descend("encoders", lambda variables: tape.gradient(scaled_loss, variables))
        task, game = (_norm(tape.gradient(losses[name], embeddings)) for name in ("task_loss", "game_loss"))
        return losses | {"gradient_ratio": self.weight * game / ops.maximum(task, 1e-12)}

    def _learn(self, model, image, text):
        """Update the classifier `classifier_steps` times, on embeddings through which no gradient flows."""
        both = ops.stop_gradient(ops.concatenate([image, text]))
        is_image = _is_image(image, text)
        for _ in range(self.classifier_steps):
            with tf.GradientTape() as tape:
                with tf.GradientTape() as inner:
                    inner.watch(both)
                    logits = self.classifier(both, training=True)
                loss = ops.mean(modality_crossentropy(is_image, logits))
                if self.gradient_penalty:
                    # Each logit depends on its own row only, so the gradient of their sum holds every row's own.
                    slope = inner.gradient(logits, both)
                    loss += self.gradient_penalty * ops.mean(ops.sum(ops.square(slope), axis=-1))
                scaled_loss = model.scale_loss("classifier", loss)
            model.descend("classifier", functools.partial(tape.gradient, scaled_loss))


def _is_image(image, text):
    return ops.concatenate([ops.ones(ops.shape(image)[:1]), ops.zeros(ops.shape(text)[:1])])


def _norm(gradients):
    """The norm of the gradients of all rows together; 0 where the loss does not reach them."""
    squares = [ops.sum(ops.square(gradient)) for gradient in gradients if gradient is not None]
    if not squares:
        return 0.0
    return ops.sqrt(sum_over_replicas(sum(squares))) / replica_count()  # each replica's loss is that of the batch
