"""`AdversarialBackprop`: categories instead of pairs, and an adversary that brings the modalities closer."""

import keras
import tensorflow as tf
from keras import ops

from mmkeras.errors import MmkerasError
from mmkeras.layers.category_head import CategoryHead
from mmkeras.layers.gradient_reversal import GradientReversal
from mmkeras.layers.modality_classifier import ModalityClassifier
from mmkeras.losses.adversarial import ModalityCrossentropy
from mmkeras.losses.category import CategoryCrossentropy
from mmkeras.models.image_text_model import ImageTextModel


@keras.saving.register_keras_serializable("mmkeras")
class AdversarialBackprop(ImageTextModel):
    """Two encoders trained on categories only: no pair of a picture and its text is ever used.

    A category head that both modalities share pulls pictures and texts of one category together; a modality classifier
    behind a gradient-reversal layer draws the two distributions towards each other. Over encoders and head E, and
    classifier M:

        min_E max_M  category_weight * L_category - strength * modality_weight * L_modality

    The strength lives in `gradient_reversal.strength`; `ReversalSchedule` raises it during training. The classifier's
    own update takes one of two forms:

    - `classifier_steps = 0`: one optimizer updates everything at once, as the paper's backpropagation does;
    - `classifier_steps = k`: k updates of the classifier, by its own optimizer, before each update of the encoders, all
      on the embeddings of the batch at hand, so that the encoders are run once a step.

    A classifier that wins leaves hardly any gradient, since its loss saturates: the encoders' part of the game is then
    better the loss of the wrong answer, `objective = "fooling"`, than the negated loss of the right one, `"minimax"`.

    Args:
        image_encoder: see `ImageTextModel`.
        text_encoder: see `ImageTextModel`.
        image_preprocessor: see `ImageTextModel`.
        text_preprocessor: see `ImageTextModel`.
        label_names: names of the C categories, two or more.
        multi_label: whether an item has any number of categories (a sigmoid each) or just one (softmax).
        category_weight: of the category loss, 0 or more.
        category_scale: of the head's cosines, see `CategoryHead`.
        modality_weight: of the modality loss, 0 or more; 0 trains without the adversary.
        reversal_strength: where `gradient_reversal.strength` starts.
        objective: `"minimax"` or `"fooling"`.
        reversed_modality: whose encoder plays against the classifier: `"image"`, `"text"` or `"both"`. The other then
            follows its categories alone, and the one that plays has to take on its distribution.
        classifier_hidden: units of the modality classifier's hidden layers.
        classifier_dropout: rate in its hidden layers.
        classifier_steps: updates of the classifier before each of the encoders; 0 for one joint update.
        gradient_penalty: weight of the squared norm of the gradient of the classifier's logits with respect to the
            embeddings; keeps the classifier smooth. Only with `classifier_steps`.

    Call arguments:
        inputs: dict with `image` and `token_ids` (or `text`); for training also `image_label` and `text_label`, (B,) or
            (B, C). Row i of the pictures has nothing to do with row i of the texts.

    Raises:
        MmkerasError: too few categories, a weight below 0, an unknown objective, a gradient penalty in the joint form.

    Example:
        >>> model = AdversarialBackprop.from_preset("adversarial_backprop_glyphs", texts=train.texts,
        ...                                         label_names=train.label_names)
        >>> model.compile()
        >>> batches = unpaired_batches(train, 256, seed=0, text_preprocessor=model.text_preprocessor)
        >>> model.fit(batches, steps_per_epoch=20, epochs=40, callbacks=[ReversalSchedule(400)])

    Reference:
        Park & Im 2016 (arXiv 1612.08354), whose abstract states the two losses and the gradient reversal; layer sizes,
        weights and schedules, and the alternating form, are ours. The game is that of Ganin & Lempitsky 2015 (arXiv
        1409.7495), equations 1 to 4; the fooling objective that of Goodfellow et al. 2014 (arXiv 1406.2661), section 3;
        the penalty that of Mescheder et al. 2018 (arXiv 1801.04406), section 4.1, over both distributions.
    """

    supervision = "categories"

    def __init__(
        self,
        image_encoder,
        text_encoder,
        image_preprocessor=None,
        text_preprocessor=None,
        label_names=(),
        multi_label=False,
        category_weight=1.0,
        category_scale=10.0,
        modality_weight=1.0,
        reversal_strength=1.0,
        objective="minimax",
        reversed_modality="both",
        classifier_hidden=(256, 256),
        classifier_dropout=0.0,
        classifier_steps=0,
        gradient_penalty=0.0,
        **kwargs,
    ):
        super().__init__(image_encoder, text_encoder, image_preprocessor, text_preprocessor, **kwargs)
        if len(label_names) < 2:
            raise MmkerasError(f"Expected the names of two categories or more. Received: label_names={label_names!r}")
        for name, value in (
            ("category_weight", category_weight),
            ("modality_weight", modality_weight),
            ("classifier_steps", classifier_steps),
            ("gradient_penalty", gradient_penalty),
        ):
            if not value >= 0:
                raise MmkerasError(f"Expected {name} to be 0 or more. Received: {value}")
        if objective not in ("minimax", "fooling"):
            raise MmkerasError(f'Expected objective to be "minimax" or "fooling". Received: {objective!r}')
        if reversed_modality not in ("image", "text", "both"):
            raise MmkerasError(
                f'Expected reversed_modality to be "image", "text" or "both". Received: {reversed_modality!r}'
            )
        if not classifier_steps and (gradient_penalty or objective == "fooling"):
            raise MmkerasError(
                "Expected classifier_steps of 1 or more with a gradient_penalty or the fooling objective, which are no "
                f"part of one joint update. Received: classifier_steps={classifier_steps}"
            )
        self.label_names = tuple(label_names)
        self.multi_label = multi_label
        self.category_weight = category_weight
        self.category_scale = category_scale
        self.modality_weight = modality_weight
        self.reversal_strength = reversal_strength
        self.objective = objective
        self.reversed_modality = reversed_modality
        self.classifier_hidden = classifier_hidden
        self.classifier_dropout = classifier_dropout
        self.classifier_steps = classifier_steps
        self.gradient_penalty = gradient_penalty
        float32 = {"dtype": "float32"}
        self.category_head = CategoryHead(len(label_names), category_scale, name="category_head", **float32)
        self.gradient_reversal = GradientReversal(reversal_strength, name="gradient_reversal", **float32)
        self.modality_classifier = ModalityClassifier(
            classifier_hidden, classifier_dropout, name="modality_classifier", **float32
        )
        for layer in (self.category_head, self.gradient_reversal, self.modality_classifier):
            layer.build((None, self.embedding_dim))
        self.category_loss = CategoryCrossentropy()
        self.modality_loss = ModalityCrossentropy()
        names = ("category_loss", "modality_loss", "modality_accuracy", "gradient_ratio")
        self.trackers = {name: keras.metrics.Mean(name) for name in names}
        self.classifier_optimizer = None
        self.built = True

    # --- Losses ---

    def category_logits(self, image_embedding, text_embedding):
        """Logits of both modalities, one after the other: (B + B, C), by the head that they share."""
        return self.category_head(ops.concatenate([image_embedding, text_embedding]))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return self._total(self._parts_of_loss(x, y_pred, training))

    def _parts_of_loss(self, batch, embeddings, training):
        """Return both losses by name, and track them with the classifier's accuracy."""
        image, text = embeddings["image_embedding"], embeddings["text_embedding"]
        label = ops.concatenate([batch["image_label"], batch["text_label"]])
        # Twice the mean over 2B rows: a mean over the pictures and one over the texts.
        category_loss = 2 * self.category_loss(label, self.category_logits(image, text))
        # One batch of both, so that nothing in the classifier depends on which modality it is fed with.
        reversed_image = self.gradient_reversal(ops.stop_gradient(image) if self.reversed_modality == "text" else image)
        reversed_text = self.gradient_reversal(ops.stop_gradient(text) if self.reversed_modality == "image" else text)
        logits = self.modality_classifier(ops.concatenate([reversed_image, reversed_text]), training=training)
        is_image = _is_image(image, text)
        modality_loss = self.modality_loss(is_image, logits)
        self.trackers["category_loss"].update_state(category_loss)
        self.trackers["modality_loss"].update_state(modality_loss)
        self.trackers["modality_accuracy"].update_state(ops.cast(ops.equal(logits > 0, is_image > 0), "float32"))
        losses = {"category": category_loss, "modality": modality_loss, "game": modality_loss}
        if self.objective == "fooling":
            # What the reversal turns into a descent on the loss of the wrong answer. The classifier's own update is
            # made elsewhere, from the right ones.
            losses["game"] = -self.modality_loss(1 - is_image, logits)
        return losses

    def _total(self, losses, modality="modality"):
        """The weighted sum; with `modality="game"` what the encoders' gradient is taken of."""
        weighted = self.category_weight * losses["category"] + self.modality_weight * losses[modality]
        return weighted + sum(self.losses)  # regularisation that an encoder brings along

    # --- Training ---

    def compile(self, optimizer="auto", classifier_optimizer="auto", **kwargs):
        """Configure training; see `ImageTextModel.compile`.

        Args:
            optimizer: of the encoders and the category head, and of the classifier where `classifier_steps` is 0.
            classifier_optimizer: of the classifier otherwise; `"auto"` is Adam with learning rate 1e-3 and beta_1 0.5,
                since the momentum of a longer past pushes against encoders that have moved on.
            **kwargs: see `ImageTextModel.compile`.
        """
        super().compile(optimizer, **kwargs)
        if not self.classifier_steps:
            self.classifier_optimizer = None
            return
        if classifier_optimizer == "auto":
            classifier_optimizer = keras.optimizers.Adam(1e-3, beta_1=0.5, beta_2=0.99)
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
            if self.classifier_steps:
                with tape.stop_recording():
                    self._train_classifier(embeddings)
            losses = self._parts_of_loss(batch, embeddings, training=True)
            scaled_loss = self.optimizer.scale_loss(self._total(losses, "game"))
        variables = self._encoder_variables
        self.optimizer.apply(tape.gradient(scaled_loss, variables), variables)
        pair = list(embeddings.values())
        category, modality = (_norm(tape.gradient(losses[name], pair)) for name in ("category", "game"))
        ratio = self.modality_weight * modality / ops.maximum(self.category_weight * category, 1e-12)
        self.trackers["gradient_ratio"].update_state(ratio)
        self._loss_tracker.update_state(self._total(losses))
        return self.get_metrics_result()

    def _train_classifier(self, embeddings):
        """Update the classifier `classifier_steps` times, on embeddings through which no gradient flows."""
        image, text = (ops.stop_gradient(embeddings[name]) for name in ("image_embedding", "text_embedding"))
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
            "multi_label",
            "category_weight",
            "category_scale",
            "modality_weight",
            "reversal_strength",
            "objective",
            "reversed_modality",
            "classifier_dropout",
            "classifier_steps",
            "gradient_penalty",
        )
        config = {name: getattr(self, name) for name in names}
        lists = {"label_names": list(self.label_names), "classifier_hidden": list(self.classifier_hidden)}
        return {**super().get_config(), **config, **lists}


def _is_image(image, text):
    return ops.concatenate([ops.ones(ops.shape(image)[:1]), ops.zeros(ops.shape(text)[:1])])


def _norm(gradients):
    """The norm of the gradients of all rows together; 0 where the loss does not reach them."""
    return ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in gradients if gradient is not None))
