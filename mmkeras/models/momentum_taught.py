"""`MomentumTaught`: what a model needs that a slow copy of it teaches, with a queue of what the copy said before."""

import tensorflow as tf
from keras import ops

from mmkeras.errors import MmkerasError
from mmkeras.layers.feature_queue import FeatureQueue
from mmkeras.layers.momentum import momentum_copy, momentum_update
from mmkeras.layers.replica_gathering import gathered_from_replicas


class MomentumTaught:
    """A teacher of encoders, fusion encoder and language head, the queue of its embeddings, and the count of steps.

    All of them are weights of the model that no optimizer moves. The teacher drops nothing out.
    """

    def add_teacher(self, queue_size):
        """Add the copies, the queue and the count; in the constructor, once there is all that is copied.

        Args:
            queue_size: pairs that the queue holds, 1 or more.
        """
        self.teacher_image_encoder = momentum_copy(self.image_encoder)
        self.teacher_text_encoder = momentum_copy(self.text_encoder)
        self.teacher_fusion = momentum_copy(self.fusion)
        self.teacher_language_head = momentum_copy(self.language_head)
        self.queue = FeatureQueue(queue_size, self.embedding_dim, name="queue")
        self.steps = self.add_weight(
            shape=(),
            initializer="zeros",
            dtype="int64",
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
            name="steps",
        )

    @property
    def taught_parts(self):
        """Pairs of a part of the model and the teacher's copy of it."""
        names = ("image_encoder", "text_encoder", "fusion", "language_head")
        return [(getattr(self, name), getattr(self, f"teacher_{name}")) for name in names]

    def kept_for_training(self):
        """Return the variables of the `teacher`, with the count of its steps, and of the `queue`: a dict of lists."""
        teacher = [variable for _, part in self.taught_parts for variable in part.weights]
        return {"teacher": [*teacher, self.steps], "queue": self.queue.weights}

    @property
    def alpha_now(self):
        """The teacher's share at this step, a float32 scalar tensor: it grows to `alpha` in `alpha_ramp_steps`."""
        done = ops.cast(self.steps, "float32") / max(1, self.alpha_ramp_steps)
        return self.alpha * ops.minimum(done, 1.0)

    def begin_step(self, batch_size):
        """Move the teacher's weights towards the model's; at the first step they become the model's.

        Args:
            batch_size: pairs of a replica; `None` where it is not known beforehand.

        Raises:
            MmkerasError: a batch of one, or one that does not divide the queue.
        """
        if batch_size is not None:
            try:
                self.queue.check_batch_size(batch_size * tf.distribute.get_strategy().num_replicas_in_sync)
            except ValueError as error:
                raise MmkerasError(f"{error}. Change batch_size, or queue_size of the model") from error
        momentum = ops.where(self.steps > 0, self.momentum, 0.0)
        for model, teacher in self.taught_parts:
            momentum_update(model, teacher, momentum)

    def taught(self, batch):
        """Return what the teacher makes of the weak view, where there is one, and of the whole texts.

        Returns:
            dict: `image_tokens` (B, 1 + N, V), `image_embedding` and `text_embedding`, (B, D). No gradient comes
            through.
        """
        image = self.teacher_image_encoder(batch.get("weak_image", batch["image"]), training=False)
        text = self.teacher_text_encoder(self._text_input(batch), training=False)
        taught = {"image_tokens": image["tokens"]}
        taught |= {"image_embedding": image["embedding"], "text_embedding": text["embedding"]}
        return {name: ops.stop_gradient(rows) for name, rows in taught.items()}

    def candidates(self, taught, image_id):
        """Return what embeddings are contrasted with: of the batch, of all replicas, and of the queue; as of it."""
        return self.queue(*_queued(taught, image_id))

    def end_step(self, taught, image_id):
        """Put the batch into the queue, and count the step."""
        self.queue.enqueue(*_queued(taught, image_id))
        self.steps.assign_add(1)


def _queued(taught, image_id):
    rows = (taught["image_embedding"], taught["text_embedding"], ops.cast(image_id, "int64"))
    return [gathered_from_replicas(part) for part in rows]
