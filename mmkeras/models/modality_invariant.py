"""`ModalityInvariant`: a triplet loss on pairs, and an adversary that brings the modalities closer, in stages."""

import keras
from keras import ops

from mmkeras.errors import MmkerasError
from mmkeras.losses.triplet import NEGATIVES, Triplet
from mmkeras.models.adversarial_model import AdversarialModel
from mmkeras.models.checks import not_negative


def _known_negatives(name, value):
    if value not in NEGATIVES:
        raise MmkerasError(f"Expected {name} to be one of {', '.join(NEGATIVES)}. Received: {value!r}")


def _margin(name, value):
    if not isinstance(value, (int, float)) or not 0 < value < 2:
        raise MmkerasError(f"Expected {name} to be more than 0 and below 2. Received: {value!r}")


@keras.saving.register_keras_serializable("mmkeras")
class ModalityInvariant(AdversarialModel):
    """Two encoders trained on pairs by a triplet loss, against a classifier of the modality.

    The triplet loss asks of each pair that it be closer than any other of the batch, by a margin; the modality
    classifier, on the same unit-norm embeddings that retrieval compares, draws the two distributions towards each
    other. The task of `AdversarialModel` is

        L_task = triplet_weight * mean of `losses.triplet_loss` over the batch

    Training goes in stages, which `set_stage` and the recipe's `[[stages]]` describe: the triplet loss alone, `"sum"`
    and then `"hardest"`; the modality classifier alone, until its gradient says something; both together, the reversal
    growing from 0; and, where there is one, the pretrained network.

    Args:
        image_encoder: see `ImageTextModel`.
        text_encoder: see `ImageTextModel`.
        image_preprocessor: see `ImageTextModel`.
        text_preprocessor: see `ImageTextModel`.
        margin: of the triplet loss, more than 0 and below 2.
        negatives: `"sum"`, `"hardest"` or `"semi_hard"`, see `losses.triplet_loss`.
        triplet_weight: of the triplet loss, 0 or more.
        modality_weight: of the modality loss, 0 or more.
        **kwargs: the adversary's arguments, see `AdversarialModel`.

    Call arguments:
        inputs: dict with `image` and `token_ids` (or `text`), and for training `image_id`; row i belongs to row i.

    Raises:
        MmkerasError: a margin or a weight out of its range, unknown negatives, or as `AdversarialModel`.

    Example:
        >>> model = ModalityInvariant.from_preset("modality_invariant_glyphs", texts=train.texts)
        >>> model.set_stage(["image_encoder", "text_encoder"], negatives="sum", modality_weight=0.0)
        >>> model.compile()
        >>> model.fit(training_batches(train, 256, seed=0), steps_per_epoch=100, epochs=5)

    Reference:
        Liu et al. 2019 (TOMM, 10.1145/3300939), whose abstract states the triplet loss, the modality classifier and
        training in several stages; layer sizes, weights, schedules and what the stages are, are ours.
    """

    stage_arguments = {
        **AdversarialModel.stage_arguments,
        "margin": _margin,
        "negatives": _known_negatives,
        "triplet_weight": not_negative,
    }
    task_trackers = ("triplet_loss", "embedding_spread")

    def __init__(
        self,
        image_encoder,
        text_encoder,
        image_preprocessor=None,
        text_preprocessor=None,
        margin=0.2,
        negatives="hardest",
        triplet_weight=1.0,
        modality_weight=0.1,
        **kwargs,
    ):
        super().__init__(
            image_encoder,
            text_encoder,
            image_preprocessor,
            text_preprocessor,
            modality_weight=modality_weight,
            **kwargs,
        )
        self._check(margin=margin, negatives=negatives, triplet_weight=triplet_weight)
        self.margin = margin
        self.negatives = negatives
        self.triplet_weight = triplet_weight

    def task_loss(self, batch, embeddings):
        image, text = embeddings["image_embedding"], embeddings["text_embedding"]
        triplet_loss = Triplet(self.margin, self.negatives)(batch["image_id"], (image, text))
        self.trackers["triplet_loss"].update_state(triplet_loss)
        self.trackers["embedding_spread"].update_state(ops.minimum(_spread(image), _spread(text)))
        return self.triplet_weight * triplet_loss

    def get_config(self):
        names = ("margin", "negatives", "triplet_weight")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _spread(embeddings):
    """Root of the total variance of unit vectors: 0 where all are one, near 1 where they fill the sphere."""
    return ops.sqrt(ops.sum(ops.var(embeddings, axis=0)))
