"""Cost of decoding an image, in the graph, before any memory is taken for its pixels.

`images.header.read_header` has the same rules for files.
"""

from __future__ import annotations

import tensorflow as tf

from keras_retinanet.images import gif, webp
from keras_retinanet.images.header import BMP, GIF, JPEG, MAX_SCANNED_PIXELS, MAX_SEGMENTS, PNG

TOO_MANY = 2**40  # pixels, which no limit allows

_LARGEST_SIDE = 2**30  # so that a product of two fits into int64 three times


def decoded_pixels(contents: tf.Tensor) -> tf.Tensor:
    """The pixels that would be decoded: scalar int64.

    Of a GIF those of its first frame. `TOO_MANY` for a JPEG whose scans would pass over more than
    `MAX_SCANNED_PIXELS`, for an animated WebP, and for unknown formats.

    Args:
        contents: scalar string, the bytes of a file.
    """

    def sides(position: int, *, little_endian: bool) -> tf.Tensor:  # int64 [2]
        part = tf.strings.substr(contents, position, 8)
        return tf.cast(tf.io.decode_raw(part, tf.int32, little_endian=little_endian), tf.int64)

    def webp_pixels() -> tf.Tensor:
        pixels = _product(webp.size(contents))  # scalar
        return tf.where(pixels > 0, pixels, TOO_MANY)

    return tf.case(
        [
            (starts_with(contents, JPEG), lambda: _jpeg_pixels(contents)),
            (starts_with(contents, PNG), lambda: _product(sides(16, little_endian=False))),
            (starts_with(contents, GIF), lambda: _product(gif.first_frame(contents)[1])),
            (starts_with(contents, BMP), lambda: _product(sides(18, little_endian=True))),
            (webp.is_webp(contents), webp_pixels),
        ],
        default=lambda: tf.constant(TOO_MANY, tf.int64),
    )


def starts_with(contents: tf.Tensor, prefix: bytes) -> tf.Tensor:
    """Whether a scalar string begins so: scalar bool."""
    return tf.strings.substr(contents, 0, len(prefix)) == prefix


def _product(sides: tf.Tensor) -> tf.Tensor:
    """Height times width, int64 [2] -> scalar."""
    return tf.reduce_prod(tf.minimum(tf.abs(sides), _LARGEST_SIDE))


def _jpeg_pixels(contents: tf.Tensor) -> tf.Tensor:
    """The pixels of a JPEG, or `TOO_MANY`: scalar int64."""
    pixels = _product(tf.io.extract_jpeg_shape(contents, tf.int64)[:2])
    data = tf.io.decode_raw(contents, tf.uint8)
    is_scan = (data[:-1] == 0xFF) & (data[1:] == 0xDA)

    def too_many(first: tf.Tensor | int) -> tf.Tensor:
        scans = tf.math.count_nonzero(is_scan[first:])  # scalar
        return scans * pixels > MAX_SCANNED_PIXELS

    def counted_from_the_first() -> tf.Tensor:
        is_single, first = _first_scan(contents, data)  # scalars
        return ~is_single & too_many(first)

    # Bytes that only look like scans count at first: a thumbnail's, or those of a film behind it.
    is_refused = tf.cond(too_many(0), counted_from_the_first, lambda: tf.constant(False))
    return tf.where(is_refused, TOO_MANY, pixels)


def _first_scan(contents: tf.Tensor, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Whether the first scan of a JPEG is its only one, and where it starts: scalar bool, int32.

    `data` are the bytes of `contents`, uint8 [L].
    """
    data = tf.cast(tf.concat([data, tf.zeros([10], tf.uint8)], axis=0), tf.int32)
    end = tf.strings.length(contents)

    def word(position: tf.Tensor) -> tf.Tensor:  # scalars
        return 256 * data[position] + data[position + 1]

    def goes_on(position: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:  # scalars
        return (position + 10 <= end) & (word(position) != 0xFFDA)

    def step(position: tf.Tensor, frame: tf.Tensor, components: tf.Tensor) -> tuple:
        marker = word(position)  # scalar, as all here
        is_frame = (marker // 16 == 0xFFC) & (frame == 0)
        is_frame &= (marker != 0xFFC4) & (marker != 0xFFC8) & (marker != 0xFFCC)
        is_segment = (marker > 0xFF00) & (marker < 0xFFFF)
        after = position + tf.where(is_segment, 2 + word(position + 2), 1)
        return (
            tf.minimum(after, end),
            tf.where(is_frame, marker, frame),
            tf.where(is_frame, data[position + 9], components),
        )

    start = (tf.constant(2), tf.constant(0), tf.constant(0))
    position, frame, components = tf.while_loop(
        goes_on, step, start, maximum_iterations=MAX_SEGMENTS
    )
    is_sequential = (frame == 0xFFC0) | (frame == 0xFFC1)
    is_found = word(position) == 0xFFDA
    return is_found & is_sequential & (data[position + 4] >= components), position
