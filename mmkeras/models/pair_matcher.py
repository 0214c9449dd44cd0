"""`PairMatcher`: pictures and texts that were encoded once, and a score of any pairs of them to rank by."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import ArrayLike, NDArray

from mmkeras.data.stored_pictures import StoredPictures
from mmkeras.errors import MmkerasError
from mmkeras.progress import Progress
from mmkeras.tensors import Vectors

if TYPE_CHECKING:
    from mmkeras.models.soft_mask import SoftMask

Rows: TypeAlias = Sequence[int] | NDArray[np.integer[Any]]


class PairMatcher:
    """Encodes pictures and texts once each, and then scores pairs of them by embeddings and matching head together.

        score = log-odds of matching + cosine / temperature

    A head that learnt to tell pairs, p, from wrong ones that were drawn in proportion to q = exp(cosine / temperature)
    knows log p - log q, up to what is the same for all candidates of a query: how much likelier a pair is than its
    embeddings say. By itself that ranks a pair low which the embeddings knew already; the sum ranks by p. Where wrong
    pairs were drawn more evenly, head and embeddings are two opinions of one thing, and the sum is both.

    The tokens lie in temporary files, which are mapped into memory: they fill it as far as there is room, and beyond
    that the disk. They take P x (1 + N) x V + T x (1 + L) x W numbers of the model's type, for a picture of 100 patches
    that are 256 wide 100 kB. Of pairs, those of one call are in memory.

    Args:
        model: a model with a `fusion`, see `PairFusion`, a `temperature`, and encoders that return `tokens`.
        images: array (P, H, W, C), as its image encoder takes it.
        token_ids: int32 (T, L), as its text encoder takes it.
        batch_size: rows that are encoded at a time.

    Attributes:
        image_embedding: float32 (P, D), unit norm.
        text_embedding: float32 (T, D), unit norm.

    Call arguments:
        image_rows: int (B,), which pictures.
        text_rows: int (B,), which texts; pair i is picture `image_rows[i]` and text `text_rows[i]`.

    Returns:
        float32 (B,), finite, the higher the better.

    Raises:
        MmkerasError: no room on the disk for the tokens.

    Example:
        >>> matcher = model.matcher(images, texts)  # a `SoftMask`
        >>> matcher([0, 0, 1], [0, 1, 1])

    Reference:
        What a classifier of data against drawn noise learns: Gutmann & Hyvarinen 2010 (noise-contrastive estimation).
    """

    def __init__(
        self, model: SoftMask, images: NDArray[Any] | StoredPictures, token_ids: ArrayLike, batch_size: int = 256
    ) -> None:
        self._token_ids = np.asarray(token_ids, np.int32)
        self.image_embedding, self._image_tokens = _encoded(model.image_encoder, images, batch_size, "picture")
        self.text_embedding, self._text_tokens = _encoded(model.text_encoder, self._token_ids, batch_size, "text")
        self._temperature = float(ops.convert_to_numpy(model.temperature.value))

        @tf.function(reduce_retracing=True)
        def log_odds(image_tokens, text_tokens, token_ids):
            mask = model.text_encoder.mask_of_tokens(token_ids)
            encoded = {"image_tokens": image_tokens, "text_tokens": text_tokens, "mask": mask}
            return model.fusion.log_odds(encoded)

        self._log_odds = log_odds

    def __call__(self, image_rows: Rows, text_rows: Rows) -> Vectors:
        cosine = np.einsum("bd,bd->b", self.image_embedding[image_rows], self.text_embedding[text_rows])
        return self.log_odds(image_rows, text_rows) + cosine / self._temperature

    def log_odds(self, image_rows: Rows, text_rows: Rows) -> Vectors:
        """Return what the matching head alone says of pairs, float32 (B,), by which ALBEF ranks."""
        tokens = self._image_tokens[image_rows], self._text_tokens[text_rows]
        return self._log_odds(*map(tf.constant, tokens), tf.constant(self._token_ids[text_rows])).numpy()


def _encoded(encoder, rows, batch_size, unit):
    """Embeddings float32 (N, D), and the tokens of all rows, a memory-mapped array (N, T, W)."""
    signature = tf.TensorSpec(encoder.input.shape, encoder.input.dtype)

    @tf.function(input_signature=[signature])
    def encode(batch):
        encoded = encoder(batch, training=False)
        return encoded["embedding"], encoded["tokens"]

    embeddings = []
    bar = Progress(f"Embedding {unit}s", len(rows), unit)
    with bar, tempfile.TemporaryFile() as file:  # it has no name, and is gone with the mapping
        try:
            for start in range(0, len(rows), batch_size):
                embedding, tokens = encode(tf.cast(np.asarray(rows[start : start + batch_size]), signature.dtype))
                embeddings.append(embedding.numpy())
                bar.advance(len(embedding))
                file.write(tokens.numpy().tobytes())  # bfloat16 is no buffer
            file.flush()
        except OSError as error:
            raise MmkerasError(
                f"The tokens of {len(rows)} rows could not be kept in {tempfile.gettempdir()}: "
                f"{error.strerror or error}. TMPDIR names another folder"
            ) from error
        kept = np.memmap(file, tokens.dtype.as_numpy_dtype, "r", shape=(len(rows), *tokens.shape[1:]))
    return np.concatenate(embeddings), kept
