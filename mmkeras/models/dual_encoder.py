"""`DualEncoder`: two encoders trained on pairs with InfoNCE."""

import keras

from mmkeras.errors import MmkerasError
from mmkeras.losses.contrastive import InfoNCE
from mmkeras.models.image_text_model import ImageTextModel
from mmkeras.models.learnt_temperature import LearntTemperature


@keras.saving.register_keras_serializable("mmkeras")
class DualEncoder(LearntTemperature, ImageTextModel):
    """Two encoders trained on pairs: each picture finds its text among the batch, and the other way round.

    The temperature is learnt, as its logarithm, and clamped to [`min_temperature`, 1].

    Args:
        image_encoder: see `ImageTextModel`.
        text_encoder: see `ImageTextModel`.
        image_preprocessor: see `ImageTextModel`.
        text_preprocessor: see `ImageTextModel`.
        initial_temperature: where the learnt temperature starts, in [`min_temperature`, 1].
        min_temperature: the lowest temperature that is learnt, in [0.01, 1]. On a small training set the loss drives it
            far down, where only the hardest negatives of the training set count; a floor of 0.1 generalised better on
            the glyphs.

    Raises:
        MmkerasError: a temperature out of its range, or as `ImageTextModel`.

    Example:
        >>> model = DualEncoder.from_preset("dual_encoder_glyphs", texts=train.texts)
        >>> model.compile()
        >>> model.fit(training_batches(train, 256, seed=0), steps_per_epoch=100, epochs=5)
        >>> model.encode_text(["GREEK SMALL LETTER OMEGA"]).shape
        (1, 256)

    Reference:
        Radford et al. 2021 (arXiv 2103.00020), section 2.3.
    """

    def __init__(
        self,
        image_encoder,
        text_encoder,
        image_preprocessor=None,
        text_preprocessor=None,
        initial_temperature=0.07,
        min_temperature=0.01,
        **kwargs,
    ):
        super().__init__(image_encoder, text_encoder, image_preprocessor, text_preprocessor, **kwargs)
        if not 0.01 <= min_temperature <= initial_temperature <= 1:
            raise MmkerasError(
                "Expected temperatures with 0.01 <= min_temperature <= initial_temperature <= 1. "
                f"Received: min_temperature={min_temperature}, initial_temperature={initial_temperature}"
            )
        self.initial_temperature = initial_temperature
        self.min_temperature = min_temperature
        self.add_temperature(initial_temperature, min_temperature, 1.0)
        self.info_nce = InfoNCE()
        self.built = True

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        embeddings = y_pred["image_embedding"], y_pred["text_embedding"], self.temperature
        return self.info_nce(x["image_id"], embeddings) + sum(
            self.losses
        )  # regularisation that an encoder brings along

    def get_config(self):
        return {
            **super().get_config(),
            "initial_temperature": self.initial_temperature,
            "min_temperature": self.min_temperature,
        }
