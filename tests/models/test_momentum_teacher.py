"""A teacher that follows the model, and its queue: what they see, how they move, and that files hold them."""

import subprocess
import sys
import types

import keras
import numpy as np
import pytest

from mmkeras.errors import MmkerasError
from mmkeras.models import SoftMask

from ..model_checks import no_user_warning
from .small_soft_mask import BATCH, IMAGES, TOKEN_IDS, build, same, train, values


def test_the_share_of_the_teacher_grows_with_the_steps():
    model = build(teacher={"alpha": 0.4})  # in 4 steps
    found = []
    for step in range(6):
        model.teacher.steps.assign(step)
        found.append(float(model.teacher.alpha_now))
    assert found == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.4])


def test_the_teacher_sees_the_weak_view_and_the_whole_text():
    model = build(token_masking={"rate": 1.0})
    clean = model(BATCH, training=False)
    train(model, BATCH | {"image": 255 - IMAGES, "weak_image": IMAGES})
    for name in ("image", "text"):
        queue = getattr(model.teacher.queue, f"{name}_queue").numpy()
        np.testing.assert_allclose(queue[:6], clean[f"{name}_embedding"], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(model.teacher.queue.image_id_queue[:6, 0], BATCH["image_id"])
    assert int(model.teacher.queue.pointer) == 6


def test_the_teacher_follows_at_the_start_of_a_step():
    model = build(teacher={"momentum": 0.75})
    for part in model.students.values():
        part.set_weights([value + 0.1 for value in part.get_weights()])
    seen = []
    for _ in range(2):
        seen.append([values(part.weights) for part in model.students.values()])
        train(model)
    first, second = seen
    for copy, early, late in zip(model.teacher.copies.values(), first, second, strict=True):
        for slow, a, b in zip(copy.weights, early, late, strict=True):
            np.testing.assert_allclose(slow, 0.75 * a + 0.25 * b, rtol=1e-5, atol=1e-6)
    assert not same(first[0], second[0])


def test_optimizers_have_the_model_and_nothing_of_the_teacher():
    model = build(teacher={"momentum": 1.0})
    students = [variable for part in model.students.values() for variable in part.trainable_variables]
    students += [*model.fusion.matching_head.trainable_variables, model.temperature.learnt]
    assert {id(v) for v in model.trainable_variables} == {id(v) for v in students}
    model.compile(keras.optimizers.AdamW(0.1, weight_decay=0.5), run_eagerly=True)
    train(model)
    teacher = values(variable for copy in model.teacher.copies.values() for variable in copy.weights)
    before = values(students)
    train(model)
    assert same(teacher, values(variable for copy in model.teacher.copies.values() for variable in copy.weights))
    assert not any(np.array_equal(a, b) for a, b in zip(before, values(students), strict=True) if a.size > 20)


def test_teacher_queue_and_steps_are_saved_and_training_goes_on(tmp_path):
    model = build(batch_norm=True, temperature={"initial": 0.2})
    train(model)
    with no_user_warning():
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert same(values(model.weights), values(loaded.weights))
    assert (int(loaded.teacher.steps), int(loaded.teacher.queue.pointer)) == (1, 6)
    assert same(values(model.optimizer.variables), values(loaded.optimizer.variables))
    np.testing.assert_array_equal(loaded.match(IMAGES, TOKEN_IDS), model.match(IMAGES, TOKEN_IDS))
    assert [variable.trainable for variable in loaded.weights] == [variable.trainable for variable in model.weights]
    loaded.run_eagerly = True
    assert train(loaded)["alpha"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    "rows, told",
    [
        (1, "Expected batches of 2 or more that divide the queue, size=12"),
        (5, "it holds 10 or 15. Received: batch_size=5. Change batch_size, or queue_size of the model's teacher"),
    ],
)
def test_batches_that_do_not_fit_the_queue_are_refused(rows, told):
    with pytest.raises(MmkerasError, match=told):
        train(build(), {name: column[:rows] for name, column in BATCH.items()})


ON_TWO_REPLICAS = """
import keras
import numpy as np
import tensorflow as tf
halves = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
from mmkeras.encoders import build_image_encoder, build_text_encoder
from mmkeras.models import SoftMask

generator = np.random.default_rng(0)
batches = [{"image": generator.normal(128, 50, (8, 8, 8, 3)).astype("float32"),
    "token_ids": generator.integers(4, 20, (8, 4)).astype("int32"),
    "image_id": np.array([1, 2, 3, 1, 4, 5, 6, step], "int64")} for step in range(3)]
small = {"heads": 2, "embedding_dim": 6, "initializer_range": None, "dropout": 0.0, "depth": 1}

def run(strategy, replicas):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = SoftMask(build_image_encoder("vit", height=8, width=8, patch=4, token_width=8, **small),
            build_text_encoder("bert", vocabulary_size=20, sequence_length=4, width=8, **small),
            fusion={"depth": 2, "heads": 2, "attention_block": 0}, mask_text=False,
            teacher={"queue_size": 16, "momentum": 0.5, "alpha_ramp_steps": 2},
            loss_weights={"matching": 0.0, "soft_matching": 0.0, "language": 0.0})
        model.compile(keras.optimizers.SGD(0.05))

    @tf.function
    def step(batch):
        def on_replica():
            rows = 8 // replicas
            first = tf.distribute.get_replica_context().replica_id_in_sync_group * rows
            own = {name: column[first : first + rows] for name, column in batch.items()}
            model.train_step(own)
        strategy.run(on_replica)

    losses = []
    for batch in batches:
        model.reset_metrics()
        step({name: tf.constant(column) for name, column in batch.items()})
        losses.append(float(model.trackers["contrastive_loss"].result()))
    weights = [np.array(variable.value.values[0] if replicas > 1 else variable) for variable in model.weights]
    return losses, weights

one = run(tf.distribute.get_strategy(), 1)
two = run(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), 2)
np.testing.assert_allclose(one[0], two[0], rtol=1e-4)
for left, right in zip(one[1], two[1], strict=True):
    np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-5)
print("equal", one[0])
"""


@pytest.mark.slow
def test_two_replicas_contrast_as_one(repository):
    """Losses, weights, teacher and queue after three steps, each replica with half a batch."""
    done = subprocess.run([sys.executable, "-c", ON_TWO_REPLICAS], cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("equal")


def test_pictures_with_several_ids_need_room_in_the_queue():
    """Pictures 0 and 3 have one caption, and picture 0 another one beside it."""
    related = BATCH | {
        "image_id": np.array([[9, 1], [2, -1], [3, -1], [9, -1], [4, -1], [5, -1]]),
        "text_id": np.array([9, 2, 3, 9, 4, 5]),
    }
    data = types.SimpleNamespace(image_id=np.zeros((6, 3), int), label=None)
    assert SoftMask.arguments_for(data) == {"teacher": {"ids": 3}}
    assert SoftMask.arguments_for(types.SimpleNamespace(image_id=np.arange(6), label=None)) == {"teacher": {"ids": 2}}
    model = build()
    train(model, related)
    queue = model.teacher.queue
    assert queue.image_id_queue.numpy()[:6].tolist() == related["image_id"].tolist()
    assert queue.text_id_queue.numpy()[:6, 0].tolist() == related["text_id"].tolist()
    with pytest.raises(ValueError, match="at most 2 ids a row.*make it with ids=3"):
        train(build(), related | {"image_id": np.pad(related["image_id"], ((0, 0), (0, 1)), constant_values=-1)})
