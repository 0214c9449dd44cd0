"""`DualEncoder`: two encoders trained on pairs with a contrast over the batch."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import keras

from mmkeras.encoders.encoder import Encoder
from mmkeras.errors import MmkerasError
from mmkeras.losses.contrastive import InfoNCE
from mmkeras.losses.shared_ids import share_id
from mmkeras.losses.sigmoid import SigmoidContrast
from mmkeras.models.image_text_model import ImageTextModel
from mmkeras.models.learnt_bias import LearntBias
from mmkeras.models.learnt_temperature import LearntTemperature
from mmkeras.models.staged_model import part
from mmkeras.preprocessing import ImagePreprocessor, StringPreprocessor, Tokenizer
from mmkeras.tensors import Arrays, Tensor, Tensors

PairLoss: TypeAlias = Literal["info_nce", "sigmoid"]

PAIR_LOSSES = get_args(PairLoss)


@keras.saving.register_keras_serializable("mmkeras")
class DualEncoder(ImageTextModel):
    """Two encoders trained on pairs: each image finds its text among the batch, and the other way round.

    Args:
        image_encoder: see `ImageTextModel`.
        text_encoder: see `ImageTextModel`.
        image_preprocessor: see `ImageTextModel`.
        text_preprocessor: see `ImageTextModel`.
        temperature: `LearntTemperature` of the contrast, or a dict of its arguments. It begins at 0.07, and is 0.01 or
            more; with the sigmoid loss at 0.1, and 0.001 or more.
        loss: `"info_nce"`, see `losses.info_nce`, or `"sigmoid"`, see `losses.sigmoid_contrast`.
        logit_bias: `LearntBias` of the sigmoid loss, or a dict of its arguments; only with that loss.

    Raises:
        MmkerasError: a temperature out of its range, an unknown loss, a bias that the loss does not have, or as
            `ImageTextModel`.

    Example:
        >>> model = DualEncoder.from_preset("dual_encoder_glyphs", texts=train.texts)
        >>> model.compile()
        >>> model.fit(training_batches(train, 256, seed=0), steps_per_epoch=100, epochs=5)
        >>> model.encode_text(["GREEK SMALL LETTER OMEGA"]).shape
        (1, 256)

    Reference:
        Radford et al. 2021 (arXiv 2103.00020), section 2.3; the sigmoid loss and its start are those of Zhai et al.
        2023 (SigLIP, arXiv 2303.15343), algorithm 1.
    """

    temperature: LearntTemperature

    def __init__(
        self,
        image_encoder: Encoder,
        text_encoder: Encoder,
        image_preprocessor: ImagePreprocessor | None = None,
        text_preprocessor: Tokenizer | StringPreprocessor | None = None,
        temperature: LearntTemperature | dict[str, Any] | None = None,
        loss: PairLoss = "info_nce",
        logit_bias: LearntBias | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_encoder, text_encoder, image_preprocessor, text_preprocessor, **kwargs)
        if loss not in PAIR_LOSSES:
            raise MmkerasError(f"Expected loss to be one of {', '.join(PAIR_LOSSES)}. Received: loss={loss!r}")
        if logit_bias is not None and loss != "sigmoid":
            raise MmkerasError(f'Expected logit_bias with loss = "sigmoid" alone. Received: loss={loss!r}')
        self.loss = loss
        start = {"initial": 0.1, "lowest": 0.001} if loss == "sigmoid" else {}
        self.temperature = part(LearntTemperature, temperature, **start)
        self.logit_bias = part(LearntBias, logit_bias) if loss == "sigmoid" else None
        self.built = True

    def compute_losses(self, batch: Arrays, outputs: Tensors, training: bool = True) -> Tensors:
        loss = self._contrast(self.ids_of(batch), outputs["image_embedding"], outputs["text_embedding"])
        return {"loss": loss + sum(self.losses)}  # with regularisation that an encoder brings along

    def _contrast(self, ids, image: Tensor, text: Tensor) -> Tensor:
        """The loss of a batch's embeddings, a scalar."""
        if self.logit_bias is None:
            return InfoNCE()(share_id(*ids), (image, text, self.temperature.value))
        return SigmoidContrast()(ids, (image, text, self.temperature.value, self.logit_bias.value))
