import numpy as np

from mmkeras.models import DualEncoder
from mmkeras.training.model_size import model_size

from ..models.small_soft_mask import build, encoders


def count(*parts):
    return sum(int(np.prod(variable.shape)) for part in parts for variable in part.weights)


def test_teacher_and_queue_count_by_themselves():
    model = build(compiled=False)
    size = model_size(model)
    parts, memory = size["parameters"], size["parameter_bytes"]
    assert list(parts) == list(memory) == ["image_encoder", "text_encoder", "rest", "teacher", "queue"]
    assert parts["image_encoder"] == count(model.image_encoder) and parts["text_encoder"] == count(model.text_encoder)
    taught = model.students.values()
    assert parts["teacher"] == count(*taught) + 1
    assert parts["rest"] == count(model.fusion, model.language_head) + 1  # temperature
    assert parts["queue"] == 2 * 12 * 6 + 2 * 12 * 2 + 1
    assert sum(parts.values()) == model.count_params()
    assert memory["teacher"] == 4 * count(*taught) + 8  # the count of steps is an int64
    assert memory["queue"] == 4 * 2 * 12 * 6 + 8 * (2 * 12 * 2 + 1)  # its ids and its pointer are int64


def test_a_model_without_a_teacher_keeps_nothing():
    size = model_size(DualEncoder(*encoders()))
    assert list(size["parameters"]) == ["image_encoder", "text_encoder", "rest"]
    assert {part: 4 * count for part, count in size["parameters"].items()} == size["parameter_bytes"]
