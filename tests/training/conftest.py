import pytest
import tensorflow as tf

from mmkeras.training import Recipe, Run


@pytest.fixture
def create_run(tmp_path, small_preset):
    """A function of (folder name, *settings) that creates a run of seconds: 12 steps an epoch over 32 glyphs."""

    def create_run(name, *settings):
        own = [f"preset={small_preset}", "limit=32", "batch_size=32", "checkpoint_steps=5", "deterministic=false"]
        recipe = Recipe.load("glyphs_tiny", [*own, *settings])
        return Run.create(tmp_path / name, "glyphs_tiny", recipe)

    return create_run


@pytest.fixture
def determinism():
    """Graphs rewritten as in a run; what a run switches on for the whole process is off again after the test."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
    yield
    from tensorflow.python.framework.config import disable_op_determinism

    disable_op_determinism()
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": True})
