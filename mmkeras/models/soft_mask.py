"""`SoftMask`: contrast, matching and masked language with a momentum teacher, and text-driven soft masks."""

import keras
from keras import ops

from mmkeras.encoders.bert import with_class_token
from mmkeras.encoders.fusion import FusionEncoder
from mmkeras.errors import MmkerasError
from mmkeras.layers.kernel_initializer import kernel_initializer
from mmkeras.layers.masked_language_head import MaskedLanguageHead
from mmkeras.layers.soft_masking import SoftMasking
from mmkeras.layers.token_masking import TokenMasking
from mmkeras.losses.matching import MATCHING
from mmkeras.models.checks import boolean, not_negative, share
from mmkeras.models.image_text_model import ImageTextModel
from mmkeras.models.learnt_temperature import LearntTemperature
from mmkeras.models.momentum_taught import MomentumTaught
from mmkeras.models.pair_matcher import PairMatcher
from mmkeras.models.soft_mask_objectives import LOSSES, SoftMaskObjectives
from mmkeras.models.word_masks import WordMasks


@keras.saving.register_keras_serializable("mmkeras")
class SoftMask(SoftMaskObjectives, WordMasks, MomentumTaught, LearntTemperature, ImageTextModel):
    """A vision transformer, BERT, and a fusion encoder over both, which a slow copy of the model teaches.

    A sum of four losses, of one pass of the pictures through their encoder:

    - `contrastive_loss`: each embedding finds its partner among the teacher's embeddings of the batch and of the
      `queue`; to a share `alpha` it is to answer what the teacher does. Focal, by `gamma`.
    - `matching_loss`: the fusion encoder tells pairs from hard negatives, a wrong text for each picture and a wrong
      picture for each text, drawn by their similarity.
    - `soft_matching_loss`: the same of the pairs and the wrong texts, with pictures dimmed where the fusion encoder
      looks for a word of the right text, so that it has to find other grounds.
    - `language_loss`: hidden words are told from the others and the picture, to a share `alpha` as the teacher does.

    In training some words are hidden from all of them. The teacher sees the whole text, and `weak_image` where the
    batch has it. It, the queue and the count of steps are weights: saved, and restored in a resumed run. Embeddings
    are for search; `match` is slower, and together with them ranks the best anew, see `PairMatcher`.

    Each addition to ALBEF can be left out: `gamma` 0, `soft_matching_weight` 0, `mask_text` False (then the language
    loss has passes of its own over texts with hidden words, as there), and batches without distorted pictures.

    Args:
        image_encoder: of kind `vit`, see `ImageTextModel`.
        text_encoder: of kind `bert`, likewise.
        image_preprocessor: see `ImageTextModel`.
        text_preprocessor: see `ImageTextModel`.
        fusion_depth: blocks of the fusion encoder.
        fusion_heads: its attention heads.
        fusion_dropout: rate in its blocks.
        mlp_ratio: hidden units of its feed-forward parts over the width of the text's tokens.
        initializer_range: of its kernels and the heads', see `kernel_initializer`; `None` for narrow nets.
        attention_block: the block of the fusion encoder, from 0, whose attention makes the soft masks; not the last,
            after which words do not reach the class token.
        queue_size: pairs of earlier batches to contrast with, a multiple of the batch.
        momentum: of the teacher, in [0, 1].
        alpha: the teacher's share in what is right, in [0, 1].
        alpha_ramp_steps: steps in which it grows to that from 0, linearly.
        gamma: exponent of the focal factor, 0 or more; 0 is the plain contrast.
        mask_mode: `"soft"`, `"hard"`, `"random"` or `"none"`, see `SoftMasking`.
        mask_threshold: of `"hard"`.
        mask_text: whether all losses see the text with hidden words, or the language loss alone.
        hide_rate: share of words that are hidden, in [0, 1].
        mask_id: the token id that stands for a hidden word.
        special_ids: ids that are no words: never hidden, and never what a soft mask is for.
        contrastive_weight: of its loss, 0 or more; a loss of weight 0 is not computed.
        matching_weight: likewise.
        soft_matching_weight: likewise.
        language_weight: likewise.
        initial_temperature: where the learnt temperature of the contrast starts.
        min_temperature: the lowest that is learnt, more than 0.
        max_temperature: the highest.
        negatives_temperature: by which wrong pairs are drawn for matching: the higher, the more evenly; 0 is the
            contrast's own, as in ALBEF. A matching head that starts from nothing learns from wrong pairs that it can
            tell.
        seed: int, of masks and negatives; `None` draws one.

    Call arguments:
        inputs: dict with `image` and `token_ids` (or `text`), and for training `image_id`, and `weak_image` where there
            are two views; row i belongs to row i.

    Returns:
        dict: `image_embedding` and `text_embedding`, float32 (B, D), unit norm; `image_tokens` (B, 1 + N, V) and
        `text_tokens` (B, T, W); `token_ids` as the text encoder saw them, and in training with `mask_text` `targets`,
        int32 (B, L) both, see `TokenMasking`.

    Raises:
        MmkerasError: encoders without class tokens, an argument out of its range; in training a batch of one or one
            that does not divide the queue.

    Example:
        >>> model = SoftMask.from_preset("soft_mask_glyphs", texts=train.texts)
        >>> model.compile()
        >>> views = PictureViews(RandomShift(2), RandomDistortion(colour=False, fill=255))
        >>> model.fit(training_batches(train, 128, seed=0, augment=views), steps_per_epoch=100, epochs=10)
        >>> model.match(images, token_ids)  # (B,), in [0, 1]
        >>> model.word_masks(images, texts)[0]["mask"]  # (words, rows, columns), in [0, 1]

    Reference:
        Park & Han 2023 (arXiv 2304.00719), on Li et al. 2021 (ALBEF, arXiv 2107.07651), sections 3.1 to 3.3. We had no
        formulas of the former. Our choices: `gamma` and the form of its factor, the block, the form and the place of
        the masks, wrong texts beside the pairs in `soft_matching_loss`, weights of 1, the clean inputs of the teacher.
        Other than in ALBEF's code the teacher drops nothing out, and all candidates of a row's picture are right.
    """

    stage_arguments = {
        **{loss.replace("_loss", "_weight"): not_negative for loss in LOSSES},
        "gamma": not_negative,
        "alpha": share,
        "momentum": share,
        "mask_text": boolean,
        "negatives_temperature": not_negative,
    }

    def __init__(
        self,
        image_encoder,
        text_encoder,
        image_preprocessor=None,
        text_preprocessor=None,
        fusion_depth=6,
        fusion_heads=12,
        fusion_dropout=0.1,
        mlp_ratio=4,
        initializer_range=0.02,
        attention_block=2,
        queue_size=65536,
        momentum=0.995,
        alpha=0.4,
        alpha_ramp_steps=10_000,
        gamma=2.0,
        mask_mode="soft",
        mask_threshold=0.5,
        mask_text=True,
        hide_rate=0.15,
        mask_id=3,
        special_ids=(0, 1, 2, 3),
        contrastive_weight=1.0,
        matching_weight=1.0,
        soft_matching_weight=1.0,
        language_weight=1.0,
        initial_temperature=0.07,
        min_temperature=0.001,
        max_temperature=0.5,
        negatives_temperature=0.0,
        seed=None,
        **kwargs,
    ):
        _check_encoders(image_encoder, text_encoder)
        super().__init__(image_encoder, text_encoder, image_preprocessor, text_preprocessor, **kwargs)
        weights = {
            "contrastive_weight": contrastive_weight,
            "matching_weight": matching_weight,
            "soft_matching_weight": soft_matching_weight,
            "language_weight": language_weight,
        }
        self._check(**weights, gamma=gamma, alpha=alpha, momentum=momentum)
        self._check(mask_text=mask_text, negatives_temperature=negatives_temperature)
        if not any(weights.values()):
            raise MmkerasError("Expected a loss with a weight of more than 0. Received: none")
        if not 0 <= attention_block < fusion_depth - 1:
            raise MmkerasError(  # what a word sees in the last block never reaches the class token, and the score
                "Expected attention_block to be a block of the fusion encoder, from 0, and not its last. "
                f"Received: attention_block={attention_block}, fusion_depth={fusion_depth}"
            )
        if not 0 < min_temperature <= initial_temperature <= max_temperature:
            raise MmkerasError(
                "Expected temperatures with 0 < min_temperature <= initial_temperature <= max_temperature. Received: "
                f"min_temperature={min_temperature}, initial_temperature={initial_temperature}, "
                f"max_temperature={max_temperature}"
            )
        for name, weight in weights.items():
            setattr(self, name, weight)
        self.fusion_depth = fusion_depth
        self.fusion_heads = fusion_heads
        self.fusion_dropout = fusion_dropout
        self.mlp_ratio = mlp_ratio
        self.initializer_range = initializer_range
        self.attention_block = attention_block
        self.queue_size = queue_size
        self.momentum = momentum
        self.alpha = alpha
        self.alpha_ramp_steps = alpha_ramp_steps
        self.gamma = gamma
        self.mask_mode = mask_mode
        self.mask_threshold = mask_threshold
        self.mask_text = mask_text
        self.hide_rate = hide_rate
        self.mask_id = mask_id
        self.special_ids = tuple(special_ids)
        self.initial_temperature = initial_temperature
        self.min_temperature = min_temperature
        self.max_temperature = max_temperature
        self.negatives_temperature = negatives_temperature
        self.seed = seed
        self._build_heads(kwargs.get("dtype"))
        self._build_masks()
        self.add_teacher(queue_size)
        self.trackers = {
            name: keras.metrics.Mean(name) for name in (*LOSSES, "matching_accuracy", "mask", "temperature", "alpha")
        }
        self.built = True

    def _build_heads(self, dtype):
        widths = [encoder.output["tokens"].shape[-1] for encoder in (self.text_encoder, self.image_encoder)]
        tokens = (None, None, widths[0])
        self.fusion = FusionEncoder(
            self.fusion_depth,
            self.fusion_heads,
            self.mlp_ratio,
            self.fusion_dropout,
            self.initializer_range,
            dtype=dtype,
            name="fusion",
        )
        self.fusion.build(tokens, (None, None, widths[1]))
        # float32 also under mixed precision: a gradient for masks, and a score to rank by.
        kernel = kernel_initializer(self.initializer_range)
        self.matching_head = keras.layers.Dense(2, kernel_initializer=kernel, dtype="float32", name="matching_head")
        self.matching_head.build((None, widths[0]))
        vocabulary = self.text_encoder.get_layer("embedding").vocabulary_size
        self.language_head = MaskedLanguageHead(
            vocabulary, initializer_range=self.initializer_range, dtype=dtype, name="language_head"
        )
        self.language_head.build((None, widths[0]), (vocabulary, widths[0]))
        self.add_temperature(self.initial_temperature, self.min_temperature, self.max_temperature)

    def _build_masks(self):
        vocabulary = self.text_encoder.get_layer("embedding").vocabulary_size
        self.token_masking = TokenMasking(
            vocabulary, self.mask_id, self.special_ids, self.hide_rate, seed=self.seed, name="token_masking"
        )
        self.soft_masking = SoftMasking(self.mask_mode, self.mask_threshold, seed=self.seed, name="soft_masking")
        self.seed_generator = keras.random.SeedGenerator(self.seed)

    # --- Parts ---

    @property
    def parts(self):
        heads = {name: getattr(self, name) for name in ("fusion", "matching_head", "language_head")}
        return {**super().parts, **heads}

    # --- Calls ---

    def call(self, inputs, training=None):
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
            **targets,
        }

    def match(self, images, token_ids):
        """Score pairs by the fusion encoder: the probability that the text describes the picture.

        Args:
            images: (B, H, W, C).
            token_ids: int (B, L).

        Returns:
            float32 (B,), in [0, 1].
        """
        image, text = self.image_encoder(images, training=False), self.text_encoder(token_ids, training=False)
        return self.match_tokens(image["tokens"], text["tokens"], token_ids)

    def match_tokens(self, image_tokens, text_tokens, token_ids):
        """Score pairs whose encoders were run before, as `match` does: to rank many candidates, encode each once.

        Args:
            image_tokens: (B, 1 + N, V), of the image encoder.
            text_tokens: (B, T, W), of the text encoder.
            token_ids: int (B, L), what that one took.

        Returns:
            float32 (B,), in [0, 1].
        """
        return ops.sigmoid(self.match_log_odds(image_tokens, text_tokens, token_ids))

    def match_log_odds(self, image_tokens, text_tokens, token_ids):
        """Return the log-odds of what `match_tokens` returns, float32 (B,); likely pairs differ here too."""
        mask = ops.not_equal(with_class_token(self.text_encoder, token_ids), 0)
        logits = self.matching_logits({"image_tokens": image_tokens, "text_tokens": text_tokens, "mask": mask})
        return logits[:, MATCHING] - logits[:, 1 - MATCHING]

    def matcher(self, images, texts, batch_size=256):
        """Encode pictures and texts once, to score any pairs of them: what an evaluation re-ranks by.

        Args:
            images: as of `encode_image`.
            texts: as of `encode_text`.
            batch_size: rows that are encoded at a time.

        Returns:
            `PairMatcher`.
        """
        return PairMatcher(self, self.checked_images(images), self.checked_texts(texts), batch_size)

    # --- Config ---

    def get_config(self):
        names = (
            "fusion_depth",
            "fusion_heads",
            "fusion_dropout",
            "mlp_ratio",
            "initializer_range",
            "attention_block",
            "queue_size",
            "momentum",
            "alpha",
            "alpha_ramp_steps",
            "gamma",
            "mask_mode",
            "mask_threshold",
            "mask_text",
            "hide_rate",
            "mask_id",
            "contrastive_weight",
            "matching_weight",
            "soft_matching_weight",
            "language_weight",
            "initial_temperature",
            "min_temperature",
            "max_temperature",
            "negatives_temperature",
            "seed",
        )
        config = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **config, "special_ids": list(self.special_ids)}


def _check_encoders(image_encoder, text_encoder):
    for name, encoder, kind, layer in (
        ("image_encoder", image_encoder, "vit", "patch_embedding"),
        ("text_encoder", text_encoder, "bert", "embedding_norm"),
    ):
        if layer not in {found.name for found in encoder.layers}:
            raise MmkerasError(f"Expected {name} of kind {kind!r}, with a class token. Received: {name} without one")
