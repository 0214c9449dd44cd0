"""Reads a JPEG's scans, between its header and its end, inside a TensorFlow graph."""

import tensorflow as tf

from mmkeras.preprocessing.image_header import apart, cut_out

_SCAN, _END = 0xDA, 0xD9
_MOST_COMPONENTS, _COEFFICIENTS = 4, 64
_SCAN_HEADER = 5 + 2 * _MOST_COMPONENTS + 3  # bytes, at most


def find_end(image_bytes, scan):
    """Return where the first end marker behind the first scan's header stands, -1 where there is none: int32 scalar.

    A preview in front of the pixels has one of its own. Behind the end there may be anything, such as the second
    picture that phones append.
    """
    places, seconds = _markers(image_bytes, scan)
    return tf.concat([places, [-1]], axis=0)[_first_end(seconds)]


def _markers(image_bytes, start):
    """Return where bytes 0xFF stand from `start` on, int32 (M,), and the bytes that follow them, int32 (M,)."""
    start = tf.maximum(start, 0)
    data = tf.io.decode_raw(cut_out(image_bytes, start), tf.uint8)
    places = tf.cast(tf.where(data[:-1] == 0xFF)[:, 0], tf.int32)
    return start + places, tf.cast(tf.gather(data, places + 1), tf.int32)


def _first_end(seconds):
    """Return the place of the first end marker among markers, their number where there is none."""
    return tf.argmax(tf.pad(tf.cast(seconds == _END, tf.int32), [[0, 1]], constant_values=1))


@apart
def has_all_scans(image_bytes, scan, components):
    """Say whether the scans of a progressive JPEG bring every coefficient of every component to its last bit.

    Args:
        image_bytes: scalar string.
        scan: int32 scalar, where the first one begins.
        components: int32 scalar, of the frame.
    """
    places, seconds = _markers(image_bytes, scan)
    last = _first_end(seconds)
    starts = tf.boolean_mask(places[:last], seconds[:last] == _SCAN)
    data = tf.io.decode_raw(image_bytes, tf.uint8)
    within = tf.minimum(starts[:, tf.newaxis] + tf.range(_SCAN_HEADER), tf.size(data) - 1)
    headers = tf.cast(tf.gather(data, within), tf.int32)  # (S, 16)
    count = tf.minimum(headers[:, 4], _MOST_COMPONENTS)
    ids = headers[:, 5 : 5 + 2 * _MOST_COMPONENTS : 2]
    is_there = tf.range(_MOST_COMPONENTS) < count[:, tf.newaxis]
    first, until, bits = tf.unstack(
        tf.gather(headers, 5 + 2 * count[:, tf.newaxis] + [0, 1, 2], axis=1, batch_dims=1), axis=1
    )
    coefficients = tf.range(_COEFFICIENTS)
    is_sent = (coefficients >= first[:, tf.newaxis]) & (coefficients <= until[:, tf.newaxis])
    is_sent &= (bits % 16 == 0)[:, tf.newaxis]  # (S, 64), to the last bit
    members = tf.reduce_any(tf.one_hot(ids, 256, on_value=True, off_value=False) & is_there[..., tf.newaxis], axis=1)
    sent = tf.einsum("si,sk->ik", tf.cast(members, tf.float32), tf.cast(is_sent, tf.float32)) > 0
    complete = tf.reduce_sum(tf.cast(tf.reduce_all(sent, axis=1), tf.int32))
    return complete >= components
