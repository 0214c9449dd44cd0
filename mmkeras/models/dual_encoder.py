"""`DualEncoder`: two encoders trained on pairs with a contrast over the batch."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import keras
from keras import ops

from mmkeras.encoders.encoder import Encoder
from mmkeras.errors import MmkerasError
from mmkeras.layers.replicas import gathered_from_replicas
from mmkeras.losses.contrastive import info_nce
from mmkeras.losses.sigmoid import sigmoid_contrast
from mmkeras.models.batch_checks import batch_of
from mmkeras.models.checks import rows
from mmkeras.models.image_text_model import ImageTextModel
from mmkeras.models.learnt_bias import LearntBias
from mmkeras.models.learnt_temperature import LearntTemperature
from mmkeras.models.staged_model import part
from mmkeras.models.sub_batches import embeddings_by_parts, gradients_by_parts
from mmkeras.preprocessing import ImagePreprocessor, StringPreprocessor, Tokenizer
from mmkeras.tensors import Arrays, Tensors

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
        sub_batch: rows whose activations are in memory at a time, see `gradients_by_parts`: batches of thousands for a
            third more computation, with the gradients of the plain step. 0 is the plain step.

    Raises:
        MmkerasError: a temperature out of its range, an unknown loss, a bias that the loss does not have, a sub-batch
            below 0, or as `ImageTextModel`.

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
    stage_arguments = {"sub_batch": rows}

    def __init__(
        self,
        image_encoder: Encoder,
        text_encoder: Encoder,
        image_preprocessor: ImagePreprocessor | None = None,
        text_preprocessor: Tokenizer | StringPreprocessor | None = None,
        temperature: LearntTemperature | dict[str, Any] | None = None,
        loss: PairLoss = "info_nce",
        logit_bias: LearntBias | dict[str, Any] | None = None,
        sub_batch: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_encoder, text_encoder, image_preprocessor, text_preprocessor, **kwargs)
        if loss not in PAIR_LOSSES:
            raise MmkerasError(f"Expected loss to be one of {', '.join(PAIR_LOSSES)}. Received: loss={loss!r}")
        if logit_bias is not None and loss != "sigmoid":
            raise MmkerasError(f'Expected logit_bias with loss = "sigmoid" alone. Received: loss={loss!r}')
        self.check_arguments(sub_batch=sub_batch)
        self.loss = loss
        self.sub_batch = sub_batch
        start = {"initial": 0.1, "lowest": 0.001} if loss == "sigmoid" else {}
        self.temperature = part(LearntTemperature, temperature, **start)
        self.logit_bias = part(LearntBias, logit_bias) if loss == "sigmoid" else None
        self.built = True

    def call(self, inputs: Arrays, training: bool | None = None) -> Tensors:
        if training or not self.sub_batch:
            return super().call(inputs, training)
        sides, towers = zip(*self.towers(inputs, training=False), strict=True)
        embeddings = embeddings_by_parts(towers, self.sub_batch)
        return {f"{side}_embedding": embedding for side, embedding in zip(sides, embeddings, strict=True)}

    def compute_losses(self, batch: Arrays, outputs: Tensors, training: bool = True) -> Tensors:
        # Of all devices: each pair is contrasted with the whole batch.
        image_id, text_id = map(gathered_from_replicas, self.ids_of(batch))
        image, text = map(gathered_from_replicas, (outputs["image_embedding"], outputs["text_embedding"]))
        if self.logit_bias is None:
            losses = info_nce(image, text, self.temperature.value, image_id, text_id)
        else:
            losses = sigmoid_contrast(image, text, self.temperature.value, self.logit_bias.value, image_id, text_id)
        return {"loss": ops.mean(losses) + sum(self.losses)}  # with regularisation that an encoder brings along

    def train_step(self, data: Any) -> dict[str, Any]:
        if not self.sub_batch:
            return super().train_step(data)
        batch = batch_of(data)

        def loss_of(image, text):
            losses = self.compute_losses(batch, {"image_embedding": image, "text_embedding": text}, training=True)
            return losses, self.scale_loss("main", losses["loss"])

        towers = [tower for _, tower in self.towers(batch, training=True)]
        losses, gradients = gradients_by_parts(towers, self.sub_batch, loss_of, self.variables_of("main"))
        self.descend("main", lambda variables: gradients)
        self.track(losses)
        return self.get_metrics_result()
