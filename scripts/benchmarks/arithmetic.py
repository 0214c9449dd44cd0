"""How much arithmetic a step is, and the fastest that the machine does arithmetic: its matrix products."""

PEAK_SIZE = 2048


def matrix_product():
    """Return a function that multiplies two square matrices, and its GFLOP."""
    import tensorflow as tf

    a = tf.random.normal((PEAK_SIZE, PEAK_SIZE))
    product = tf.function(lambda: tf.matmul(a, a))
    return lambda: product().numpy(), 2 * PEAK_SIZE**3 / 1e9


def pytorch_matrix_product():
    """Return the same of PyTorch."""
    import torch

    a = torch.randn(PEAK_SIZE, PEAK_SIZE)
    return lambda: a @ a, 2 * PEAK_SIZE**3 / 1e9


def count_gflop(function, *arguments):
    """GFLOP of a call, as TensorFlow's profiler counts them on its graph: of what has a known shape."""
    import tensorflow as tf

    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    graph = tf.function(function).get_concrete_function(*arguments).graph
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops / 1e9
