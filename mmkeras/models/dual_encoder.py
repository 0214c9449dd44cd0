"""`DualEncoder`: two encoders trained on pairs with InfoNCE."""

from __future__ import annotations

from typing import Any

import keras

from mmkeras.encoders.encoder import Encoder
from mmkeras.losses.contrastive import InfoNCE
from mmkeras.losses.shared_ids import share_id
from mmkeras.models.image_text_model import ImageTextModel
from mmkeras.models.learnt_temperature import LearntTemperature
from mmkeras.models.staged_model import part
from mmkeras.preprocessing import ImagePreprocessor, StringPreprocessor, Tokenizer
from mmkeras.tensors import Arrays, Tensors


@keras.saving.register_keras_serializable("mmkeras")
class DualEncoder(ImageTextModel):
    """Two encoders trained on pairs: each image finds its text among the batch, and the other way round.

    Args:
        image_encoder: see `ImageTextModel`.
        text_encoder: see `ImageTextModel`.
        image_preprocessor: see `ImageTextModel`.
        text_preprocessor: see `ImageTextModel`.
        temperature: `LearntTemperature` of the contrast, or a dict of its arguments.

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

    temperature: LearntTemperature

    def __init__(
        self,
        image_encoder: Encoder,
        text_encoder: Encoder,
        image_preprocessor: ImagePreprocessor | None = None,
        text_preprocessor: Tokenizer | StringPreprocessor | None = None,
        temperature: LearntTemperature | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_encoder, text_encoder, image_preprocessor, text_preprocessor, **kwargs)
        self.temperature = part(LearntTemperature, temperature)
        self.info_nce = InfoNCE()
        self.built = True

    def compute_losses(self, batch: Arrays, outputs: Tensors, training: bool = True) -> Tensors:
        contrast = outputs["image_embedding"], outputs["text_embedding"], self.temperature.value
        loss = self.info_nce(share_id(*self.ids_of(batch)), contrast)
        return {"loss": loss + sum(self.losses)}  # with regularisation that an encoder brings along
