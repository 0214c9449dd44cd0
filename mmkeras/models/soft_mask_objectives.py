"""`SoftMaskObjectives`: the losses of `SoftMask`, over what its teacher says."""

import tensorflow as tf
from keras import ops

from mmkeras.encoders.bert import with_class_token
from mmkeras.layers.soft_masking import word_attention
from mmkeras.losses.image_text_contrastive import (
    ImageTextContrastive,
    candidate_logits,
    positive_candidates,
    soft_targets,
)
from mmkeras.losses.masked_language import IGNORED, MaskedLanguageCrossentropy
from mmkeras.losses.matching import MATCHING, MatchingCrossentropy, sample_hard_negatives

LOSSES = ("contrastive_loss", "matching_loss", "soft_matching_loss", "language_loss")


class SoftMaskObjectives:
    """What a step of `SoftMask` computes, over the parts and arguments that are described there.

    Logged are the four losses as far as they have a weight, before it; `matching_accuracy`, over positives and
    negatives without soft masks, of which one pair in three belongs together; `mask`, the mean of the soft masks;
    `temperature`; and `alpha`, the teacher's share.
    """

    @property
    def weights_of_losses(self):
        """The losses that are computed, with their weights: a dict by name."""
        weights = {loss: getattr(self, loss.replace("_loss", "_weight")) for loss in LOSSES}
        return {loss: weight for loss, weight in weights.items() if weight}

    @property
    def tracked(self):
        """Names of what is tracked."""
        computed = self.weights_of_losses
        return [
            *computed,
            *(["matching_accuracy"] if "matching_loss" in computed else []),
            *(["mask"] if "soft_matching_loss" in computed else []),
            "temperature",
            "alpha",
        ]

    def get_metrics_result(self):
        """The total and what is measured; the other trackers are at 0."""
        results = super().get_metrics_result()
        return {name: value for name, value in results.items() if name in self.tracked or name not in self.trackers}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if training:
            self.begin_step(y_pred["image_embedding"].shape[0])
        taught = self.taught(x)
        losses = self._parts_of_loss(x, y_pred, taught, training)
        self._measure(losses | {"temperature": self.temperature, "alpha": self.alpha_now})
        if training:
            self.end_step(taught, x["image_id"])
        weights = self.weights_of_losses
        # In one operation: TensorFlow reorders chains of additions, now one way, now another.
        total = [weights[name] * losses[name] for name in weights]
        return ops.sum(ops.stack([*total, *self.losses]))

    def _parts_of_loss(self, batch, encoded, taught, training):
        """Every loss that has a weight, and what else is tracked: a dict of scalars."""
        wanted, losses = self.weights_of_losses, {}
        if "contrastive_loss" in wanted:
            losses["contrastive_loss"] = self._contrastive_loss(batch["image_id"], encoded, taught)
        if set(wanted) == {"contrastive_loss"}:
            return losses
        encoded = {**encoded, "mask": self._mask_of(encoded["token_ids"])}
        training = training and self.fusion.trainable
        if self.trains_with_masks:
            fused, attention = self.fused_with_attention(encoded, training)
        else:
            tokens, patches, mask = encoded["text_tokens"], encoded["image_tokens"], encoded["mask"]
            fused, attention = self.fusion(tokens, patches, mask, training=training), None
        if "matching_loss" in wanted or "soft_matching_loss" in wanted:
            negatives = self._negatives(batch["image_id"], encoded, taught)
        if "matching_loss" in wanted:
            losses |= self._matching_losses(encoded, fused, negatives, training)
        if "soft_matching_loss" in wanted:
            losses |= self._soft_matching_losses(encoded, attention, negatives, training)
        if "language_loss" in wanted:
            losses["language_loss"] = self._language_loss(batch, encoded, fused, taught, training)
        return losses

    @property
    def trains_with_masks(self):
        """Whether training masks what words look at: `soft_matching_loss` has a weight, and `mask_mode` masks."""
        return bool(self.soft_matching_weight) and self.mask_mode != "none"

    # --- Contrast ---

    def _contrastive_loss(self, image_id, encoded, taught):
        candidates = self.candidates(taught, image_id)
        positives = positive_candidates(ops.cast(image_id, "int64"), candidates["image_id"])
        logits, teacher_logits = (self._both_ways(each, candidates, self.temperature) for each in (encoded, taught))
        targets = [soft_targets(found, positives, self.alpha_now) for found in teacher_logits]
        return ImageTextContrastive(self.gamma)(targets, logits)

    @staticmethod
    def _both_ways(embeddings, candidates, temperature):
        """Logits of each picture with the candidates' texts, and of each text with their pictures."""
        return (
            candidate_logits(embeddings["image_embedding"], candidates["text_embedding"], temperature),
            candidate_logits(embeddings["text_embedding"], candidates["image_embedding"], temperature),
        )

    # --- Matching ---

    def _mask_of(self, token_ids):
        """Where there is a token, the class token among them: bool (B, T)."""
        return ops.not_equal(with_class_token(self.text_encoder, token_ids), 0)

    def words_of(self, token_ids):
        """Which tokens a soft mask may be for: bool (B, T), all but those of special ids.

        Args:
            token_ids: int (B, L), what the text encoder takes; T is as of its tokens.
        """
        return self.token_masking.is_word(with_class_token(self.text_encoder, token_ids))

    def matching_logits(self, encoded, training=False):
        """Return the logits of whether a text describes a picture, float32 (B, 2), the second of "it does".

        Args:
            encoded: dict of `text_tokens` (B, T, W), `image_tokens` (B, 1 + N, V) and `mask`, bool (B, T).
            training: whether the fusion encoder drops out.
        """
        parts = (encoded[name] for name in ("text_tokens", "image_tokens", "mask"))
        return self.matching_head(self.fusion(*parts, class_only=True, training=training)[:, 0])

    def fused_with_attention(self, encoded, training=False):
        """Fuse each text with its picture, and see what each word looks at.

        Args:
            encoded: as of `matching_logits`.
            training: likewise.

        Returns:
            Pair: the fused tokens (B, T, W), and `word_attention` float32 (B, T, N), by the matching score of the pair
            and block `attention_block`. Only the blocks from that one on are differentiated for it.
        """
        tokens, patches, mask = encoded["text_tokens"], encoded["image_tokens"], encoded["mask"]
        block = self.attention_block
        if block:
            tokens = self.fusion(tokens, patches, mask, stop=block, training=training)
        batch, length = ops.shape(tokens)[:2]
        probe = tf.zeros((batch, self.fusion_heads, length, ops.shape(patches)[1]))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(probe)
            fused, probabilities = self.fusion(
                tokens, patches, mask, start=block, probe=probe, return_probabilities=True, training=training
            )
            score = ops.sum(self.matching_head(fused[:, 0])[:, MATCHING])
        return fused, word_attention(probabilities, tape.gradient(score, probe))

    def _negatives(self, image_id, encoded, taught):
        """A text of another picture for each picture and a picture of another id for each text, by their rows."""
        to_text, to_image = self._both_ways(encoded, taught, self.negatives_temperature or self.temperature)
        text, text_found = sample_hard_negatives(to_text, image_id, self.seed_generator)
        image, image_found = sample_hard_negatives(to_image, image_id, self.seed_generator)
        return {"text": text, "text_found": text_found, "image": image, "image_found": image_found}

    def _matching_losses(self, encoded, fused, negatives, training):
        """Of each pair, of each text with a wrong picture, and of each picture with a wrong text."""
        wrong_image = {**encoded, "image_tokens": ops.take(encoded["image_tokens"], negatives["image"], axis=0)}
        wrong = _stacked(wrong_image, _with_texts(encoded, negatives["text"]))
        logits = ops.concatenate([self.matching_head(fused[:, 0]), self.matching_logits(wrong, training)], axis=0)
        found = ops.concatenate([negatives["image_found"], negatives["text_found"]], axis=0)
        matches, weight = _answers(found, ops.shape(fused)[0])
        right = ops.cast(ops.equal(ops.argmax(logits, axis=1), ops.cast(matches, "int32")), "float32")
        return {
            "matching_loss": MatchingCrossentropy()(matches, logits, weight),
            "matching_accuracy": ops.sum(right * weight) / ops.sum(weight),
        }

    def _soft_matching_losses(self, encoded, attention, negatives, training):
        """Of each text with its masked picture, and of each masked picture with a wrong text."""
        words = self.words_of(encoded["token_ids"])
        if attention is None:
            attention = tf.zeros((*ops.shape(words), ops.shape(encoded["image_tokens"])[1] - 1))
        masked = self.soft_masking(encoded["image_tokens"], attention, words)
        encoded = {**encoded, "image_tokens": masked["tokens"]}
        logits = self.matching_logits(_stacked(encoded, _with_texts(encoded, negatives["text"])), training)
        matches, weight = _answers(negatives["text_found"], ops.shape(words)[0])
        return {
            "soft_matching_loss": MatchingCrossentropy()(matches, logits, weight),
            "mask": ops.mean(masked["mask"]),
        }

    # --- Words ---

    def _language_loss(self, batch, encoded, fused, taught, training):
        """Of the hidden words, from those around them and the picture."""
        ids, targets = encoded["token_ids"], encoded.get("targets")
        if targets is None:  # the other losses saw the whole text
            ids, targets = self.token_masking(self._text_input(batch))
            tokens = self.text_encoder(ids, training=training and self.text_encoder.trainable)["tokens"]
            fused = self.fusion(tokens, encoded["image_tokens"], self._mask_of(ids), training=training)
        logits = _word_logits(self.text_encoder, self.language_head, fused, targets)
        answers = (logits,)
        if self.alpha:
            tokens = self.teacher_text_encoder(ids, training=False)["tokens"]
            tokens = self.teacher_fusion(tokens, taught["image_tokens"], self._mask_of(ids), training=False)
            taught_logits = _word_logits(self.teacher_text_encoder, self.teacher_language_head, tokens, targets)
            answers = (logits, ops.stop_gradient(taught_logits), self.alpha_now)
        # The sum of one number; without a hidden word in the batch Keras hands back none.
        return ops.sum(MaskedLanguageCrossentropy()(tf.boolean_mask(targets, targets != IGNORED), answers))

    def _measure(self, values):
        # A loss of Keras is divided by the replicas, so that their sum is the mean.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        for name, value in values.items():
            self.trackers[name].update_state(value * replicas if name in LOSSES else value)


def _word_logits(text_encoder, head, tokens, targets):
    """Logits of the hidden words alone, (P, V): those of every place would be the step's largest tensor."""
    tokens = tokens[:, -targets.shape[1] :]  # without the class token
    table = text_encoder.get_layer("embedding").token_embedding.embeddings
    return head(tf.boolean_mask(tokens, targets != IGNORED), ops.convert_to_tensor(table))


def _with_texts(encoded, rows):
    """The same pictures with the texts of other rows."""
    return encoded | {name: ops.take(encoded[name], rows, axis=0) for name in ("text_tokens", "mask")}


def _stacked(*parts):
    names = ("text_tokens", "image_tokens", "mask")
    return {name: ops.concatenate([part[name] for part in parts], axis=0) for name in names}


def _answers(found, positives):
    """What matching should answer to so many positives and then the negatives, and the weight of each."""
    ones = ops.ones((positives,), "float32")
    found = ops.cast(found, "float32")
    return ops.concatenate([ones, ops.zeros_like(found)], axis=0), ops.concatenate([ones, found], axis=0)
