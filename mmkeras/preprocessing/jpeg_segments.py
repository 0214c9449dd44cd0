"""Reads the segments in front of a JPEG's pixels inside a TensorFlow graph."""

import dataclasses

import tensorflow as tf

from mmkeras.preprocessing.image_header import apart, cut_out

_WINDOW = 1024  # bytes that are looked at together, and
_SEGMENTS = 16  # so many segments: a plain header fits into both
_MOST_WINDOWS = 200  # a file could be nothing but empty segments
_LOOKED_AT = 10  # bytes of a segment: its marker, length, and as much as tells EXIF
_EXIF = (0xFF, 0xE1, *b"Exif\0\0")
_START_OF_SCAN, _END = 0xDA, 0xD9
_NO_FRAMES = (0xC4, 0xC8, 0xCC)  # of 0xC0 to 0xCF


@dataclasses.dataclass(frozen=True)
class JpegSegments:
    """Where the segments of a JPEG stand, as int32 scalar tensors.

    Args:
        scan: where the first scan's marker stands, or -1 where none was found.
        components: how many components the first scan holds, 0 without a scan.
        frame: the marker's second byte of the frame header, 0xC0 to 0xCF, or 0 where none was found before the scan.
        exif: where the first APP1 segment with EXIF stands, or 0 where there is none.
    """

    scan: tf.Tensor
    components: tf.Tensor
    frame: tf.Tensor
    exif: tf.Tensor

    @property
    def is_sequential(self):
        """Whether the pixels are coded by Huffman's method, each of their scans at once."""
        return (self.frame == 0xC0) | (self.frame == 0xC1)

    @property
    def is_progressive(self):
        """Whether the pixels are coded by Huffman's method, from coarse to fine."""
        return self.frame == 0xC2


def read_segments(image_bytes):
    """Return the `JpegSegments` of a JPEG: scalar string."""
    return JpegSegments(*_walk(image_bytes))


@apart
def _walk(image_bytes):
    """Go from window to window until there is a scan, or the file ends; return what `JpegSegments` takes."""
    length = tf.strings.length(image_bytes)

    def step(count, position, scan, components, frame, exif):
        return count + 1, *_look(cut_out(image_bytes, position, _WINDOW), position, frame, exif)

    state = tf.while_loop(
        lambda count, position, scan, *_: (scan < 0) & (position < length) & (count < _MOST_WINDOWS),
        step,
        [tf.constant(value) for value in (0, 2, -1, 0, 0, 0)],
    )
    return state[2:]


def _look(window, position, frame, exif):
    """Read the segments of one window, of which the first begins with it, at `position` of the file.

    Returns:
        `(position, scan, components, frame, exif)`: where the next window begins, and what `JpegSegments` says.
    """
    data = tf.cast(tf.io.decode_raw(window, tf.uint8, fixed_length=_WINDOW), tf.int32)
    # For each byte, where the next segment would begin if one began here; so the chain is but a look-up a segment.
    lengths = 256 * data[2:-1] + data[3:]
    following = tf.minimum(lengths + tf.range(2, _WINDOW - 1), _WINDOW - 4)
    places = [tf.constant(0)]
    for _ in range(_SEGMENTS - 1):
        places.append(tf.gather(following, places[-1]))
    places = tf.stack(places)
    is_inside = places <= _WINDOW - _LOOKED_AT
    places_inside = tf.minimum(places, _WINDOW - _LOOKED_AT)
    heads = tf.gather(data, places_inside[:, tf.newaxis] + tf.range(_LOOKED_AT))
    markers, ends = heads[:, 1], places + 2 + 256 * heads[:, 2] + heads[:, 3]
    # 0xD0 to 0xD9 have no length; lower ones than 0xC0 are none that anybody writes.
    is_segment = is_inside & (heads[:, 0] == 0xFF) & (markers >= 0xC0) & (markers < 0xFF) & (markers // 8 != 26)
    is_segment &= (markers != _END) & (markers != _START_OF_SCAN)
    count = tf.reduce_sum(tf.math.cumprod(tf.cast(is_segment, tf.int32)))
    is_before = tf.range(_SEGMENTS) < count
    is_exif = is_before & tf.reduce_all(tf.gather(heads, [0, 1, 4, 5, 6, 7, 8, 9], axis=1) == _EXIF, axis=1)
    is_frame = is_before & (markers // 16 == 12) & tf.reduce_all(markers[:, tf.newaxis] != _NO_FRAMES, axis=1)
    exif = tf.where((exif > 0) | ~tf.reduce_any(is_exif), exif, position + _first(is_exif, places))
    frame = tf.where((frame > 0) | ~tf.reduce_any(is_frame), frame, _first(is_frame, markers))

    last = tf.minimum(count, _SEGMENTS - 1)  # the first that is no segment, if there is one
    head = heads[last]
    stops = (count < _SEGMENTS) & is_inside[last]
    is_scan = stops & (head[0] == 0xFF) & (head[1] == _START_OF_SCAN)
    next_place = tf.where(count > 0, ends[tf.maximum(count - 1, 0)], 0)
    # A byte that is no segment's is stepped over, as decoders do; a marker without a length with its two bytes.
    is_short = (head[0] == 0xFF) & (head[1] >= 0xD0) & (head[1] < _END)
    next_place += tf.where(stops, tf.where(is_short, 2, 1), 0)
    scan = tf.where(is_scan, position + places[last], -1)
    return position + next_place, scan, tf.where(is_scan, head[4], 0), frame, exif


def _first(chosen, values):
    return values[tf.argmax(tf.cast(chosen, tf.int32))]
