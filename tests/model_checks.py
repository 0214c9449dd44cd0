"""What is true of every layer, encoder and model, stated once: `check_layer`, `check_model` and their parts."""

import contextlib
import json
import warnings

import keras
import numpy as np
import tensorflow as tf
from keras import ops

# Halves have 11 and 8 bits of significand; a few roundings in a row.
TOLERANCE = {"mixed_float16": 1e-2, "mixed_bfloat16": 8e-2}


@contextlib.contextmanager
def no_user_warning():
    """Fail on any warning that tells a user of Keras something; deprecations inside Keras itself are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def check_layer(layer_class, arguments, inputs, shape, folder, weights=0, without_gradient=(), cast=True):
    """Check a layer alone and inside a functional model.

    Args:
        layer_class: class.
        arguments: dict of all constructor arguments of its own.
        inputs: list of arrays, the call arguments.
        shape: tuple, the output's.
        folder: to save to.
        weights: trainable variables.
        without_gradient: ends of the paths of variables whose gradient is 0 by their nature.
        cast: whether the output has the policy's compute dtype (else float32).
    """
    layer = layer_class(**arguments)
    config = layer.get_config()
    for name, value in arguments.items():
        assert getattr(layer, name) == value
        assert config[name] == value
    again = layer_class.from_config(json.loads(json.dumps(config)))
    assert again.get_config() == config
    assert keras.saving.get_registered_name(layer_class) == f"mmkeras>{layer_class.__name__}"

    def build():
        symbols = [keras.Input(array.shape[1:], dtype=array.dtype.name) for array in inputs]
        return keras.Model(symbols, {"output": layer_class(**arguments)(*symbols)})

    check_model(build, inputs, {"output": shape}, folder, weights, without_gradient, half=("output",) if cast else ())


def check_model(build, inputs, shapes, folder, weights, without_gradient=(), half=()):
    """Check a functional model: shapes, dtypes, config, saving, mixed precision and the flow of gradients.

    Args:
        build: function without arguments that returns a new model with a dict as output.
        inputs: array or list of arrays.
        shapes: dict from output to its shape.
        folder: to save to.
        weights: trainable variables.
        without_gradient: ends of the paths of variables whose gradient is 0 by their nature.
        half: outputs that have the compute dtype under mixed precision; the others are float32.
    """
    model = build()
    outputs = model(inputs)
    assert {name: tuple(value.shape) for name, value in outputs.items()} == shapes
    assert {value.dtype.name for value in outputs.values()} == {"float32"}
    widths = {name: value.shape[1:][-1:] for name, value in model.output.items()}
    assert widths == {name: shape[1:][-1:] for name, shape in shapes.items()}
    assert all(np.isfinite(value).all() for value in outputs.values())
    assert len(model.trainable_variables) == weights
    check_config(model)
    check_saving(model, inputs, folder)
    check_gradients(model, inputs, without_gradient)
    for policy in TOLERANCE:
        check_mixed_precision(build, model, inputs, policy, half)


def check_config(model):
    """A model built from another's config has the same config and the same variables."""
    again = type(model).from_config(json.loads(json.dumps(model.get_config())))
    assert config_text(again) == config_text(model)
    assert [v.shape for v in again.variables] == [v.shape for v in model.variables]


def config_text(model):
    """A model's config as JSON, in which a tuple and a list are one."""
    return json.dumps(keras.saving.serialize_keras_object(model.get_config()), sort_keys=True)


def check_saving(model, inputs, folder):
    """A saved and loaded model gives the same bits, without a warning."""
    file = folder / "model.keras"
    with no_user_warning():
        model.save(file)
        loaded = keras.saving.load_model(file)
    assert [v.path for v in loaded.trainable_variables] == [v.path for v in model.trainable_variables]
    tf.nest.map_structure(np.testing.assert_array_equal, loaded(inputs), model(inputs))
    return loaded


def check_gradients(model, inputs, without_gradient=()):
    """Every trainable variable gets a finite gradient that is not all zero."""
    generator = np.random.default_rng(1)
    with tf.GradientTape() as tape:
        # BatchNormalization over a batch would be blind to some directions; inference is not.
        outputs = model(inputs, training=False)
        total = sum(ops.sum(value * generator.normal(size=value.shape).astype("float32")) for value in outputs.values())
    variables = [variable.value for variable in model.trainable_variables]
    for variable, gradient in zip(model.trainable_variables, tape.gradient(total, variables), strict=True):
        assert gradient is not None, variable.path
        gradient = tf.convert_to_tensor(gradient).numpy()
        assert np.isfinite(gradient).all(), variable.path
        if not variable.path.endswith(tuple(without_gradient)):
            assert np.abs(gradient).max() > 1e-9, variable.path


def check_mixed_precision(build, model, inputs, policy, half=()):
    """Under a mixed policy variables stay float32, outputs have the right dtype and are near those in float32."""
    keras.config.set_dtype_policy(policy)
    try:
        mixed = build()
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(model.get_weights())
    assert {variable.dtype for variable in mixed.trainable_variables} <= {"float32"}
    for name, value in mixed(inputs).items():
        assert value.dtype.name == (policy.removeprefix("mixed_") if name in half else "float32"), name
        difference = np.abs(ops.cast(value, "float32") - model(inputs)[name])
        assert difference.max() < TOLERANCE[policy] * max(1.0, np.abs(model(inputs)[name]).max()), name
