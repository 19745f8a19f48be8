"""Encoded images as strangers send them: pixels or nothing, never an error or a full memory."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from keras_retinanet.data.images import decode_image

# Bytes that the pixels of one image may take, 89 million pixels of RGB: PIL warns from there on.
MAX_BYTES = 2**28

# Blocks of a GIF that are looked at, or runs of full ones; a thousand frames have 4,000.
_MAX_GIF_STEPS = 10_000


def image_or_blank(
    request: tf.Tensor, find_image: Callable[[tf.Tensor], tf.Tensor] = tf.identity
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes one image, in graph mode only.

    Args:
        request: scalar string, whatever came.
        find_image: takes the bytes of a JPEG, PNG, GIF or BMP file out of it; may fail.

    Returns:
        uint8 [height, width, 3] and whether there is an image, a scalar bool. For bytes that are
        none, or one of more than `MAX_BYTES` by its header: one black pixel, and False.
    """

    def decode(request: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        contents = find_image(request)
        # Of the empty string no pixel is decoded: that fails, as all else does that is no image.
        image = decode_image(tf.where(_held_bytes(contents) <= MAX_BYTES, contents, b""))
        return image, tf.size(image) > 0

    # Operations of tf.data are the only ones that can fail without their whole graph failing.
    blank = tf.data.Dataset.from_tensors((tf.zeros([1, 1, 3], tf.uint8), tf.constant(False)))
    decoded = tf.data.Dataset.from_tensors(request).map(decode).ignore_errors()
    kept = decoded.filter(lambda image, is_image: is_image)
    image, is_image = kept.concatenate(blank).take(1).get_single_element()
    return tf.ensure_shape(image, [None, None, 3]), is_image


def _held_bytes(contents: tf.Tensor) -> tf.Tensor:
    """What decoding would hold in memory, int64, by the header; too much for unknown formats."""

    def starts_with(prefix: bytes) -> tf.Tensor:
        return tf.strings.substr(contents, 0, len(prefix)) == prefix

    def words(position: int, dtype: tf.DType, *, little_endian: bool) -> tf.Tensor:
        part = tf.strings.substr(contents, position, 8)
        return tf.cast(tf.io.decode_raw(part, dtype, little_endian=little_endian), tf.int64)

    def jpeg() -> tf.Tensor:
        return 3 * tf.reduce_prod(tf.io.extract_jpeg_shape(contents, tf.int64)[:2])

    def png() -> tf.Tensor:
        return 3 * tf.reduce_prod(words(16, tf.int32, little_endian=False))

    def bmp() -> tf.Tensor:
        return 3 * tf.reduce_prod(tf.abs(words(18, tf.int32, little_endian=True)))

    return tf.case(
        [
            (starts_with(b"\xff\xd8\xff"), jpeg),
            (starts_with(b"\x89PNG\r\n\x1a\n"), png),
            (starts_with(b"GIF8"), lambda: _held_bytes_of_gif(contents)),
            (starts_with(b"BM"), bmp),
        ],
        default=lambda: tf.constant(MAX_BYTES + 1, tf.int64),
    )


def _held_bytes_of_gif(contents: tf.Tensor) -> tf.Tensor:
    """As `_held_bytes`. All frames are decoded, a byte to a pixel, though only one is wanted."""
    # So that no position below leads out of it; a 0 begins no block and ends the walk.
    padded = tf.strings.join([contents, bytes(16)])
    data = tf.cast(tf.io.decode_raw(padded, tf.uint8), tf.int64)
    end = tf.strings.length(contents)

    def word(position: tf.Tensor | int) -> tf.Tensor:
        return data[position] + 256 * data[position + 1]

    def palette(flags: tf.Tensor) -> tf.Tensor:
        size = tf.cast(tf.bitwise.left_shift(tf.constant(6, tf.int64), flags % 8), tf.int32)
        return tf.where(flags >= 128, size, 0)

    def goes_on(position: tf.Tensor, in_data: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        is_block = (data[position] == 0x21) | (data[position] == 0x2C)
        return (position < end) & (in_data | is_block)

    def skip_data(position: tf.Tensor, canvas: tf.Tensor, frames: tf.Tensor) -> tuple:
        # Full blocks follow each other in long runs: those of the next 64 kB are passed at once.
        lengths = data[position : position + 2**16 : 256]
        full = tf.argmin(tf.cast(tf.concat([lengths, [0]], axis=0) == 255, tf.int32))
        full = tf.cast(full, tf.int32)
        step = tf.where(full > 0, 256 * full, 1 + tf.cast(data[position], tf.int32))
        return tf.minimum(position + step, end), data[position] != 0, canvas, frames

    def read_block(position: tf.Tensor, canvas: tf.Tensor, frames: tf.Tensor) -> tuple:
        is_frame = data[position] == 0x2C
        size = tf.stack([word(position + 5), word(position + 7)])
        size = tf.where(is_frame, size, tf.zeros([2], tf.int64))
        after = position + tf.where(is_frame, 11 + palette(data[position + 9]), 2)
        seen = frames + tf.reduce_prod(size)
        return tf.minimum(after, end), True, tf.maximum(canvas, size), seen

    def step(
        position: tf.Tensor, in_data: tf.Tensor, canvas: tf.Tensor, frames: tf.Tensor
    ) -> tuple:
        return tf.cond(
            in_data,
            lambda: skip_data(position, canvas, frames),
            lambda: read_block(position, canvas, frames),
        )

    start = tf.minimum(13 + palette(data[10]), end)
    screen = tf.stack([word(6), word(8)])
    state = (start, tf.constant(False), screen, tf.constant(0, tf.int64))
    position, in_data, canvas, frames = tf.while_loop(
        goes_on, step, state, maximum_iterations=_MAX_GIF_STEPS
    )
    is_through = ~goes_on(position, in_data)
    held = tf.maximum(3 * tf.reduce_prod(canvas), frames)
    return tf.where(is_through, held, MAX_BYTES + 1)
