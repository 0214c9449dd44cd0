"""`ModalityInvariant`: a triplet loss on pairs, and an adversary that brings the modalities closer, in stages."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras.encoders.encoder import Encoder
from mmkeras.errors import MmkerasError
from mmkeras.layers.replicas import gathered_from_replicas
from mmkeras.losses.triplet import NEGATIVES, Negatives, triplet_loss
from mmkeras.models.batch_checks import batch_of
from mmkeras.models.checks import not_negative
from mmkeras.models.image_text_model import ImageTextModel
from mmkeras.models.modality_adversary import ModalityAdversary
from mmkeras.models.staged_model import part
from mmkeras.preprocessing import ImagePreprocessor, StringPreprocessor, Tokenizer
from mmkeras.tensors import Arrays, Tensors


def _known_negatives(name, value):
    if value not in NEGATIVES:
        raise MmkerasError(f"Expected {name} to be one of {', '.join(NEGATIVES)}. Received: {value!r}")


def _margin(name, value):
    if not isinstance(value, (int, float)) or not 0 < value < 2:
        raise MmkerasError(f"Expected {name} to be more than 0 and below 2. Received: {value!r}")


@keras.saving.register_keras_serializable("mmkeras")
class ModalityInvariant(ImageTextModel):
    """Two encoders trained on pairs by a triplet loss, against a classifier of the modality.

    The triplet loss asks of each pair that it be closer than any other of the batch, by a margin; the modality
    classifier, on the same unit-norm embeddings that retrieval compares, draws the two distributions towards each
    other. The task beside the adversary's game is

        L_task = triplet_weight * mean of `losses.triplet_loss` over the batch

    Training goes in stages, which `set_stage` and the recipe's `[[stages]]` describe: the triplet loss alone, `"sum"`
    and then `"hardest"`; the modality classifier alone, until its gradient says something; both together, the reversal
    growing from 0; and, where there is one, the pretrained network.

    Args:
        image_encoder: see `ImageTextModel`.
        text_encoder: see `ImageTextModel`.
        image_preprocessor: see `ImageTextModel`.
        text_preprocessor: see `ImageTextModel`.
        margin: margin of the triplet loss, more than 0 and below 2.
        negatives: `"sum"`, `"hardest"` or `"semi_hard"`, see `losses.triplet_loss`.
        triplet_weight: weight of the triplet loss, 0 or more.
        adversary: `ModalityAdversary`, or a dict of its arguments; a weight of 0.1 by default.

    Call arguments:
        inputs: dict with `image` and `token_ids` (or `text`), and for training the ids of `batch_ids`, where
            there are some; row i belongs to row i.

    Raises:
        MmkerasError: a margin or a weight out of its range, unknown negatives, or as `ModalityAdversary`.

    Example:
        >>> model = ModalityInvariant.from_preset("modality_invariant_glyphs", texts=train.texts)
        >>> model.set_stage(["image_encoder", "text_encoder"], negatives="sum", adversary={"weight": 0.0})
        >>> model.compile()
        >>> model.fit(training_batches(train, 256, seed=0), steps_per_epoch=100, epochs=5)

    Reference:
        Liu et al. 2019 (TOMM, 10.1145/3300939), whose abstract states the triplet loss, the modality classifier and
        training in several stages; layer sizes, weights, schedules and what the stages are, are ours.
    """

    adversary: ModalityAdversary
    stage_arguments = {
        "margin": _margin,
        "negatives": _known_negatives,
        "triplet_weight": not_negative,
        "adversary": ModalityAdversary.stage_arguments,
    }

    def __init__(
        self,
        image_encoder: Encoder,
        text_encoder: Encoder,
        image_preprocessor: ImagePreprocessor | None = None,
        text_preprocessor: Tokenizer | StringPreprocessor | None = None,
        margin: float = 0.2,
        negatives: Negatives = "hardest",
        triplet_weight: float = 1.0,
        adversary: ModalityAdversary | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_encoder, text_encoder, image_preprocessor, text_preprocessor, **kwargs)
        self.check_arguments(margin=margin, negatives=negatives, triplet_weight=triplet_weight)
        self.margin = margin
        self.negatives = negatives
        self.triplet_weight = triplet_weight
        self.adversary = part(ModalityAdversary, adversary, weight=0.1)
        if not self.adversary.built:
            self.adversary.build((None, self.embedding_dim))
        names = ("triplet_loss", "embedding_spread", *ModalityAdversary.tracked)
        self.trackers = {name: keras.metrics.Mean(name) for name in names}
        self.built = True

    @property
    def parts(self) -> dict[str, keras.layers.Layer]:
        return {**super().parts, "modality_classifier": self.adversary.classifier}

    # --- Losses ---

    def compute_losses(self, batch: Arrays, outputs: Tensors, training: bool = True) -> Tensors:
        # Of all devices: negatives are mined in the whole batch.
        image, text, *ids = map(
            gathered_from_replicas, (outputs["image_embedding"], outputs["text_embedding"], *self.ids_of(batch))
        )
        loss = ops.mean(triplet_loss(image, text, self.margin, self.negatives, *ids))
        task_loss = self.triplet_weight * loss
        return {
            "triplet_loss": loss,
            "embedding_spread": ops.minimum(_spread(image), _spread(text)),
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


def _spread(embeddings):
    """Root of the total variance of unit vectors: 0 where all are one, near 1 where they fill the sphere."""
    return ops.sqrt(ops.sum(ops.var(embeddings, axis=0)))
