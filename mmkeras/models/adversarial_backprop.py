"""`AdversarialBackprop`: categories instead of pairs, and an adversary that brings the modalities closer."""

import math

import keras
from keras import ops

from mmkeras.errors import MmkerasError
from mmkeras.layers.category_head import CategoryHead
from mmkeras.losses.category import CategoryCrossentropy
from mmkeras.models.adversarial_model import AdversarialModel
from mmkeras.models.checks import not_negative


@keras.saving.register_keras_serializable("mmkeras")
class AdversarialBackprop(AdversarialModel):
    """Two encoders trained on categories only: no pair of a picture and its text is ever used.

    A category head that both modalities share pulls pictures and texts of one category together; a modality classifier
    behind a gradient-reversal layer draws the two distributions towards each other. The task of `AdversarialModel` is

        L_task = category_weight * (mean of L_category over the pictures + mean of L_category over the texts)

    Args:
        image_encoder: see `ImageTextModel`.
        text_encoder: see `ImageTextModel`.
        image_preprocessor: see `ImageTextModel`.
        text_preprocessor: see `ImageTextModel`.
        label_names: names of the C categories, two or more.
        multi_label: whether an item has any number of categories (a sigmoid each) or just one (softmax).
        category_weight: of the category loss, 0 or more.
        category_scale: of the head's cosines, see `CategoryHead`.
        **kwargs: the adversary's arguments, see `AdversarialModel`.

    Call arguments:
        inputs: dict with `image` and `token_ids` (or `text`); for training also `image_label` and `text_label`, (B,) or
            (B, C). Row i of the pictures has nothing to do with row i of the texts.

    Raises:
        MmkerasError: too few categories, a weight below 0, or as `AdversarialModel`.

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
    stage_arguments = {**AdversarialModel.stage_arguments, "category_weight": not_negative}
    task_trackers = ("category_loss",)

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
        **kwargs,
    ):
        super().__init__(image_encoder, text_encoder, image_preprocessor, text_preprocessor, **kwargs)
        if len(label_names) < 2:
            raise MmkerasError(f"Expected the names of two categories or more. Received: label_names={label_names!r}")
        self._check(category_weight=category_weight)
        self.label_names = tuple(label_names)
        self.multi_label = multi_label
        self.category_weight = category_weight
        self.category_scale = category_scale
        # With a sigmoid each, as if one label of an item were expected: a probability of 1 / C.
        initial_bias = -math.log(len(label_names) - 1) if multi_label else 0.0
        self.category_head = CategoryHead(
            len(label_names), category_scale, initial_bias, name="category_head", dtype="float32"
        )
        self.category_head.build((None, self.embedding_dim))
        self.category_loss = CategoryCrossentropy()

    def category_logits(self, image_embedding, text_embedding):
        """Logits of both modalities, one after the other: (B + B, C), by the head that they share."""
        return self.category_head(ops.concatenate([image_embedding, text_embedding]))

    def task_loss(self, batch, embeddings):
        label = ops.concatenate([batch["image_label"], batch["text_label"]])
        logits = self.category_logits(embeddings["image_embedding"], embeddings["text_embedding"])
        # Twice the mean over 2B rows: a mean over the pictures and one over the texts.
        category_loss = 2 * self.category_loss(label, logits)
        self.trackers["category_loss"].update_state(category_loss)
        return self.category_weight * category_loss

    @property
    def parts(self):
        return {**super().parts, "category_head": self.category_head}

    def get_config(self):
        names = ("multi_label", "category_weight", "category_scale")
        config = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **config, "label_names": list(self.label_names)}
