"""A guard against the state in which a triplet loss stands still: all embeddings in one point."""

from typing import Any

import keras

from mmkeras.errors import MmkerasError

LOSS_TOLERANCE = 0.01  # of twice the margin
LEAST_SPREAD = 0.05  # root of the total variance; embeddings that fill the sphere have nearly 1


class CollapseDetector(keras.callbacks.Callback):
    """Stop with advice after an epoch whose embeddings were one point: nothing is learnt from there.

    All embeddings in one place lose exactly the margin in each direction with the hardest (or semi-hard) negatives, and
    the margin times the number of negatives with `"sum"`; the gradients of all pairs cancel. So the sign is
    `embedding_spread`, and with single negatives a `triplet_loss` within one percent of twice the margin beside it. The
    model tracks both. Must stand before the callbacks that keep an epoch's row and weights.

    Raises:
        MmkerasError: the embeddings of the epoch had collapsed.

    Reference:
        Seen with hardest negatives, small batches and fine-tuning in VSE++ (Faghri et al. 2018, arXiv 1707.05612).
    """

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        model = self.model
        pinned = abs(logs["triplet_loss"] - 2 * model.margin) <= LOSS_TOLERANCE * 2 * model.margin
        if logs["embedding_spread"] < LEAST_SPREAD and (pinned or model.negatives == "sum"):
            raise MmkerasError(
                f"The embeddings collapsed into one point in epoch {epoch}: triplet_loss {logs['triplet_loss']:.4f}, "
                f"margin {model.margin}, spread {logs['embedding_spread']:.4f}. Start a new run with a stage of "
                'negatives = "sum" first, a lower learning_rate, more warmup_steps or a larger batch_size'
            )
