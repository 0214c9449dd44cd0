import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.layers import GradientReversal

from ..model_checks import check_layer

INPUTS = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, -1.5]], "float32")


def gradients(strength, inputs, jit_compile):
    """Loss sum(w * reversed(x)^2), its value and its gradients with respect to x and w."""
    layer = GradientReversal(strength)
    x, w = tf.Variable(inputs), tf.Variable(tf.ones_like(inputs) * 2)

    @tf.function(jit_compile=jit_compile)
    def compute():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(w * layer(x) ** 2)
        return loss, *tape.gradient(loss, [x, w])

    return compute()


def test_is_a_sound_layer(tmp_path):
    check_layer(GradientReversal, {"strength": 0.25}, [INPUTS], (2, 3), tmp_path)


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0, 7.5])
def test_the_gradient_below_is_reversed_and_scaled_and_the_one_above_is_neither(strength, jit_compile):
    """d/dx w x^2 = 2 w x = 4 x turns into -strength times that; d/dw w x^2 = x^2 stays."""
    loss, below, above = gradients(strength, INPUTS, jit_compile)
    assert float(loss) == pytest.approx(2 * (INPUTS**2).sum())
    np.testing.assert_allclose(below, -strength * 4 * INPUTS, rtol=1e-6, atol=0)
    np.testing.assert_allclose(above, INPUTS**2, rtol=1e-6)


def test_against_finite_differences():
    """The gradient is -strength times the slope of the loss, measured by moving each input a little."""
    layer = GradientReversal(0.7, dtype="float64")
    head = keras.layers.Dense(4, activation="tanh", dtype="float64")
    inputs = INPUTS.astype("float64")

    def loss_of(values):
        return float(tf.reduce_sum(head(values) ** 2))

    loss_of(inputs)
    slope = np.zeros_like(inputs)
    for index in np.ndindex(inputs.shape):
        up, down = inputs.copy(), inputs.copy()
        up[index] += 1e-5
        down[index] -= 1e-5
        slope[index] = (loss_of(up) - loss_of(down)) / 2e-5
    x = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(head(layer(x)) ** 2)
    np.testing.assert_allclose(tape.gradient(loss, x), -0.7 * slope, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("strength", [0.3, 0.7])
def test_forward_is_exact_in_half_precision_and_the_strength_is_not_rounded(dtype, strength):
    inputs = tf.cast(np.linspace(-3, 3, 101), dtype)
    layer = GradientReversal(strength, dtype=dtype)
    upstream = tf.cast(np.linspace(-1, 1, 101), dtype)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs)
    assert outputs.dtype == inputs.dtype
    np.testing.assert_array_equal(outputs, inputs)
    expected = tf.cast(tf.cast(upstream, "float32") * -strength, dtype)
    np.testing.assert_array_equal(tape.gradient(outputs, inputs, output_gradients=upstream), expected)


def test_a_new_strength_takes_effect_without_retracing():
    layer, traces = GradientReversal(0.0), []

    @tf.function
    def slope(x):
        traces.append(1)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x))
        return tape.gradient(loss, x)

    for strength in (0.0, 1.0, 0.25):
        layer.strength.assign(strength)
        np.testing.assert_array_equal(slope(tf.ones((2, 3))), np.full((2, 3), -strength))
    assert len(traces) == 1


def test_the_strength_is_saved_and_no_trainable_weight(tmp_path):
    layer = GradientReversal(0.1)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer(inputs))
    layer.strength.assign(0.6)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").layers[-1]
    assert float(loaded.strength) == pytest.approx(0.6)
    assert layer.trainable_variables == []


@pytest.mark.parametrize("strength", [-0.1, float("inf"), float("nan")])
def test_a_strength_out_of_range_is_refused(strength):
    with pytest.raises(ValueError, match=f"strength={strength}"):
        GradientReversal(strength)
