"""Transparent pixels over a background, inside a TensorFlow graph."""

import tensorflow as tf


def lay_over(rgba, background):
    """Lay a uint8 picture (h, w, 4) over a grey background, an int in 0..255; exact, rounded to nearest."""

    def blend():
        alpha = tf.cast(rgba[..., 3:], tf.int32)
        blended = tf.cast(rgba[..., :3], tf.int32) * alpha + background * (255 - alpha)
        return tf.cast((blended + 127) // 255, tf.uint8)

    return tf.cond(tf.reduce_all(rgba[..., 3] == 255), lambda: rgba[..., :3], blend)
