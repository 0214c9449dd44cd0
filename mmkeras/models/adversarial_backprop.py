"""`AdversarialBackprop`: categories instead of pairs, and an adversary that brings the modalities closer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mmkeras.encoders.encoder import Encoder
from mmkeras.errors import MmkerasError
from mmkeras.layers.category_head import CategoryHead
from mmkeras.layers.replicas import gathered_from_replicas
from mmkeras.losses.category import category_crossentropy
from mmkeras.models.batch_checks import batch_of
from mmkeras.models.checks import not_negative
from mmkeras.models.image_text_model import ImageTextModel
from mmkeras.models.modality_adversary import ModalityAdversary
from mmkeras.models.staged_model import part
from mmkeras.preprocessing import ImagePreprocessor, StringPreprocessor, Tokenizer
from mmkeras.tensors import Array, Arrays, Tensor, Tensors


@keras.saving.register_keras_serializable("mmkeras")
class AdversarialBackprop(ImageTextModel):
    """Two encoders trained on categories only: no pair of an image and its text is ever used.

    A category head that both modalities share pulls images and texts of one category together; a modality classifier
    behind a gradient-reversal layer, the `adversary`, draws the two distributions towards each other. The task beside
    the adversary's game is

        L_task = category_weight * (mean of L_category over the images + mean of L_category over the texts)

    Args:
        image_encoder: see `ImageTextModel`.
        text_encoder: see `ImageTextModel`.
        image_preprocessor: see `ImageTextModel`.
        text_preprocessor: see `ImageTextModel`.
        label_names: names of the C categories, two or more.
        multi_label: whether an item has any number of categories (a sigmoid each) or just one (softmax).
        category_weight: weight of the category loss, 0 or more.
        category_scale: what the head's cosines are multiplied by, see `CategoryHead`.
        adversary: `ModalityAdversary`, or a dict of its arguments.

    Call arguments:
        inputs: dict with `image` and `token_ids` (or `text`); for training also `image_label` and `text_label`, (B,) or
            (B, C). Row i of the images has nothing to do with row i of the texts.

    Raises:
        MmkerasError: too few categories, a weight below 0, or as `ModalityAdversary`.

    Example:
        >>> model = AdversarialBackprop.from_preset("adversarial_backprop_glyphs", texts=train.texts,
        ...                                         label_names=train.label_names)
        >>> model.compile()
        >>> batches = unpaired_batches(train, 256, seed=0, text_preprocessor=model.text_preprocessor)
        >>> model.fit(batches, steps_per_epoch=20, epochs=40, callbacks=[ReversalSchedule(400)])

    Reference:
        Park & Im 2016 (arXiv 1612.08354), whose abstract states the two losses and the gradient reversal; layer sizes,
        weights and schedules, and the alternating form, are ours.
    """

    supervision = "categories"
    adversary: ModalityAdversary
    category_head: CategoryHead
    stage_arguments = {"category_weight": not_negative, "adversary": ModalityAdversary.stage_arguments}

    def __init__(
        self,
        image_encoder: Encoder,
        text_encoder: Encoder,
        image_preprocessor: ImagePreprocessor | None = None,
        text_preprocessor: Tokenizer | StringPreprocessor | None = None,
        label_names: Sequence[str] = (),
        multi_label: bool = False,
        category_weight: float = 1.0,
        category_scale: float = 10.0,
        adversary: ModalityAdversary | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_encoder, text_encoder, image_preprocessor, text_preprocessor, **kwargs)
        if len(label_names) < 2:
            raise MmkerasError(f"Expected the names of two categories or more. Received: label_names={label_names!r}")
        self.check_arguments(category_weight=category_weight)
        self.label_names = tuple(label_names)
        self.multi_label = multi_label
        self.category_weight = category_weight
        self.category_scale = category_scale
        self.adversary = part(ModalityAdversary, adversary)
        if not self.adversary.built:
            self.adversary.build((None, self.embedding_dim))
        # With a sigmoid each, as if one label of an item were expected: a probability of 1 / C.
        initial_bias = -math.log(len(label_names) - 1) if multi_label else 0.0
        self.category_head = CategoryHead(
            len(label_names), category_scale, initial_bias, name="category_head", dtype="float32"
        )
        self.category_head.build((None, self.embedding_dim))
        self.trackers = {name: keras.metrics.Mean(name) for name in ("category_loss", *ModalityAdversary.tracked)}
        self.built = True

    @property
    def parts(self) -> dict[str, keras.layers.Layer]:
        own = {"modality_classifier": self.adversary.classifier, "category_head": self.category_head}
        return {**super().parts, **own}

    # --- Losses ---

    def category_logits(self, image_embedding: Array, text_embedding: Array) -> Tensor:
        """Logits of both modalities, one after the other: (B + B, C), by the head that they share."""
        return self.category_head(ops.concatenate([image_embedding, text_embedding]))

    def compute_losses(self, batch: Arrays, outputs: Tensors, training: bool = True) -> Tensors:
        rows = outputs["image_embedding"], outputs["text_embedding"], batch["image_label"], batch["text_label"]
        image, text, *labels = map(gathered_from_replicas, rows)  # of all devices
        label = ops.concatenate(labels)
        # Twice the mean over 2B rows: a mean over the images and one over the texts.
        category_loss = 2 * ops.mean(category_crossentropy(label, self.category_logits(image, text)))
        task_loss = self.category_weight * category_loss
        return {
            "category_loss": category_loss,
            **self.adversary.losses_with(task_loss, image, text, training, self.losses),
        }

    # --- Training ---

    @property
    def roles(self) -> dict[str, int]:
        return self.adversary.roles

    def variables_of(self, role: str) -> list[keras.Variable]:
        return self.adversary.variables_of(role, self.trainable_variables)

    def default_optimizer(self, role: str) -> keras.optimizers.Optimizer:
        return self.adversary.default_optimizer() if role == "classifier" else super().default_optimizer(role)

    def train_step(self, data: Any) -> dict[str, Any]:
        self.track(self.adversary.step(self, batch_of(data)))
        return self.get_metrics_result()
