"""The orientation that EXIF gives a picture, inside a TensorFlow graph.

Cameras store pixels as their sensor lies, and beside them which way is up. Damaged EXIF is as good as none.
"""

import tensorflow as tf

from mmkeras.preprocessing.image_header import apart, cut_out

_TAG = 0x0112
_ENTRY = 12  # bytes: tag, type, count and value
_BYTE_ORDERS = (b"MM\x00\x2a", b"II\x2a\x00", b"MM\x2a\x00", b"II\x00\x2a")  # the last two are mistakes that are read
# What an entry of 2 to 8 looks like, in either byte order: where it is not found, EXIF turns nothing.
MAY_TURN = (
    r"\x01\x12\x00[\x03\x04\x06\x08\x09\x0d]\x00\x00\x00[\x01-\x04](\x00\x00\x00|\x00)?[\x02-\x08]"
    r"|\x12\x01[\x03\x04\x06\x08\x09\x0d]\x00[\x01-\x04]\x00\x00\x00[\x02-\x08]"
)
_BYTES_OF_TYPE = tuple({3: 2, 4: 4, 6: 1, 8: 2, 9: 4, 13: 4}.get(kind, 0) for kind in range(15))  # integers' alone


def read_orientation(exif):
    """Return the orientation that EXIF asks for: int32 scalar in 1..8, 1 where it asks for none or is damaged.

    The tag is read of any integer type, and of the first directory alone, as Pillow reads it: no other directory is
    followed, so none leads in a circle.

    Args:
        exif: scalar string, the data of a JPEG's APP1 segment, of a PNG's eXIf chunk or of a WebP's EXIF chunk.

    Reference: CIPA DC-008, "Exchangeable image file format for digital still cameras: Exif", version 2.32, section 4.
    """
    tiff = tf.strings.regex_replace(exif, "^(Exif\\x00\\x00){1,2}", "", replace_global=False)
    is_known = tf.reduce_any(tf.strings.substr(tiff, 0, 4) == tf.constant(_BYTE_ORDERS))
    head = tf.cast(tf.io.decode_raw(tiff, tf.uint8, fixed_length=8), tf.int64)
    is_big = head[0] == ord("M")

    def number(data):
        """The unsigned integer in the last axis of bytes; the first `count` of them."""
        count = data.shape[-1]
        big = [256**k for k in reversed(range(count))]
        return tf.reduce_sum(data * tf.where(is_big, tf.constant(big, tf.int64), big[::-1]), axis=-1)

    # Clipped before it becomes an int32: an offset of 4 GB is outside of any string that a graph can hold.
    start = tf.cast(tf.minimum(number(head[4:8]), 2**31 - 2**21), tf.int32)
    length = tf.io.decode_raw(cut_out(tiff, start, 2), tf.uint8, fixed_length=2)
    entries = tf.cast(number(tf.cast(length, tf.int64)), tf.int32)
    data = tf.io.decode_raw(cut_out(tiff, start + 2, entries * _ENTRY), tf.uint8)
    whole = tf.size(data) // _ENTRY
    rows = tf.cast(tf.reshape(data[: whole * _ENTRY], (-1, _ENTRY)), tf.int64)
    rows = tf.pad(rows, [[0, 1], [0, 0]])  # one row is always there: of nothing there is no argmax
    row = rows[tf.argmax(tf.cast(number(rows[:, :2]) == _TAG, tf.int32))]
    kind, count = number(row[2:4]), number(row[4:8])
    # The first value, where all of them stand in the entry: a tag of a single number never needs more.
    size = tf.gather(tf.constant(_BYTES_OF_TYPE, tf.int64), tf.minimum(kind, len(_BYTES_OF_TYPE) - 1))
    four = number(row[8:12])
    value = tf.where(
        is_big, four // tf.pow(tf.constant(256, tf.int64), 4 - size), four % tf.pow(tf.constant(256, tf.int64), size)
    )
    value = tf.where(count * size <= 4, value, 0)
    is_good = is_known & (number(row[:2]) == _TAG) & (count >= 1) & (value >= 1) & (value <= 8)
    return tf.cast(tf.where(is_good, value, 1), tf.int32)


@apart
def turn_upright(image, exif):
    """Turn and mirror a picture (h, w, c) as its EXIF asks, to (h, w, c) or (w, h, c).

    Args:
        image: tensor, a decoded picture.
        exif: scalar string, see `read_orientation`.
    """
    orientation = read_orientation(exif)
    columns_are_rows = orientation >= 5
    image = tf.cond(columns_are_rows, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    is_upside_down = tf.reduce_any(orientation == [3, 4, 7, 8])
    is_mirrored = tf.reduce_any(orientation == [2, 3, 6, 7])
    mirror = tf.stack([is_upside_down, is_mirrored, tf.constant(False)])
    return tf.cond(orientation > 1, lambda: tf.raw_ops.Reverse(tensor=image, dims=mirror), lambda: image)
