import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.layers import FeatureQueue
from mmkeras.layers.feature_queue import NO_PICTURE


def batch(*ids):
    """Embeddings that show which pair they are of: the picture's is (id, 0), the text's (0, id)."""
    ids = np.array(ids, "int64")
    rows = ids.astype("float32")
    return np.stack([rows, 0 * rows], 1), np.stack([0 * rows, rows], 1), ids, ids


def queued(queue):
    """The ids in the queue, after a check that pictures and texts stand in the same order."""
    ids = queue.image_id_queue.numpy()[:, 0]
    assert (queue.text_id_queue.numpy()[:, 0] == ids).all()
    filled = ids != NO_PICTURE
    for vectors, column in ((queue.image_queue, 0), (queue.text_queue, 1)):
        assert vectors.numpy()[filled, column].tolist() == ids[filled].astype("float32").tolist()
        assert not vectors.numpy()[filled, 1 - column].any()
    return [int(one) for one in ids]


def test_the_oldest_batch_goes_first():
    queue = FeatureQueue(size=4, embedding_dim=2)
    empty = NO_PICTURE
    seen = []
    for ids in [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10)]:
        queue.enqueue(*batch(*ids))
        seen.append((queued(queue), int(queue.pointer.numpy())))
    assert seen == [
        ([1, 2, empty, empty], 2),
        ([1, 2, 3, 4], 0),
        ([5, 6, 3, 4], 2),
        ([5, 6, 7, 8], 0),
        ([9, 10, 7, 8], 2),
    ]


def test_a_batch_as_large_as_the_queue():
    queue = FeatureQueue(size=3, embedding_dim=2)
    queue.enqueue(*batch(1, 2, 3))
    queue.enqueue(*batch(4, 5, 6))
    assert (queued(queue), int(queue.pointer.numpy())) == ([4, 5, 6], 0)


def test_candidates_are_the_batch_and_then_the_queue():
    queue = FeatureQueue(size=4, embedding_dim=2)
    queue.enqueue(*batch(2**53, 2**53 + 1))
    candidates = queue(*batch(3, 4))
    assert candidates["image_id"][:, 0].numpy().tolist() == [3, 4, 2**53, 2**53 + 1, NO_PICTURE, NO_PICTURE]
    assert {name: (tuple(value.shape), value.dtype.name) for name, value in candidates.items()} == {
        "image_embedding": ((6, 2), "float32"),
        "text_embedding": ((6, 2), "float32"),
        "image_id": ((6, 1), "int64"),
        "text_id": ((6, 1), "int64"),
    }
    np.testing.assert_array_equal(candidates["image_embedding"][2:], queue.image_queue)
    np.testing.assert_array_equal(candidates["text_embedding"][:2], batch(3, 4)[1])
    assert queued(queue)[2] == NO_PICTURE  # asking queues nothing


def test_before_batches_come_it_holds_unit_vectors_of_no_picture():
    queue = FeatureQueue(size=50, embedding_dim=8, seed=1)
    for vectors in (queue.image_queue, queue.text_queue):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
        assert np.abs(np.mean(vectors, axis=0)).max() < 0.25
    assert np.abs(queue.image_queue.numpy() - queue.text_queue.numpy()).max() > 0.1
    again = FeatureQueue(size=50, embedding_dim=8, seed=1)
    np.testing.assert_array_equal(again.image_queue, queue.image_queue)


@pytest.mark.parametrize(
    ("batch_size", "message"),
    [
        (1, r"2 or more that divide the queue, size=6\. Received: batch_size=1"),
        (4, r"size=6; of that batch it holds 4 or 8\. Received: batch_size=4"),
        (8, r"size=6; of that batch it holds 8\. Received: batch_size=8"),
    ],
)
def test_a_batch_that_does_not_divide_it_is_refused(batch_size, message):
    queue = FeatureQueue(size=6, embedding_dim=2)
    with pytest.raises(ValueError, match=message):
        queue.check_batch_size(batch_size)
    with pytest.raises(ValueError, match=message):
        queue.enqueue(*batch(*range(batch_size)))
    with pytest.raises(ValueError, match=message):  # where the graph is made, before a step is taken
        tf.function(queue.enqueue).get_concrete_function(*map(tf.constant, batch(*range(batch_size))))


def test_batches_that_divide_it_are_not():
    for batch_size in (2, 3, 6):
        FeatureQueue(size=6, embedding_dim=2).check_batch_size(batch_size)


def test_a_graph_with_a_free_batch_queues_and_refuses():
    queue = FeatureQueue(size=4, embedding_dim=2)
    free = [tf.TensorSpec([None, 2])] * 2 + [tf.TensorSpec([None], tf.int64)] * 2
    enqueue = tf.function(queue.enqueue, input_signature=free)
    for ids in [(1, 2), (3, 4), (5, 6)]:
        enqueue(*batch(*ids))
    assert queued(queue) == [5, 6, 3, 4]
    with pytest.raises(tf.errors.InvalidArgumentError, match="divide the queue"):
        enqueue(*batch(1, 2, 3))


def test_nothing_in_it_is_trained_and_no_gradient_comes_out():
    queue = FeatureQueue(size=4, embedding_dim=2)
    assert (len(queue.trainable_weights), len(queue.non_trainable_weights)) == (0, 5)
    image, text, *ids = map(tf.constant, batch(1, 2))
    with tf.GradientTape() as tape:
        tape.watch(image)
        queue.enqueue(image, text, *ids)
        old = tf.reduce_sum(queue.image_queue)
    assert tape.gradient(old, image) is None


def test_mixed_precision_keeps_float32_and_every_bit_of_an_id():
    queue = FeatureQueue(size=2, embedding_dim=2, dtype="mixed_float16")
    image, text, *ids = batch(2**53 + 1, 2**24 + 1)
    queue.enqueue(tf.cast(image * 0 + 0.1, "float16"), text, *ids)
    assert queue.image_id_queue.numpy()[:, 0].tolist() == [2**53 + 1, 2**24 + 1]
    candidates = queue(image, text, *ids)
    assert candidates["image_embedding"].dtype == candidates["text_embedding"].dtype == "float32"
    assert candidates["text_embedding"][3, 1] == 2**24  # float32 rounds it, float16 has no such number


def test_it_is_saved_whole_and_goes_on(tmp_path):
    inputs = [keras.Input((2,)) for _ in range(2)] + [keras.Input((), dtype="int64") for _ in range(2)]
    model = keras.Model(inputs, FeatureQueue(size=6, embedding_dim=2, name="queue")(*inputs))
    queue = model.get_layer("queue")
    for ids in [(1, 2), (3, 4), (5, 6), (2**53 + 1, 8)]:
        queue.enqueue(*batch(*ids))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras").get_layer("queue")
    assert queued(again) == [2**53 + 1, 8, 3, 4, 5, 6]
    for one in (queue, again):
        one.enqueue(*batch(9, 10))
    assert queued(again) == queued(queue) == [2**53 + 1, 8, 9, 10, 5, 6]


def test_rows_with_several_ids_stand_beside_rows_with_one():
    image, text, ids, _ = batch(1, 2)
    queue = FeatureQueue(size=2, embedding_dim=2, ids=3)
    queue.enqueue(image, text, np.array([[1, 7], [2, 7]]), ids)
    candidates = queue(image, text, ids, ids)
    assert candidates["image_id"].numpy().tolist() == [[1, -1, -1], [2, -1, -1], [1, 7, -1], [2, 7, -1]]
    assert candidates["text_id"].numpy().tolist() == [[1, -1, -1], [2, -1, -1]] * 2
    with pytest.raises(ValueError, match=r"at most 3 ids a row, .* Received: text_id with 4; make it with ids=4"):
        queue(image, text, ids, np.ones((2, 4), "int64"))


@pytest.mark.parametrize("arguments", [{"size": 0, "embedding_dim": 2}, {"size": 2, "embedding_dim": 0}])
def test_what_is_refused(arguments):
    with pytest.raises(ValueError, match="Expected sizes of 1 or more. Received: size="):
        FeatureQueue(**arguments)


ON_TWO_REPLICAS = """
import keras
import numpy as np
import tensorflow as tf
halves = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
from mmkeras.layers import FeatureQueue, gathered_from_replicas, momentum_copy, momentum_update
from mmkeras.losses import ImageTextContrastive, candidate_logits, share_id, soft_targets

generator = np.random.default_rng(0)
steps = generator.normal(size=(3, 4, 8, 5)).astype("float32")  # steps, embeddings, rows, D
steps /= np.linalg.norm(steps, axis=-1, keepdims=True)
ids = np.array([[1, 2, 3, 1, 4, 5, 6, 2], [3, 2, 9, 8, 7, 6, 5, 5], [1, 3, 9, 4, 2**53, 2**53 + 1, 0, 7]], "int64")

def run(strategy, replicas):
    with strategy.scope():
        queue, loss = FeatureQueue(size=16, embedding_dim=5), ImageTextContrastive(gamma=2.0)
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        teacher = momentum_copy(model)
    model.set_weights([np.ones((2, 3)), np.ones(3)])
    teacher.set_weights([np.zeros((2, 3)), np.zeros(3)])

    @tf.function
    def step(embeddings, image_id):
        def on_replica():
            momentum_update(model, teacher, 0.5)
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            rows = 8 // replicas
            image, text, teacher_image, teacher_text = tf.unstack(embeddings[:, replica * rows : (replica + 1) * rows])
            own_id = image_id[replica * rows : (replica + 1) * rows]
            whole = [gathered_from_replicas(part) for part in (teacher_image, teacher_text, own_id, own_id)]
            found = queue(*whole)
            positives = share_id(own_id, found["image_id"])
            targets = [soft_targets(candidate_logits(*pair, 0.1), positives, 0.4) for pair in (
                (teacher_image, found["text_embedding"]), (teacher_text, found["image_embedding"]))]
            logits = (candidate_logits(image, found["text_embedding"], 0.1),
                candidate_logits(text, found["image_embedding"], 0.1))
            value = loss(targets, logits)
            queue.enqueue(*whole)
            return value
        return strategy.reduce("sum", strategy.run(on_replica), axis=None)

    losses = [float(step(embeddings, image_id)) for embeddings, image_id in zip(steps, ids)]
    variables = [weight.value for weight in queue.weights + teacher.weights]
    copies = [variable.values if replicas > 1 else [variable] for variable in variables]
    for copy in copies:
        for other in copy[1:]:
            np.testing.assert_array_equal(copy[0], other)
    return losses, [np.array(copy[0]) for copy in copies]

one = run(tf.distribute.get_strategy(), 1)
two = run(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), 2)
np.testing.assert_allclose(one[0], two[0], rtol=1e-6)
for left, right in zip(one[1], two[1]):
    np.testing.assert_array_equal(left, right)
np.testing.assert_array_equal(two[1][-1], np.full(3, 0.875))  # after three steps of a half from 0 to 1
print("equal", one[0])
"""


@pytest.mark.slow
def test_two_replicas_have_the_loss_the_queue_and_the_teacher_of_one(repository):
    done = subprocess.run([sys.executable, "-c", ON_TWO_REPLICAS], cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("equal")
