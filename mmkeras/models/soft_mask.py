"""`SoftMask`: contrast, matching and masked language with a momentum teacher, and text-driven soft masks."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from mmkeras.data.paired import PairedData
from mmkeras.encoders.encoder import Encoder
from mmkeras.errors import MmkerasError
from mmkeras.layers.masked_language_head import MaskedLanguageHead
from mmkeras.layers.replicas import weighted_mean
from mmkeras.layers.soft_masking import SoftMasking
from mmkeras.layers.token_masking import TokenMasking
from mmkeras.losses.image_text_contrastive import image_text_contrast, soft_targets
from mmkeras.losses.masked_language import IGNORED, masked_language_crossentropy
from mmkeras.losses.shared_ids import share_id
from mmkeras.models.batch_checks import batch_of
from mmkeras.models.batch_encoder import Pictures, Texts
from mmkeras.models.checks import boolean, not_negative
from mmkeras.models.image_text_model import ImageTextModel
from mmkeras.models.learnt_temperature import LearntTemperature
from mmkeras.models.momentum_teacher import MomentumTeacher
from mmkeras.models.pair_fusion import PairFusion
from mmkeras.models.pair_matcher import PairMatcher
from mmkeras.models.staged_model import part, total
from mmkeras.models.word_masks import word_masks
from mmkeras.models.wrong_pairs import both_ways, wrong_pairs
from mmkeras.preprocessing import ImagePreprocessor, StringPreprocessor, TextPreprocessor, Tokenizer
from mmkeras.tensors import Array, Arrays, Tensor, TensorLike, Tensors

LOSSES = ("contrastive", "matching", "soft_matching", "language")


@keras.saving.register_keras_serializable("mmkeras")
class SoftMask(ImageTextModel):
    """A vision transformer, BERT and a fusion encoder over both, with a slow copy of the model as their teacher.

    A step descends on a weighted sum of four losses, of one pass of the images through their encoder:

    - `contrastive_loss`: each embedding finds its partner among the teacher's embeddings of the batch and of its queue;
      to a share `alpha` it is to answer what the teacher does. Focal, by `gamma`.
    - `matching_loss`: the fusion encoder tells pairs from hard negatives, a wrong text for each image and a wrong image
      for each text, drawn by their similarity.
    - `soft_matching_loss`: the same of the pairs and the wrong texts, with images dimmed where the fusion encoder looks
      for a word of the right text, so that it has to find other grounds.
    - `language_loss`: hidden words are told from the others and the image, to a share `alpha` as the teacher does.

    In training some words are hidden from all of them. The teacher sees the whole text, and `weak_image` where the
    batch has it; what it holds is saved, and restored in a resumed run. Embeddings are for search; `match` is slower,
    and together with them ranks the best anew, see `PairMatcher`. Each addition to ALBEF can be left out: `gamma` 0,
    weight of `soft_matching` 0, `mask_text` False (then the language loss has passes of its own over texts with hidden
    words, as there), and batches without distorted images.

    Args:
        image_encoder: `Encoder` of kind `vit`, see `ImageTextModel`.
        text_encoder: `Encoder` of kind `bert`, see `ImageTextModel`.
        image_preprocessor: see `ImageTextModel`.
        text_preprocessor: see `ImageTextModel`.
        fusion: `PairFusion`, or a dict of its arguments.
        teacher: `MomentumTeacher`, or a dict of its arguments.
        temperature: `LearntTemperature`, or a dict of its arguments; by default as ALBEF's, not its logarithm.
        token_masking: `TokenMasking`, which hides words, or a dict of its arguments, but for the vocabulary's size; by
            default the tokenizer's ids, of `TextPreprocessor` 3 to hide a word and 0 to 3 that are no words.
        soft_masking: `SoftMasking`, or a dict of its arguments.
        gamma: exponent of the focal factor, 0 or more; 0 is the plain contrast.
        mask_text: whether all losses see the text with hidden words, or the language loss alone.
        negatives_temperature: temperature by which wrong pairs are drawn for matching: the higher, the more evenly; 0
            takes the contrast's own, as in ALBEF. A matching head that starts from nothing learns from wrong pairs that
            it can tell.
        loss_weights: dict of the weights of the losses, `contrastive`, `matching`, `soft_matching` and `language`, 0 or
            more, 1 where left out; a loss of weight 0 is not computed.
        seed: int, of masks and negatives; `None` draws one.

    Call arguments:
        inputs: dict with `image` and `token_ids` (or `text`), and for training `weak_image` where there are two views
            and the ids of `batch_ids` where there are some; row i belongs to row i.

    Returns:
        dict: `image_embedding` and `text_embedding`, float32 (B, D), unit norm; `image_tokens` (B, 1 + N, V) and
        `text_tokens` (B, T, W); `token_ids` as the text encoder saw them, `mask`, bool (B, T), where there is a token,
        and in training with `mask_text` `targets`, int32 (B, L), see `TokenMasking`.

    Raises:
        MmkerasError: encoders without class tokens, an argument out of its range; in training a batch of one or one
            that does not divide the queue.

    Example:
        >>> model = SoftMask.from_preset("soft_mask_glyphs", texts=train.texts)
        >>> model.compile()
        >>> views = PictureViews(RandomShift(2), RandomDistortion(colour=False, fill=255))
        >>> model.fit(training_batches(train, 128, seed=0, augment=views), steps_per_epoch=100, epochs=10)
        >>> model.match(images, token_ids)  # (B,), in [0, 1]

    Reference:
        Park & Han 2023 (arXiv 2304.00719), on Li et al. 2021 (ALBEF, arXiv 2107.07651), sections 3.1 to 3.3. We had no
        formulas of the former. Our choices: `gamma` and the form of its factor, the block, the form and the place of
        the masks, wrong texts beside the pairs in `soft_matching_loss`, weights of 1, the clean inputs of the teacher.
        Other than in ALBEF's code the teacher drops nothing out, and all candidates of a row's image are right.
    """

    temperature: LearntTemperature
    teacher: MomentumTeacher
    stage_arguments = {
        "loss_weights": dict.fromkeys(LOSSES, not_negative),
        "gamma": not_negative,
        "mask_text": boolean,
        "negatives_temperature": not_negative,
        "teacher": MomentumTeacher.stage_arguments,
    }

    def __init__(
        self,
        image_encoder: Encoder,
        text_encoder: Encoder,
        image_preprocessor: ImagePreprocessor | None = None,
        text_preprocessor: Tokenizer | StringPreprocessor | None = None,
        fusion: PairFusion | dict[str, Any] | None = None,
        teacher: MomentumTeacher | dict[str, Any] | None = None,
        temperature: LearntTemperature | dict[str, Any] | None = None,
        token_masking: TokenMasking | dict[str, Any] | None = None,
        soft_masking: SoftMasking | dict[str, Any] | None = None,
        gamma: float = 2.0,
        mask_text: bool = True,
        negatives_temperature: float = 0.0,
        loss_weights: dict[str, float] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_encoder, text_encoder, image_preprocessor, text_preprocessor, **kwargs)
        if image_encoder.token_grid is None:
            raise MmkerasError(
                "Expected image_encoder of kind 'vit' without registers, or of 'backbone' or 'pretrained' with "
                "class_token = true, whose tokens are a class token and a grid. Received: another"
            )
        if not text_encoder.blocks or not text_encoder.blocks[0].post_norm:
            raise MmkerasError("Expected text_encoder of kind 'bert', with a class token. Received: one without one")
        self.loss_weights = {**dict.fromkeys(LOSSES, 1.0), **(loss_weights or {})}
        self.check_arguments(loss_weights=self.loss_weights)
        self.check_arguments(gamma=gamma, mask_text=mask_text, negatives_temperature=negatives_temperature)
        if not any(self.loss_weights.values()):
            raise MmkerasError("Expected a loss with a weight of more than 0. Received: none")
        self.gamma = gamma
        self.mask_text = mask_text
        self.negatives_temperature = negatives_temperature
        self.seed = seed
        width, vocabulary = text_encoder.output["tokens"].shape[-1], text_encoder.token_embedding.vocabulary_size
        self.fusion = part(PairFusion, fusion, dtype=kwargs.get("dtype"))
        if not self.fusion.built:
            self.fusion.build((None, None, width), image_encoder.output["tokens"].shape)
        head: dict[str, Any] = {"initializer_range": self.fusion.initializer_range, "dtype": kwargs.get("dtype")}
        self.language_head = MaskedLanguageHead(vocabulary, name="language_head", **head)
        self.language_head.build((None, width), (vocabulary, width))
        self.temperature = part(LearntTemperature, temperature, lowest=0.001, highest=0.5, logarithmic=False)
        ids = text_preprocessor if isinstance(text_preprocessor, Tokenizer) else TextPreprocessor
        hidden = {"vocabulary_size": vocabulary, "mask_id": ids.mask_id, "special_ids": ids.special_ids, "seed": seed}
        self.token_masking = part(TokenMasking, token_masking, name="token_masking", **hidden)
        self.soft_masking = part(SoftMasking, soft_masking, name="soft_masking", seed=seed)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.teacher = part(MomentumTeacher, teacher)
        self.teacher.copy(self.students)
        names = (*(f"{loss}_loss" for loss in LOSSES), "matching_accuracy", "mask", "temperature", "alpha")
        self.trackers = {name: keras.metrics.Mean(name) for name in names}
        self.built = True

    @classmethod
    def arguments_for(cls, data: PairedData) -> dict[str, Any]:
        return {**super().arguments_for(data), "teacher": {"ids": max((2, *data.image_id.shape[1:]))}}

    # --- Parts ---

    @property
    def parts(self) -> dict[str, keras.layers.Layer]:
        return {**super().parts, "fusion": self.fusion, "language_head": self.language_head}

    @property
    def students(self) -> dict[str, keras.layers.Layer]:
        """The parts that the teacher copies, by name."""
        return {**self.given_encoders(), "fusion": self.fusion.encoder, "language_head": self.language_head}

    def kept_for_training(self) -> dict[str, list[keras.Variable]]:
        return self.teacher.kept_for_training()

    # --- Calls ---

    def call(self, inputs: Arrays, training: bool | None = None) -> Tensors:
        token_ids, targets = self._text_input(inputs), {}
        if training and self.mask_text:
            token_ids, targets["targets"] = self.token_masking(token_ids)
        image = self.image_encoder(inputs["image"], training=bool(training) and self.image_encoder.trainable)
        text = self.text_encoder(token_ids, training=bool(training) and self.text_encoder.trainable)
        return {
            "image_embedding": image["embedding"],
            "text_embedding": text["embedding"],
            "image_tokens": image["tokens"],
            "text_tokens": text["tokens"],
            "token_ids": token_ids,
            "mask": self.text_encoder.mask_of_tokens(token_ids),
            **targets,
        }

    def match(self, images: Array, token_ids: Array) -> Tensor:
        """Score pairs by the fusion encoder: the probability, float32 (B,), that a text describes its image."""
        encoded = self({"image": images, "token_ids": token_ids}, training=False)
        return ops.sigmoid(self.fusion.log_odds(encoded))

    def matcher(self, images: Pictures, texts: Texts, batch_size: int = 256) -> PairMatcher:
        """Encode images and texts once, to score any pairs of them: what an evaluation re-ranks by.

        Args:
            images: P pictures, see `encode_image`.
            texts: T texts, see `encode_text`.
            batch_size: rows that are encoded at a time.

        Returns:
            `PairMatcher`.
        """
        encoder = self.batch_encoder
        return PairMatcher(self, encoder.checked_images(images), encoder.checked_texts(texts), batch_size)

    def word_masks(self, images: Array, texts: str | list[str]) -> list[dict[str, Any]]:
        """Return what each word of a text looks at, and the soft mask that training makes of it, see `word_masks`."""
        return word_masks(self, images, texts)

    def words_of(self, token_ids: TensorLike) -> Tensor:
        """Return which tokens a soft mask may be for: bool (B, T), all but those of special ids.

        Args:
            token_ids: int (B, L), what the text encoder takes; T tokens stand behind them.
        """
        return self.token_masking.is_word(self.text_encoder.ids_of_tokens(token_ids))

    # --- Losses ---

    @property
    def trains_with_masks(self) -> bool:
        """Whether training masks what words look at: `soft_matching` has a weight, and `soft_masking` masks."""
        return bool(self.loss_weights["soft_matching"]) and self.soft_masking.mask_mode != "none"

    @property
    def tracked(self) -> tuple[str, ...]:
        """The losses that have a weight, the matching's accuracy, the mean of the soft masks, and two values of now."""
        wanted = [loss for loss in LOSSES if self.loss_weights[loss]]
        beside = {"matching": "matching_accuracy", "soft_matching": "mask"}
        losses = (f"{loss}_loss" for loss in wanted)
        return (*losses, *(name for loss, name in beside.items() if loss in wanted), "temperature", "alpha")

    def compute_losses(self, batch: Arrays, outputs: Tensors, training: bool = True) -> Tensors:
        return self._measured(batch, outputs, self._taught(batch), training)

    def _taught(self, batch):
        """What the teacher makes of the weak view, where there is one, and of the whole texts."""
        return self.teacher(batch.get("weak_image", batch["image"]), self._text_input(batch))

    def _measured(self, batch, encoded, taught, training):
        """Every loss that has a weight, and what else is tracked: a dict of scalars."""
        weights = {loss: weight for loss, weight in self.loss_weights.items() if weight}
        ids = self.ids_of(batch)
        measured = {"temperature": self.temperature.value, "alpha": self.teacher.alpha_now}
        if "contrastive" in weights:
            measured["contrastive_loss"] = self._contrastive_loss(ids, encoded, taught)
        if set(weights) != {"contrastive"}:
            training = training and self.fusion.trainable
            if self.trains_with_masks:
                fused, attention = self.fusion.with_attention(encoded, training)
            else:
                fused, attention = self.fusion(encoded, training=training), None
            if "matching" in weights or "soft_matching" in weights:
                temperature = self.negatives_temperature or self.temperature.value
                negatives = wrong_pairs(ids, encoded, taught, temperature, self.seed_generator)
            if "matching" in weights:
                measured |= self.fusion.matching_losses(encoded, fused, negatives, training)
            if "soft_matching" in weights:
                masked = self._masked(encoded, attention)
                loss = self.fusion.soft_matching_loss(encoded, masked["tokens"], negatives, training)
                measured |= {"soft_matching_loss": loss, "mask": ops.mean(masked["mask"])}
            if "language" in weights:
                measured["language_loss"] = self._language_loss(batch, encoded, fused, taught, training)
        weighted = [weight * measured[f"{loss}_loss"] for loss, weight in weights.items()]
        return measured | {"loss": total([*weighted, *self.losses])}

    def _contrastive_loss(self, ids, encoded, taught):
        candidates = self.teacher.candidates(taught, *ids)
        positives = share_id(ids[0], candidates["text_id"]), share_id(ids[1], candidates["image_id"])
        temperature, alpha = self.temperature.value, self.teacher.alpha_now
        logits, teacher_logits = (both_ways(each, candidates, temperature) for each in (encoded, taught))
        targets = [soft_targets(*direction, alpha) for direction in zip(teacher_logits, positives, strict=True)]
        return ops.mean(image_text_contrast(logits, targets, self.gamma))

    def _masked(self, encoded, attention):
        """What `soft_masking` makes of the images, for one word of each text."""
        words = self.words_of(encoded["token_ids"])
        if attention is None:
            attention = tf.zeros((*ops.shape(words), ops.shape(encoded["image_tokens"])[1] - 1))
        return self.soft_masking(encoded["image_tokens"], attention, words)

    def _language_loss(self, batch, encoded, fused, taught, training):
        """Of the hidden words, from those around them and the image."""
        ids, targets = encoded["token_ids"], encoded.get("targets")
        if targets is None:  # the other losses saw the whole text
            ids, targets = self.token_masking(self._text_input(batch))
            tokens = self.text_encoder(ids, training=training and self.text_encoder.trainable)["tokens"]
            fused = self.fusion({**encoded, "text_tokens": tokens}, training=training)  # as many words as before
        logits = _word_logits(self.text_encoder, self.language_head, fused, targets, training)
        answers = (logits,)
        if self.teacher.alpha:
            copies = self.teacher.copies
            tokens = copies["text_encoder"](ids, training=False)["tokens"]
            tokens = copies["fusion"](tokens, taught["image_tokens"], encoded["mask"], training=False)
            taught_logits = _word_logits(copies["text_encoder"], copies["language_head"], tokens, targets)
            answers = (logits, ops.stop_gradient(taught_logits), self.teacher.alpha_now)
        losses = masked_language_crossentropy(tf.boolean_mask(targets, targets != IGNORED), *answers)
        return weighted_mean(losses, ops.ones_like(losses))

    # --- Training ---

    def train_step(self, data: Any) -> dict[str, Any]:
        batch = batch_of(data)
        with tf.GradientTape() as tape:
            encoded = self(batch, training=True)
            with tape.stop_recording():  # after the pass, as in ALBEF: its batch statistics are the teacher's too
                self.teacher.follow(self.students, batch["image"].shape[0])
                taught = self._taught(batch)
            losses = self._measured(batch, encoded, taught, training=True)
            scaled_loss = self.scale_loss("main", losses["loss"])
        self.descend("main", lambda variables: tape.gradient(scaled_loss, variables))
        self.teacher.remember(taught, *self.ids_of(batch))
        self.track(losses)
        return self.get_metrics_result()


def _word_logits(text_encoder, head, tokens, targets, training=False):
    """Logits of the hidden words alone, (P, V): those of every place would be the step's largest tensor."""
    tokens = tokens[:, -targets.shape[1] :]  # without the class token
    table = text_encoder.token_embedding.token_embedding.embeddings
    return head(tf.boolean_mask(tokens, targets != IGNORED), ops.convert_to_tensor(table), training=training)
