"""`MomentumTeacher`: a slow copy of a model, its teacher, and a queue of the embeddings that the copy made before."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from mmkeras._config import ConfigFromSignature
from mmkeras.errors import MmkerasError
from mmkeras.layers.feature_queue import FeatureQueue
from mmkeras.layers.momentum import momentum_copy, momentum_update
from mmkeras.layers.replicas import gathered_from_replicas, replica_count
from mmkeras.models.checks import at_least_one, share
from mmkeras.tensors import Array, Tensor, TensorLike, Tensors


@keras.saving.register_keras_serializable("mmkeras")
class MomentumTeacher(ConfigFromSignature, keras.layers.Layer):
    """Copies of a model's parts that follow it slowly, the queue of their embeddings, and the count of steps.

    All of them are weights that no optimizer moves. The copies drop nothing out. A step of training calls `follow`
    before the teacher itself, and `remember` at its end.

    Args:
        momentum: what the copies keep of themselves in a step, in [0, 1].
        queue_size: pairs of earlier batches to contrast with, a multiple of the batch, 1 or more.
        alpha: the teacher's share in what is right, in [0, 1].
        alpha_ramp_steps: steps in which that share grows from 0 to `alpha`, linearly.
        ids: ids that a picture of a batch may have, see `FeatureQueue`.

    Attributes:
        copies: dict from the name of a part to its copy, once there are any, see `copy`.

    Call arguments:
        image: images (B, H, W, C), as the image encoder takes them.
        text: token ids int (B, L), as the text encoder takes them.

    Returns:
        dict: `image_tokens` (B, 1 + N, V), `image_embedding` and `text_embedding`, (B, D). No gradient comes through.

    Raises:
        MmkerasError: a share outside [0, 1], a queue of no pairs.

    Example:
        >>> teacher = MomentumTeacher(momentum=0.995, queue_size=65536)
        >>> teacher.copy({"image_encoder": image_encoder, "text_encoder": text_encoder})

    Reference:
        He et al. 2020 (MoCo, arXiv 1911.05722), section 3.2; Li et al. 2021 (ALBEF, arXiv 2107.07651), section 3.3.
    """

    stage_arguments = {"momentum": share, "alpha": share}

    def __init__(
        self,
        momentum: float = 0.995,
        queue_size: int = 65536,
        alpha: float = 0.4,
        alpha_ramp_steps: int = 10_000,
        ids: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "teacher", "autocast": False, **kwargs})
        share("momentum", momentum)
        share("alpha", alpha)
        at_least_one("queue_size", queue_size)
        at_least_one("ids", ids)
        self.momentum = momentum
        self.queue_size = queue_size
        self.alpha = alpha
        self.alpha_ramp_steps = alpha_ramp_steps
        self.ids = ids
        self.copies: dict[str, keras.layers.Layer] = {}

    def copy(self, students: Mapping[str, keras.layers.Layer]) -> None:
        """Copy the parts that are taught, and make the queue; once, in the constructor of the model.

        Args:
            students: dict of built parts by name, `image_encoder` and `text_encoder` among them.
        """
        self.copies = {name: momentum_copy(student) for name, student in students.items()}
        embedding_dim = students["image_encoder"].embedding_dim
        self.queue = FeatureQueue(self.queue_size, embedding_dim, self.ids, name="queue")
        self.steps = self.add_weight(
            shape=(),
            initializer="zeros",
            dtype="int64",
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
            name="steps",
        )
        self.built = True

    def kept_for_training(self) -> dict[str, list[keras.Variable]]:
        """Return the variables of the `teacher`, with the count of its steps, and of the `queue`: a dict of lists."""
        copies = [variable for copy in self.copies.values() for variable in copy.weights]
        return {"teacher": [*copies, self.steps], "queue": self.queue.weights}

    @property
    def alpha_now(self) -> Tensor:
        """The teacher's share at this step, a float32 scalar tensor: it grows to `alpha` in `alpha_ramp_steps`."""
        done = ops.cast(self.steps, "float32") / max(1, self.alpha_ramp_steps)
        return self.alpha * ops.minimum(done, 1.0)

    def follow(self, students: Mapping[str, keras.layers.Layer], batch_size: int | None = None) -> None:
        """Move the copies' weights towards the model's; at the first step they become the model's.

        Args:
            students: the dict that was copied.
            batch_size: pairs of a replica; `None` where it is not known beforehand.

        Raises:
            MmkerasError: a batch of one, or one that does not divide the queue.
        """
        if batch_size is not None:
            try:
                self.queue.check_batch_size(batch_size * replica_count())
            except ValueError as error:
                raise MmkerasError(f"{error}. Change batch_size, or queue_size of the model's teacher") from error
        momentum = ops.where(self.steps > 0, self.momentum, 0.0)
        for name, student in students.items():
            momentum_update(student, self.copies[name], momentum)

    def call(self, image: Array, text: Array) -> Tensors:
        image = self.copies["image_encoder"](image, training=False)
        text = self.copies["text_encoder"](text, training=False)
        taught = {"image_tokens": image["tokens"]}
        taught |= {"image_embedding": image["embedding"], "text_embedding": text["embedding"]}
        return {name: ops.stop_gradient(rows) for name, rows in taught.items()}

    def candidates(self, taught: Mapping[str, Tensor], image_id: TensorLike, text_id: TensorLike) -> Tensors:
        """Return what embeddings are contrasted with: the batch's, of all replicas, then the queue's.

        Args:
            taught: what the call returned.
            image_id: int64 (B,) or (B, S), see `batch_ids`.
            text_id: int64 (B,) or (B, T).

        Returns:
            dict, see `FeatureQueue`.
        """
        return self.queue(*_queued(taught, image_id, text_id))

    def remember(self, taught: Mapping[str, Tensor], image_id: TensorLike, text_id: TensorLike) -> None:
        """Put the batch into the queue, and count the step.

        Args:
            taught: what the call returned.
            image_id: int64 (B,) or (B, S), see `batch_ids`.
            text_id: int64 (B,) or (B, T).
        """
        self.queue.enqueue(*_queued(taught, image_id, text_id))
        self.steps.assign_add(1)


def _queued(taught, image_id, text_id):
    rows = (taught["image_embedding"], taught["text_embedding"], image_id, text_id)
    return [gathered_from_replicas(row) for row in rows]
