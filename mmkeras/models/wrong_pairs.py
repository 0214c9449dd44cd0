"""What a matching head learns to tell from the pairs of a batch: for each row a wrong partner that looks right."""

from __future__ import annotations

import keras
from keras import ops

from mmkeras.layers.replicas import gathered_from_replicas, own_rows
from mmkeras.losses.image_text_contrastive import candidate_logits
from mmkeras.losses.matching import sample_hard_negatives
from mmkeras.losses.shared_ids import share_id
from mmkeras.tensors import Arrays, Tensor, TensorLike, Tensors

EMBEDDINGS = ("image_embedding", "text_embedding")


def both_ways(embeddings: Arrays, candidates: Arrays, temperature: TensorLike) -> tuple[Tensor, Tensor]:
    """Return logits of each image with the candidates' texts, and of each text with their images.

    Args:
        embeddings: dict with `image_embedding` and `text_embedding` (B, D).
        candidates: dict with the same (C, D).
        temperature: positive scalar.

    Returns:
        Pair of float32 (B, C).
    """
    to_text, to_image = EMBEDDINGS, EMBEDDINGS[::-1]
    one, other = (candidate_logits(embeddings[a], candidates[b], temperature) for a, b in (to_text, to_image))
    return one, other


def wrong_pairs(
    ids: tuple[Tensor, Tensor],
    encoded: Arrays,
    taught: Arrays,
    temperature: TensorLike,
    seed: keras.random.SeedGenerator,
) -> Tensors:
    """Draw a text for each image, and an image for each text, that is no right answer: the likelier the closer.

    They are drawn from the whole batch, that of all devices which share a step, as one device draws them.

    Args:
        ids: of images and texts, int64 (B,) or (B, S) each, see `batch_ids`.
        encoded: dict with the embeddings of a batch, (B, D).
        taught: dict with those that a teacher made of it.
        temperature: positive scalar: the higher, the more evenly.
        seed: what draws.

    Returns:
        dict: `text` and `image`, int32 (B,), their rows in the whole batch, and `text_found` and `image_found`, bool
        (B,), whether there is one.
    """
    rows = ops.shape(encoded["image_embedding"])[0]
    related = share_id(*map(gathered_from_replicas, ids))
    encoded, taught = (
        {name: gathered_from_replicas(ops.stop_gradient(each[name])) for name in EMBEDDINGS}
        for each in (encoded, taught)
    )
    to_text, to_image = both_ways(encoded, taught, temperature)
    text, text_found = sample_hard_negatives(to_text, related, seed)
    image, image_found = sample_hard_negatives(to_image, ops.transpose(related), seed)
    drawn = {"text": text, "text_found": text_found, "image": image, "image_found": image_found}
    return {name: own_rows(whole, rows) for name, whole in drawn.items()}
