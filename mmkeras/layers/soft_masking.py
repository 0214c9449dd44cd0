"""Text-driven soft masks: where a model looks for a word is dimmed, and the rest has to answer."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.layers.replicas import gathered_from_replicas, own_rows, total_rows
from mmkeras.tensors import Array, Shape, Tensor, TensorLike

MaskMode: TypeAlias = Literal["soft", "hard", "random", "none"]

MASK_MODES = get_args(MaskMode)
OUT = -1e9  # a logit that is never drawn beside another
NO_WORD = -1


def word_attention(probabilities: Array, gradient: Array) -> Tensor:
    """Grad-CAM of each word over the picture's patches.

        cam_lp = mean over heads h of  relu(gradient_hlp) probabilities_hlp

    Args:
        probabilities: (B, H, L, 1 + N), of a cross-attention, of each word over the picture's tokens, its class token
            first, before dropout.
        gradient: of the same shape, d score / d probabilities.

    Returns:
        float32 (B, L, N), 0 or more, without the class token. No gradient comes through.

    Reference:
        Selvaraju et al. 2017 (Grad-CAM, arXiv 1610.02391), on cross-attention as in Li et al. 2021 (ALBEF, arXiv
        2107.07651), section 5 of the text and the authors' grounding code.
    """
    probabilities = ops.cast(probabilities[..., 1:], "float32")  # (B, H, L, N)
    gradient = ops.cast(gradient[..., 1:], "float32")
    return ops.stop_gradient(ops.mean(ops.relu(gradient) * probabilities, axis=1))


def normalized_attention(attention: TensorLike, epsilon: float = 1e-12) -> Tensor:
    """Stretch each row to [0, 1], from its least to its greatest value.

    Args:
        attention: (..., N).
        epsilon: a row whose values lie no further apart is 0 everywhere. A gradient's size has no meaning, and is
            often below 1e-6: not a value to add to a denominator.

    Returns:
        float32 (..., N), in [0, 1].
    """
    attention = ops.cast(attention, "float32")
    low = ops.min(attention, axis=-1, keepdims=True)
    spread = ops.max(attention, axis=-1, keepdims=True) - low
    known = spread > epsilon
    return ops.where(known, (attention - low) / ops.where(known, spread, 1.0), 0.0)


def masked_image_tokens(image_tokens: Array, mask: TensorLike) -> Tensor:
    """Attenuate patches, and leave the class token, which is first, as it is.

    Args:
        image_tokens: (B, 1 + N, W).
        mask: (B, N), in [0, 1]; 1 takes a patch away.

    Returns:
        (B, 1 + N, W), in the dtype of `image_tokens`. Gradients reach the tokens, and not the mask.
    """
    kept = ops.cast(1 - ops.stop_gradient(ops.cast(mask, "float32")), image_tokens.dtype)
    patches = image_tokens[:, 1:] * ops.expand_dims(kept, -1)  # (B, N, W)
    return ops.concatenate([image_tokens[:, :1], patches], axis=1)


@keras.saving.register_keras_serializable("mmkeras")
class SoftMasking(ConfigFromSignature, keras.layers.Layer):
    """Attenuate in each picture what the model looks at for one word of its text, drawn at random.

    Draws come from a `keras.random.SeedGenerator`, whose state is one of the model's variables: a checkpoint holds it.

    Args:
        mask_mode: `"soft"` multiplies each patch by 1 minus its normalised attention; `"hard"` removes the patches
            whose normalised attention reaches `threshold`, and keeps the others; `"random"` shuffles the soft mask over
            the patches: as much is taken, wherever; `"none"` takes nothing.
        threshold: normalised attention from which `"hard"` removes a patch, in (0, 1].
        seed: int.

    Call arguments:
        image_tokens: (B, 1 + N, W), the class token first.
        attention: (B, L, N), 0 or more: see `word_attention`.
        words: bool (B, L), which tokens of the text may be drawn: no padding, special or hidden one. A row without
            any keeps its picture.

    Returns:
        dict: `tokens` (B, 1 + N, W), in the dtype of `image_tokens`; `mask` float32 (B, N), in [0, 1]; `word` int32
        (B,), the place of the word that was drawn, -1 where there is none.

    Raises:
        ValueError: a mode that does not exist, a threshold outside (0, 1].

    Example:
        >>> with tf.GradientTape(watch_accessed_variables=False) as tape:
        ...     tape.watch(probe)
        ...     score = ops.sum(head(upper_blocks(tokens, probe))[:, 1])
        >>> attention = word_attention(probabilities, tape.gradient(score, probe))
        >>> masked = SoftMasking()(image_tokens, attention, masking.is_word(masked_ids))

    Reference:
        Park & Han 2023 (arXiv 2304.00719): a random word-wise Grad-CAM of the positive matching score, normalised. The
        paper's formulas were not to be had: min-max over the patches, the place (the encoder's output tokens), the
        class token left alone and the draw among words only are our choice.
    """

    def __init__(
        self,
        mask_mode: MaskMode = "soft",
        threshold: float = 0.5,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # half precision would turn small attentions into 0
        if mask_mode not in MASK_MODES:
            raise ValueError(f"Expected mask_mode to be one of {', '.join(MASK_MODES)}. Received: {mask_mode!r}")
        if not 0 < threshold <= 1:
            raise ValueError(f"Expected a threshold in (0, 1]. Received: threshold={threshold}")
        self.mask_mode = mask_mode
        self.threshold = threshold
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def build(self, *shapes: Shape) -> None:
        self.built = True

    def call(self, image_tokens: Array, attention: TensorLike, words: TensorLike) -> dict[str, Tensor]:
        word = self._drawn(words)
        mask = self.mask_of(attention, word)
        tokens = image_tokens if self.mask_mode == "none" else masked_image_tokens(image_tokens, mask)
        return {"tokens": tokens, "mask": mask, "word": word}

    def _drawn(self, words):
        """The place of a word in each row, uniform over `words`, int32 (B,)."""
        words = ops.cast(words, "bool")
        logits = gathered_from_replicas(ops.where(words, 0.0, OUT))  # as one device draws
        word = keras.random.categorical(logits, 1, dtype="int32", seed=self.seed_generator)
        word = own_rows(word, ops.shape(words)[0])
        return ops.where(ops.any(words, axis=1), ops.squeeze(word, axis=1), NO_WORD)

    def mask_of(self, attention: TensorLike, word: TensorLike, seed: int | None = None) -> Tensor:
        """Return the mask of given words.

        Args:
            attention: (B, L, N), see the call.
            word: int (B,), the place of the word whose mask it is; -1 for none, and nothing taken.
            seed: int, of the shuffling of `"random"`; `None` draws from the layer's own state, as the call does.

        Returns:
            float32 (B, N), in [0, 1]. No gradient comes through.
        """
        word = ops.convert_to_tensor(word, "int32")
        place = ops.reshape(ops.maximum(word, 0), (-1, 1, 1))
        chosen = ops.squeeze(ops.take_along_axis(ops.cast(attention, "float32"), place, axis=1), axis=1)  # (B, N)
        mask = ops.where(ops.expand_dims(word == NO_WORD, 1), 0.0, normalized_attention(chosen))
        if self.mask_mode == "hard":
            mask = ops.cast(mask >= self.threshold, "float32")
        elif self.mask_mode == "random":
            seed = self.seed_generator if seed is None else seed
            rows, patches = ops.shape(mask)
            draw = keras.random.uniform((total_rows(rows), patches), seed=seed)
            order = ops.argsort(own_rows(draw, rows), axis=1)
            mask = ops.take_along_axis(mask, order, axis=1)
        elif self.mask_mode == "none":
            mask = ops.zeros_like(mask)
        return ops.stop_gradient(mask)

    def compute_output_spec(
        self, image_tokens: keras.KerasTensor, attention: keras.KerasTensor, words: keras.KerasTensor
    ) -> dict[str, keras.KerasTensor]:
        batch, tokens = image_tokens.shape[:2]
        patches = None if tokens is None else tokens - 1
        return {
            "tokens": keras.KerasTensor(image_tokens.shape, image_tokens.dtype),
            "mask": keras.KerasTensor((batch, patches), "float32"),
            "word": keras.KerasTensor((batch,), "int32"),
        }
