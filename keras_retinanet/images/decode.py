"""Image files: bytes to RGB pixels in the graph.

JPEG, PNG, GIF (its first frame), BMP and WebP (still ones) are decoded by TensorFlow; TIFF, AVIF
and HEIC by Pillow, in a call of Python that an exported model cannot make. EXIF rotation is
honoured for those that cameras write it in: JPEG, WebP, TIFF, AVIF and HEIC. Other metadata (XMP,
colour profiles, gamma) is not looked at.
"""

from __future__ import annotations

import functools
import re

import numpy as np
import tensorflow as tf

from keras_retinanet.errors import DataError
from keras_retinanet.images import gif, pillow, webp
from keras_retinanet.images.guard import decoded_pixels, starts_with
from keras_retinanet.images.header import BMP, GIF, JPEG, PNG, READABLE
from keras_retinanet.shutdown import called_by_pipeline

# How files begin that TensorFlow decodes.
_FOR_TENSORFLOW = (b"\xff\xd8", b"\x89P", b"GI", b"BM", b"RI")

# TensorFlow's decoder: scalar string -> uint8 [height, width, 3].
_decode_rgb = functools.partial(tf.io.decode_image, channels=3, expand_animations=False)

# In place of an EXIF orientation: the one that the image says itself.
OWN_ORIENTATION = -1

# By orientation, whether rows, columns and channels are reversed, after the transposition that 5
# to 8 ask for.
_REVERSED = [[o in (3, 4, 7, 8), o in (2, 3, 6, 7), False] for o in range(9)]


def decode_image(contents: tf.Tensor, orientation: int | tf.Tensor | None = None) -> tf.Tensor:
    """Decodes an encoded image of any format that is read into RGB pixels.

    Grayscale, palette, CMYK and 1-bit images are converted; 16-bit values keep their high byte.
    Alpha is dropped, not composited over some background: so does PIL's `convert("RGB")`, and with
    it the loaders of other detectors. JPEG is decoded with the accurate integer DCT, which gives
    PIL's pixels bit for bit (those of CMYK within 1, by the rounding of the conversion).

    Args:
        contents: scalar string, the bytes of the file.
        orientation: 1 to 8, by which the image is turned upright; None for what the EXIF of the
            image says, which takes a sixth longer to find out.

    Returns:
        uint8 [height, width, 3].

    Raises:
        tf.errors.InvalidArgumentError: at run time, for bytes that are not a whole image of a
            known format. It does not name the file: `images.faults` finds that.
    """
    # The scope tells errors of decoding from others, see `images.faults`.
    with tf.name_scope("decode_image"):
        contents = tf.convert_to_tensor(contents, tf.string)
        own = OWN_ORIENTATION if orientation is None else orientation
        return tf.cond(
            # JPEG and PNG pay for this comparison and no more.
            tf.reduce_any(tf.strings.substr(contents, 0, 2) == _FOR_TENSORFLOW),
            lambda: decode_in_graph(contents, orientation),
            lambda: _decode_by_pillow(contents, tf.convert_to_tensor(own, tf.int32)),
        )


def decode_unchecked(contents: tf.Tensor) -> tf.Tensor:
    """`decode_image` of a file whose header `read_header` has not seen: uint8 [height, width, 3].

    What that would refuse as too large fails before its pixels take memory. `contents` is scalar.
    """
    is_known = tf.reduce_any(tf.strings.substr(contents, 0, 2) == _FOR_TENSORFLOW)
    is_taken = tf.cond(
        is_known,
        lambda: decoded_pixels(contents) <= pillow.MAX_PIXELS,
        lambda: tf.constant(True),  # Pillow's formats are checked where they are opened
    )
    return decode_image(tf.where(is_taken, contents, b""))


def _decode_by_pillow(contents: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """uint8 [height, width, 3] of the bytes of a file and an orientation, both scalars."""
    outputs = [tf.uint8, tf.string]
    image, fault = tf.numpy_function(_pillow_pixels, [contents, orientation], outputs)
    # An exception would take its traceback with it into TensorFlow's log.
    with tf.control_dependencies([tf.debugging.Assert(fault == b"", [fault])]):
        return tf.ensure_shape(tf.identity(image), [None, None, 3])


@called_by_pipeline
def _pillow_pixels(contents: bytes, orientation: np.ndarray) -> tuple[np.ndarray, bytes]:
    """uint8 [height, width, 3], and what kept the image from being decoded, if anything."""
    encoded = np.asarray(contents, object).item()  # outside a graph it comes as an array
    if not pillow.is_for_pillow(encoded[:12]):
        return np.zeros([0, 0, 3], np.uint8), f"not an image ({READABLE} can be read)".encode()
    own = None if orientation == OWN_ORIENTATION else int(orientation)
    try:
        return pillow.decode("image", encoded, own), b""
    except DataError as error:
        return np.zeros([0, 0, 3], np.uint8), str(error).encode("utf-8", "replace")


def decode_in_graph(contents: tf.Tensor, orientation: int | tf.Tensor | None = None) -> tf.Tensor:
    """`decode_image` with graph operations only: of JPEG, PNG, GIF, BMP and WebP.

    Takes scalars, returns uint8 [height, width, 3].
    """
    contents = tf.convert_to_tensor(contents, tf.string)
    is_jpeg = starts_with(contents, JPEG)
    is_webp = webp.is_webp(contents)
    image = tf.cond(
        is_jpeg,
        lambda: tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.cond(is_webp, lambda: webp.decode(contents), lambda: _decode_plain(contents)),
    )
    image.set_shape([None, None, 3])
    if orientation is not None:
        orientation = tf.convert_to_tensor(orientation, tf.int32)
        return tf.cond(orientation > 1, lambda: _upright(image, orientation), lambda: image)
    is_exif, start, length = tf.cond(
        is_webp, lambda: webp.find_exif(contents), lambda: _find_exif(contents, is_jpeg)
    )
    return tf.cond(
        is_exif,
        lambda: _upright(image, _orientation(tf.strings.substr(contents, start, length))),
        lambda: image,
    )


def _decode_plain(contents: tf.Tensor) -> tf.Tensor:
    """uint8 [height, width, 3] of the bytes of a format without EXIF rotation."""
    return tf.case(
        [
            (starts_with(contents, BMP), lambda: _decode_bmp(contents)),
            # TensorFlow would decode all frames, though only one is wanted.
            (starts_with(contents, GIF), lambda: _decode_rgb(gif.first_frame(contents)[0])),
        ],
        # TensorFlow quotes unknown bytes in its error, which Python then fails to read.
        default=lambda: _decode_rgb(tf.where(starts_with(contents, PNG), contents, b"")),
    )


def _find_exif(contents: tf.Tensor, is_jpeg: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Whether a JPEG holds an Exif block, where it starts, its length: scalar bool, int32, int32.

    The APP and COM segments at the start of the file are walked, where the standard has it, so
    that nothing in a thumbnail or in the pixels can pass for one. The operations are few, because
    for most images they are all that the rotation costs.
    """

    def words_at(position: tf.Tensor) -> tf.Tensor:  # [5]: marker, length, "Ex", "if", 0
        head = tf.strings.substr(contents, position, 10)
        return tf.cast(tf.io.decode_raw(head, tf.uint16, little_endian=False), tf.int32)

    def is_exif(words: tf.Tensor) -> tf.Tensor:  # [5] -> scalar
        return tf.reduce_all(words * [1, 0, 1, 1, 1] == [0xFFE1, 0, 0x4578, 0x6966, 0])

    def goes_on(position: tf.Tensor, words: tf.Tensor) -> tf.Tensor:  # scalar, [5] -> scalar
        is_skippable = (words[0] // 16 == 0xFFE) | (words[0] == 0xFFFE)
        is_inside = position + words[1] < tf.strings.length(contents) - 12
        return is_skippable & is_inside & ~is_exif(words)

    def next_segment(position: tf.Tensor, words: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        position += 2 + words[1]
        return position, words_at(position)  # scalar, [5]

    # Other formats have no marker at 0, which ends the walk at once.
    start = tf.where(is_jpeg, 2, 0)
    position, words = tf.while_loop(goes_on, next_segment, [start, words_at(start)])
    return is_exif(words), position + 10, tf.maximum(words[1] - 8, 0)


def _orientation(exif: tf.Tensor) -> tf.Tensor:
    """The orientation that the first directory of an Exif block has: scalar int32, 1 to 8.

    1 if there is none.
    """
    exif = tf.strings.join([exif, bytes(12)])  # so that no offset below leads out of it
    length = tf.strings.length(exif)
    is_little = tf.strings.substr(exif, 0, 4) == b"II*\0"
    is_big = tf.strings.substr(exif, 0, 4) == b"MM\0*"

    def read(position: tf.Tensor | int, size: tf.Tensor | int, dtype: tf.DType) -> tf.Tensor:
        part = tf.strings.substr(exif, position, size)
        # [n], as many numbers as there are
        little, big = (tf.io.decode_raw(part, dtype, little_endian=end) for end in (True, False))
        return tf.cast(tf.where(is_little, little, big), tf.int32)

    offset = read(4, 4, tf.int32)[0]
    directory = tf.clip_by_value(offset, 0, length - 2)
    count = tf.minimum(read(directory, 2, tf.uint16)[0], (length - 2 - directory) // 12)
    entries = tf.reshape(read(directory + 2, 12 * count, tf.uint16), [-1, 6])  # [count, 6]
    # Tag 0x0112, type 3 (16 bits), one value: the only form that the standard has.
    expected = tf.where(is_little, [0x0112, 3, 1, 0], [0x0112, 3, 0, 1])
    found = tf.reduce_all(entries[:, :4] == expected, axis=1)
    value = tf.reduce_max(tf.where(found, entries[:, 4], 0))  # of no entries, the least int32
    is_valid = (is_little | is_big) & (directory == offset) & (value >= 1) & (value <= 8)
    return tf.where(is_valid, value, 1)


def _upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns and mirrors an image, [height, width, 3], as orientations 2 to 8 (a scalar) ask."""
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    # Not slices of step -1: they take 20 times as long.
    return tf.raw_ops.Reverse(tensor=image, dims=tf.gather(_REVERSED, orientation))


def _decode_bmp(contents: tf.Tensor) -> tf.Tensor:
    """uint8 [height, width, 3] of the bytes of a BMP file."""
    header = tf.io.decode_raw(tf.strings.substr(contents, 2, 32), tf.int32)
    pixels_at, header_size, width, height, planes_and_bits, compression = tf.unstack(header, 8)[2:]
    bits = planes_and_bits // 65536
    row_bytes = (width * bits + 31) // 32 * 4
    # Some programs pad the file, which TensorFlow refuses.
    unpadded = tf.strings.substr(contents, 0, pixels_at + row_bytes * tf.abs(height))
    # 3 means plain rows, too. Others TensorFlow would take for such: it gets nothing, and fails.
    is_plain = (compression == 0) | (compression == 3)
    return tf.cond(
        (bits <= 8) & is_plain,
        lambda: _decode_palette_bmp(unpadded, pixels_at, 14 + header_size, width, height, bits),
        lambda: _decode_rgb(tf.where(is_plain, unpadded, BMP)),
    )


def _decode_palette_bmp(
    contents: tf.Tensor,
    pixels_at: tf.Tensor,
    palette_at: tf.Tensor,
    width: tf.Tensor,
    height: tf.Tensor,
    bits: tf.Tensor,
) -> tf.Tensor:
    """uint8 [height, width, 3] of a BMP of 1, 4 or 8 bits to a pixel.

    TensorFlow would take its indices for shades of gray.
    """
    data = tf.io.decode_raw(contents, tf.uint8)
    colors = (pixels_at - palette_at) // 4
    bgrx = tf.reshape(data[palette_at : palette_at + 4 * colors], [colors, 4])
    bgrx = tf.pad(bgrx, [[0, 256], [0, 0]])  # colours that the palette has not are black
    packed = data[pixels_at:]
    # The leftmost pixel of a byte lies in its highest bits.
    shifts = tf.cast(tf.range(8 - bits, -1, -bits), tf.uint8)
    indices = tf.bitwise.right_shift(packed[:, tf.newaxis], shifts)
    indices = tf.bitwise.bitwise_and(indices, tf.cast(2**bits - 1, tf.uint8))
    indices = tf.reshape(indices, [tf.abs(height), -1])[:, :width]
    image = tf.gather(bgrx[:, 2::-1], tf.cast(indices, tf.int32))
    return tf.cond(height > 0, lambda: tf.reverse(image, [0]), lambda: image)


def not_decoded(name: str, error: tf.errors.InvalidArgumentError) -> DataError:
    """The error that names an image which `decode_image` failed on."""
    # Without the names of operations that TensorFlow puts around its reason.
    reason = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", error.message).strip().rstrip(".")
    return pillow.undecodable(name, reason)
