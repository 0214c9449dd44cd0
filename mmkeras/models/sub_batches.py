"""Encoding a batch part by part, and the gradients of a loss over all of it without the activations of all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import keras
import tensorflow as tf
from keras import ops

from mmkeras.encoders.encoder import vectors_of
from mmkeras.errors import MmkerasError
from mmkeras.models.replicated_step import in_turn
from mmkeras.tensors import Array, Tensor, Tensors

# From the embeddings of a batch, one tensor a tower, to what is measured and the loss that the gradients are taken of.
LossOf: TypeAlias = Callable[..., tuple[Tensors, Tensor]]


class Tower(NamedTuple):
    """An encoder, and what it is given in a step.

    Args:
        encoder: functional model whose outputs hold `embedding` (B, D).
        rows: (B, ...), what it takes.
        training: whether it is trained in this step.
    """

    encoder: keras.Model
    rows: Array
    training: bool


def embeddings_by_parts(towers: Sequence[Tower], size: int) -> list[Tensor]:
    """Return the embeddings of a batch, float32 (B, D) a tower, `size` rows of it at a time.

    Args:
        towers: list of `Tower`.
        size: rows of a part; the last one may be smaller.
    """
    towers = [tower._replace(rows=tf.convert_to_tensor(tower.rows)) for tower in towers]
    encoders = [keras.Model(tower.encoder.input, _embedding(tower.encoder)) for tower in towers]
    return _by_parts(encoders, towers, size)


def gradients_by_parts(
    towers: Sequence[Tower], size: int, loss_of: LossOf, variables: Sequence[keras.Variable]
) -> tuple[Tensors, list[Any]]:
    """Return the gradients of a loss that compares all rows of a batch, with the activations of `size` rows at a time.

    First the encoders make the features of all parts, and keep nothing else. Then the loss, and its gradient by these
    features. Then each part once more, with all activations, from which the gradient goes on to the weights. Random
    states begin the second time as they did the first: what is dropped is the same. It takes one forward pass more,
    and memory that does not grow with the batch but for the features.

    What looks at a whole batch is computed on the whole batch: an encoder's head, from its last batch normalisation of
    vectors (B, W) on, belongs to the loss, so that its statistics are those of the plain step. Batch normalisation
    before that, of feature maps, sees the part, and its moving averages move once a part.

    Args:
        towers: list of `Tower`.
        size: rows of a part, 1 or more, on each device; the last one may be smaller.
        loss_of: function from the embeddings, one argument a tower, to what is measured and to the scaled loss.
        variables: what the gradients are wanted of.

    Returns:
        What `loss_of` measured, and a list of gradients like `variables`, `None` where the loss does not reach one.

    Raises:
        MmkerasError: an encoder with a loss of its own on its activations.

    Reference:
        Gao et al. 2021 (GradCache, arXiv 2101.06983), section 3.2.
    """
    towers = [tower._replace(rows=tf.convert_to_tensor(tower.rows)) for tower in towers]
    parted = [_parted(tower.encoder) for tower in towers]
    trunks, heads = [trunk for trunk, _ in parted], [head for _, head in parted]
    moving = [variable for trunk in trunks for variable in trunk.non_trainable_variables if _is_state(variable)]
    before = [tf.identity(variable.value) for variable in moving]
    features = _by_parts(trunks, towers, size)
    with tf.GradientTape() as tape:
        tape.watch(features)
        whole = zip(heads, features, towers, strict=True)
        embeddings = [head(each, training=tower.training) if head else each for head, each, tower in whole]
        measured, loss = loss_of(*embeddings)
    slopes, own = tape.gradient(loss, (features, list(variables)))
    for variable, value in zip(moving, before, strict=True):
        variable.assign(value)
    wanted = {id(variable) for variable in variables}
    ours = {id(one): one for trunk in trunks for one in trunk.trainable_variables if id(one) in wanted}
    sums = dict(zip(ours, _summed_gradients(trunks, towers, size, slopes, list(ours.values())), strict=True))
    return measured, [_added(sums.get(id(one)), gradient) for one, gradient in zip(variables, own, strict=True)]


def _by_parts(models, towers, size):
    """What models make of the rows of all towers: a list of tensors (B, W)."""
    rows = ops.shape(towers[0].rows)[0]
    specs = [(model.output.dtype, model.output.shape[1:]) for model in models]
    count = -(-rows // size)
    arrays = [tf.TensorArray(dtype, count, infer_shape=False, element_shape=[None, *shape]) for dtype, shape in specs]

    def add(part, *arrays):
        made = _part_of(models, towers, part, size)
        return [array.write(part, each) for array, each in zip(arrays, made, strict=True)]

    arrays = in_turn(count, add, *arrays)
    return [tf.ensure_shape(array.concat(), [None, *shape]) for array, (_, shape) in zip(arrays, specs, strict=True)]


def _summed_gradients(models, towers, size, slopes, variables):
    """The gradients by variables, of the models' outputs with slopes, added up over the parts: a list of tensors."""
    rows = ops.shape(towers[0].rows)[0]
    count = -(-rows // size)

    def add(part, *sums):
        with tf.GradientTape() as tape:
            made = _part_of(models, towers, part, size)
            theirs = [slope[part * size : (part + 1) * size] for slope in slopes]
            # One number to differentiate: of several, the order in which a device meets the others is not theirs.
            products = [ops.sum(ops.cast(each * slope, "float32")) for each, slope in zip(made, theirs, strict=True)]
            along = tf.add_n(products)
        gradients = tape.gradient(along, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [total + tf.convert_to_tensor(each) for total, each in zip(sums, gradients, strict=True)]

    zeros = [tf.zeros_like(variable.value) for variable in variables]
    return in_turn(count, add, *zeros)


def _part_of(models, towers, part, size):
    made = []
    for model, tower in zip(models, towers, strict=True):
        made.append(model(tower.rows[part * size : (part + 1) * size], training=tower.training))
        if len(model.losses) > sum(variable.regularizer is not None for variable in model.trainable_variables):
            raise MmkerasError(
                "Expected encoders without losses on their activations (activity_regularizer, add_loss) where a batch "
                f"is computed by parts. Received: {tower.encoder.name}, with {len(model.losses)} losses of its own"
            )
    return made


def _parted(encoder):
    """An encoder as two models: what computes each row by itself, and what looks at the whole batch, or `None`."""
    norms = [layer for layer in encoder.layers if isinstance(layer, keras.layers.BatchNormalization)]
    flat = [layer.input for layer in norms if len(layer.input.shape) == 2]
    embedding = _embedding(encoder)
    features = flat[-1] if flat else embedding
    return keras.Model(encoder.input, features), keras.Model(features, embedding) if flat else None


def _embedding(encoder):
    return vectors_of(encoder.output)["embedding"]


def _is_state(variable):
    """Whether a pass moves a variable by itself: a random state, or an average of batch normalisation."""
    return "seed_generator" in variable.path or variable.name.startswith("moving_")


def _added(one, other):
    if one is None or other is None:
        return one if other is None else other
    return one + tf.convert_to_tensor(other)
