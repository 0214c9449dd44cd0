"""`AdversarialModel`: what the systems with a modality classifier share: the game against it, and how it is trained."""

import keras
import tensorflow as tf
from keras import ops

from mmkeras.errors import MmkerasError
from mmkeras.layers.gradient_reversal import GradientReversal
from mmkeras.layers.modality_classifier import ModalityClassifier
from mmkeras.losses.adversarial import ModalityCrossentropy
from mmkeras.models.checks import not_negative
from mmkeras.models.fused_adam import FusedAdam
from mmkeras.models.image_text_model import ImageTextModel


@keras.saving.register_keras_serializable("mmkeras")
class AdversarialModel(ImageTextModel):
    """Encoders with a task of their own, and a modality classifier that they have to fool.

    Over encoders (and heads) E, and the classifier M behind a gradient-reversal layer:

        min_E max_M  L_task - strength * modality_weight * L_modality

    The strength lives in `gradient_reversal.strength`; `ReversalSchedule` raises it during training. The classifier's
    own update takes one of two forms:

    - `classifier_steps = 0`: one optimizer updates everything at once, by plain backpropagation;
    - `classifier_steps = k`: k updates of the classifier, by its own optimizer, before each update of the encoders, all
      on the embeddings of the batch at hand, so that the encoders are run once a step.

    A classifier that wins leaves hardly any gradient, since its loss saturates: the encoders' part of the game is then
    better the loss of the wrong answer, `objective = "fooling"`, than the negated loss of the right one, `"minimax"`.

    A system subclasses it and says in `task_loss` what its encoders are for.

    Args:
        image_encoder: see `ImageTextModel`.
        text_encoder: see `ImageTextModel`.
        image_preprocessor: see `ImageTextModel`.
        text_preprocessor: see `ImageTextModel`.
        modality_weight: of the modality loss, 0 or more; 0 trains without the adversary.
        reversal_strength: where `gradient_reversal.strength` starts.
        objective: `"minimax"` or `"fooling"`.
        image_reversal: share of the strength that reaches the pictures' encoder, 0 or more.
        text_reversal: share of the strength that reaches the texts' encoder, 0 or more. With 0 it follows its task
            alone, and the pictures have to take on its distribution.
        classifier_hidden: units of the modality classifier's hidden layers.
        classifier_dropout: rate in its hidden layers.
        classifier_steps: updates of the classifier before each of the encoders; 0 for one joint update.
        gradient_penalty: weight of the squared norm of the gradient of the classifier's logits with respect to the
            embeddings; keeps the classifier smooth. Only with `classifier_steps`.

    Raises:
        MmkerasError: a weight below 0, an unknown objective, a gradient penalty in the joint form.

    Reference:
        The game is that of Ganin & Lempitsky 2015 (arXiv 1409.7495), equations 1 to 4; the fooling objective that of
        Goodfellow et al. 2014 (arXiv 1406.2661), section 3; the penalty that of Mescheder et al. 2018 (arXiv
        1801.04406), section 4.1, over both distributions.
    """

    stage_arguments = {"modality_weight": not_negative}

    def __init__(
        self,
        image_encoder,
        text_encoder,
        image_preprocessor=None,
        text_preprocessor=None,
        modality_weight=1.0,
        reversal_strength=1.0,
        objective="minimax",
        image_reversal=1.0,
        text_reversal=1.0,
        classifier_hidden=(256, 256),
        classifier_dropout=0.0,
        classifier_steps=0,
        gradient_penalty=0.0,
        **kwargs,
    ):
        super().__init__(image_encoder, text_encoder, image_preprocessor, text_preprocessor, **kwargs)
        self._check(modality_weight=modality_weight)
        not_negative("image_reversal", image_reversal)
        not_negative("text_reversal", text_reversal)
        not_negative("classifier_steps", classifier_steps)
        not_negative("gradient_penalty", gradient_penalty)
        if objective not in ("minimax", "fooling"):
            raise MmkerasError(f'Expected objective to be "minimax" or "fooling". Received: {objective!r}')
        if not classifier_steps and (gradient_penalty or objective == "fooling"):
            raise MmkerasError(
                "Expected classifier_steps of 1 or more with a gradient_penalty or the fooling objective, which are no "
                f"part of one joint update. Received: classifier_steps={classifier_steps}"
            )
        self.modality_weight = modality_weight
        self.reversal_strength = reversal_strength
        self.objective = objective
        self.image_reversal = image_reversal
        self.text_reversal = text_reversal
        self.classifier_hidden = classifier_hidden
        self.classifier_dropout = classifier_dropout
        self.classifier_steps = classifier_steps
        self.gradient_penalty = gradient_penalty
        float32 = {"dtype": "float32"}
        self.gradient_reversal = GradientReversal(reversal_strength, name="gradient_reversal", **float32)
        self.modality_classifier = ModalityClassifier(
            classifier_hidden, classifier_dropout, name="modality_classifier", **float32
        )
        for layer in (self.gradient_reversal, self.modality_classifier):
            layer.build((None, self.embedding_dim))
        self.modality_loss = ModalityCrossentropy()
        names = (*self.task_trackers, "modality_loss", "modality_accuracy", "gradient_ratio")
        self.trackers = {name: keras.metrics.Mean(name) for name in names}
        self.classifier_optimizer = None
        self.built = True

    # --- Losses ---

    task_trackers = ()  # names of what `task_loss` tracks

    def task_loss(self, batch, embeddings):
        """Return what the encoders are trained for, weighted: a scalar. Track its parts in `self.trackers`.

        Args:
            batch: dict, as it came from the pipeline.
            embeddings: dict of `image_embedding` and `text_embedding`, float32 (B, D), unit norm.
        """
        raise NotImplementedError

    def classified(self, embeddings):
        """Return what the modality classifier sees of a batch: the embeddings that retrieval compares, (B, D) each."""
        return embeddings["image_embedding"], embeddings["text_embedding"]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return self._total(self._parts_of_loss(x, y_pred, training))

    def _parts_of_loss(self, batch, embeddings, training):
        """Return both losses by name, and track them with the classifier's accuracy."""
        image, text = self.classified(embeddings)
        reversed_image = self.gradient_reversal(image, share=self.image_reversal)
        reversed_text = self.gradient_reversal(text, share=self.text_reversal)
        # One batch of both, so that nothing in the classifier depends on which modality it is fed with.
        logits = self.modality_classifier(ops.concatenate([reversed_image, reversed_text]), training=training)
        is_image = _is_image(image, text)
        modality_loss = self.modality_loss(is_image, logits)
        self.trackers["modality_loss"].update_state(modality_loss)
        self.trackers["modality_accuracy"].update_state(ops.cast(ops.equal(logits > 0, is_image > 0), "float32"))
        losses = {"task": self.task_loss(batch, embeddings), "modality": modality_loss, "game": modality_loss}
        if self.objective == "fooling":
            # What the reversal turns into a descent on the loss of the wrong answer. The classifier's own update is
            # made elsewhere, from the right ones.
            losses["game"] = -self.modality_loss(1 - is_image, logits)
        return losses

    def _total(self, losses, modality="modality"):
        """The weighted sum; with `modality="game"` what the encoders' gradient is taken of."""
        weighted = losses["task"] + self.modality_weight * losses[modality]
        return weighted + sum(self.losses)  # regularisation that an encoder brings along

    # --- Training ---

    @property
    def parts(self):
        return {**super().parts, "modality_classifier": self.modality_classifier}

    def compile(self, optimizer="auto", classifier_optimizer="auto", **kwargs):
        """Configure training; see `ImageTextModel.compile`.

        Args:
            optimizer: of the encoders and heads, and of the classifier where `classifier_steps` is 0.
            classifier_optimizer: of the classifier otherwise; `"auto"` is `FusedAdam` with learning rate 1e-3 and
                beta_1 0.5, since the momentum of a longer past pushes against encoders that have moved on.
            **kwargs: see `ImageTextModel.compile`.
        """
        super().compile(optimizer, **kwargs)
        if not self.classifier_steps:
            self.classifier_optimizer = None
            return
        if classifier_optimizer == "auto":
            classifier_optimizer = FusedAdam(1e-3, beta_1=0.5, beta_2=0.99)
        self.classifier_optimizer = keras.optimizers.get(classifier_optimizer)

    def get_compile_config(self):
        config = super().get_compile_config()
        if self.classifier_optimizer is not None:
            config["classifier_optimizer"] = keras.saving.serialize_keras_object(self.classifier_optimizer)
        return config

    def build_optimizers(self):
        self.optimizer.build(self._encoder_variables)
        if self.classifier_optimizer is not None:
            self.classifier_optimizer.build(self.modality_classifier.trainable_variables)

    @property
    def _encoder_variables(self):
        """What the main optimizer updates: everything, unless the classifier has an optimizer of its own."""
        if not self.classifier_steps:
            return self.trainable_variables
        classifier = {id(variable) for variable in self.modality_classifier.trainable_variables}
        return [variable for variable in self.trainable_variables if id(variable) not in classifier]

    def train_step(self, data):
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape(persistent=True) as tape:
            embeddings = self(batch, training=True)
            if self.classifier_steps and self.modality_classifier.trainable:
                with tape.stop_recording():
                    self._train_classifier(embeddings)
            losses = self._parts_of_loss(batch, embeddings, training=True)
            scaled_loss = self.optimizer.scale_loss(self._total(losses, "game"))
        if variables := self._encoder_variables:  # none where a stage trains the classifier alone
            self.optimizer.apply(tape.gradient(scaled_loss, variables), variables)
        pair = list(embeddings.values())
        task, modality = (_norm(tape.gradient(losses[name], pair)) for name in ("task", "game"))
        self.trackers["gradient_ratio"].update_state(self.modality_weight * modality / ops.maximum(task, 1e-12))
        self._loss_tracker.update_state(self._total(losses))
        return self.get_metrics_result()

    def _train_classifier(self, embeddings):
        """Update the classifier `classifier_steps` times, on embeddings through which no gradient flows."""
        image, text = (ops.stop_gradient(embedding) for embedding in self.classified(embeddings))
        both, is_image = ops.concatenate([image, text]), _is_image(image, text)
        variables = self.modality_classifier.trainable_variables
        for _ in range(self.classifier_steps):
            with tf.GradientTape() as tape:
                with tf.GradientTape() as inner:
                    inner.watch(both)
                    logits = self.modality_classifier(both, training=True)
                loss = self.modality_loss(is_image, logits)
                if self.gradient_penalty:
                    # Each logit depends on its own row only, so the gradient of their sum holds every row's own.
                    slope = inner.gradient(logits, both)
                    loss += self.gradient_penalty * ops.mean(ops.sum(ops.square(slope), axis=-1))
                scaled_loss = self.classifier_optimizer.scale_loss(loss)
            self.classifier_optimizer.apply(tape.gradient(scaled_loss, variables), variables)

    def get_config(self):
        names = (
            "modality_weight",
            "reversal_strength",
            "objective",
            "image_reversal",
            "text_reversal",
            "classifier_dropout",
            "classifier_steps",
            "gradient_penalty",
        )
        config = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **config, "classifier_hidden": list(self.classifier_hidden)}


def _is_image(image, text):
    return ops.concatenate([ops.ones(ops.shape(image)[:1]), ops.zeros(ops.shape(text)[:1])])


def _norm(gradients):
    """The norm of the gradients of all rows together; 0 where the loss does not reach them."""
    return ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in gradients if gradient is not None))
