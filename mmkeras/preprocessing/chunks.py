"""Finds a chunk of a PNG or WebP file inside a TensorFlow graph."""

import tensorflow as tf

from mmkeras.preprocessing.image_header import cut_out

_MOST = 20_000  # chunks that are walked through, in about a third of a second: a file could be nothing but empty ones


def find_png_chunk(image_bytes, name):
    """Return the data of a PNG's last chunk of a name (`bytes`), up to IEND; an empty string where there is none."""
    return _find(image_bytes, 8, name, name_place=4, powers=(3, 2, 1, 0), overhead=12, alignment=1, is_last=True)


def find_webp_chunk(image_bytes, start, name):
    """Return the data of a WebP's first chunk of a name (`bytes`) from `start`; an empty string where there is none."""
    return _find(image_bytes, start, name, name_place=0, powers=(0, 1, 2, 3), overhead=8, alignment=2, is_last=False)


def _find(image_bytes, start, name, name_place, powers, overhead, alignment, is_last):
    data = tf.io.decode_raw(image_bytes, tf.uint8)
    size = tf.size(data, tf.int64)
    weights = tf.constant([256**power for power in powers], tf.int64)
    names = tf.constant([list(name), list(b"IEND")], tf.int64)

    def step(count, position, place, length, is_done):
        head = tf.cast(tf.gather(data, position + tf.range(8, dtype=tf.int64)), tf.int64)
        is_it, is_end = tf.unstack(tf.reduce_all(head[name_place : name_place + 4] == names, axis=1))
        bytes_of_data = tf.reduce_sum(head[4 - name_place : 8 - name_place] * weights)
        place, length = tf.where(is_it, position + 8, place), tf.where(is_it, bytes_of_data, length)
        position += overhead + (bytes_of_data + alignment - 1) // alignment * alignment
        return count + 1, position, place, length, is_end if is_last else is_it

    zero = tf.constant(0, tf.int64)
    _, _, place, length, _ = tf.while_loop(
        lambda count, position, place, length, is_done: ~is_done & (position + 8 <= size) & (count < _MOST),
        step,
        (tf.constant(0), tf.constant(start, tf.int64), zero, zero, tf.constant(False)),
    )
    return cut_out(image_bytes, tf.cast(place, tf.int32), tf.cast(tf.minimum(length, size), tf.int32))
