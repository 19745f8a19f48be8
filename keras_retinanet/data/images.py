"""Image files: bytes to RGB pixels in the graph, and what a header tells without decoding.

JPEG, PNG, GIF (its first frame) and BMP are read. EXIF rotation is honoured for JPEG, the format
that cameras write it in; other metadata (XMP, colour profiles, gamma) is not looked at.
"""

from __future__ import annotations

import io
import os
import re
import struct
from typing import BinaryIO, NamedTuple

import tensorflow as tf
from PIL import Image

from keras_retinanet.data.dataset import DataError

# The endings of the names of image files, in small letters.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp")

_JPEG = b"\xff\xd8\xff"

# TensorFlow decodes up to 2**29 values, 3 to a pixel.
_MAX_PIXELS = 2**29 // 3

_REMEDY = "replace it or leave it out of the data"

# (bits to a pixel, compression) of the BMP files that are decoded: plain rows, the last with masks
# that say which byte is which colour.
_BMP_KINDS = {(1, 0), (4, 0), (8, 0), (24, 0), (32, 0), (32, 3)}

# By orientation, whether rows, columns and channels are reversed, after the transposition that 5
# to 8 ask for.
_REVERSED = [[o in (3, 4, 7, 8), o in (2, 3, 6, 7), False] for o in range(9)]


def decode_image(contents: tf.Tensor, orientation: int | tf.Tensor | None = None) -> tf.Tensor:
    """Decodes an encoded image into RGB pixels, with graph operations only.

    Grayscale, palette, CMYK and 1-bit images are converted; 16-bit values keep their high byte.
    Alpha is dropped, not composited over some background: so does PIL's `convert("RGB")`, and with
    it the loaders of other detectors. JPEG is decoded with the accurate integer DCT, which gives
    PIL's pixels bit for bit (those of CMYK within 1, by the rounding of the conversion).

    Args:
        contents: scalar string, the bytes of the file.
        orientation: 1 to 8, by which the image is turned upright; None for what the EXIF of a JPEG
            says, which takes a sixth longer to find out.

    Returns:
        uint8 [height, width, 3].

    Raises:
        tf.errors.InvalidArgumentError: at run time, for bytes that are not a whole image of a
            known format. It does not name the file: `data.image_faults` finds that.
    """
    contents = tf.convert_to_tensor(contents, tf.string)
    is_jpeg = _starts_with(contents, _JPEG)
    image = tf.cond(
        is_jpeg,
        lambda: tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.cond(
            _starts_with(contents, b"BM"),
            lambda: _decode_bmp(contents),
            lambda: tf.io.decode_image(contents, channels=3, expand_animations=False),
        ),
    )
    image.set_shape([None, None, 3])
    if orientation is not None:
        orientation = tf.convert_to_tensor(orientation, tf.int32)
        return tf.cond(orientation > 1, lambda: _upright(image, orientation), lambda: image)
    is_exif, start, length = _find_exif(contents, is_jpeg)
    return tf.cond(
        is_exif,
        lambda: _upright(image, _orientation(tf.strings.substr(contents, start, length))),
        lambda: image,
    )


def _find_exif(contents: tf.Tensor, is_jpeg: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Whether a JPEG holds an Exif block, where it starts and its length: bool, int32, int32.

    The APP and COM segments at the start of the file are walked, where the standard has it, so
    that nothing in a thumbnail or in the pixels can pass for one. The operations are few, because
    for most photographs they are all that the rotation costs.
    """

    def words_at(position: tf.Tensor) -> tf.Tensor:  # marker, length, "Ex", "if", 0
        head = tf.strings.substr(contents, position, 10)
        return tf.cast(tf.io.decode_raw(head, tf.uint16, little_endian=False), tf.int32)

    def is_exif(words: tf.Tensor) -> tf.Tensor:
        return tf.reduce_all(words * [1, 0, 1, 1, 1] == [0xFFE1, 0, 0x4578, 0x6966, 0])

    def goes_on(position: tf.Tensor, words: tf.Tensor) -> tf.Tensor:
        is_skippable = (words[0] // 16 == 0xFFE) | (words[0] == 0xFFFE)
        is_inside = position + words[1] < tf.strings.length(contents) - 12
        return is_skippable & is_inside & ~is_exif(words)

    def next_segment(position: tf.Tensor, words: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        position += 2 + words[1]
        return position, words_at(position)

    # Other formats have no marker at 0, which ends the walk at once.
    start = tf.where(is_jpeg, 2, 0)
    position, words = tf.while_loop(goes_on, next_segment, [start, words_at(start)])
    return is_exif(words), position + 10, tf.maximum(words[1] - 8, 0)


def _orientation(exif: tf.Tensor) -> tf.Tensor:
    """The orientation, int32 1 to 8, in the first directory of an Exif block; 1 if it has none."""
    exif = tf.strings.join([exif, bytes(12)])  # so that no offset below leads out of it
    length = tf.strings.length(exif)
    is_little = tf.strings.substr(exif, 0, 4) == b"II*\0"
    is_big = tf.strings.substr(exif, 0, 4) == b"MM\0*"

    def read(position: tf.Tensor | int, size: tf.Tensor | int, dtype: tf.DType) -> tf.Tensor:
        part = tf.strings.substr(exif, position, size)
        little, big = (tf.io.decode_raw(part, dtype, little_endian=end) for end in (True, False))
        return tf.cast(tf.where(is_little, little, big), tf.int32)

    offset = read(4, 4, tf.int32)[0]
    directory = tf.clip_by_value(offset, 0, length - 2)
    count = tf.minimum(read(directory, 2, tf.uint16)[0], (length - 2 - directory) // 12)
    entries = tf.reshape(read(directory + 2, 12 * count, tf.uint16), [-1, 6])
    # Tag 0x0112, type 3 (16 bits), one value: the only form that the standard has.
    expected = tf.where(is_little, [0x0112, 3, 1, 0], [0x0112, 3, 0, 1])
    found = tf.reduce_all(entries[:, :4] == expected, axis=1)
    value = tf.reduce_max(tf.where(found, entries[:, 4], 0))  # of no entries, the least int32
    is_valid = (is_little | is_big) & (directory == offset) & (value >= 1) & (value <= 8)
    return tf.where(is_valid, value, 1)


def _upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns and mirrors an image, [height, width, 3], as orientations 2 to 8 ask."""
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
        lambda: tf.io.decode_image(
            tf.where(is_plain, unpadded, b"BM"), channels=3, expand_animations=False
        ),
    )


def _decode_palette_bmp(
    contents: tf.Tensor,
    pixels_at: tf.Tensor,
    palette_at: tf.Tensor,
    width: tf.Tensor,
    height: tf.Tensor,
    bits: tf.Tensor,
) -> tf.Tensor:
    """A BMP of 1, 4 or 8 bits to a pixel: TensorFlow would take its indices for shades of gray."""
    data = tf.io.decode_raw(contents, tf.uint8)
    colors = (pixels_at - palette_at) // 4
    bgrx = tf.reshape(data[palette_at : palette_at + 4 * colors], [colors, 4])
    packed = data[pixels_at:]
    # The leftmost pixel of a byte lies in its highest bits.
    shifts = tf.cast(tf.range(8 - bits, -1, -bits), tf.uint8)
    indices = tf.bitwise.right_shift(packed[:, tf.newaxis], shifts)
    indices = tf.bitwise.bitwise_and(indices, tf.cast(2**bits - 1, tf.uint8))
    indices = tf.reshape(indices, [tf.abs(height), -1])[:, :width]
    image = tf.gather(bgrx[:, 2::-1], tf.cast(indices, tf.int32))
    return tf.cond(height > 0, lambda: tf.reverse(image, [0]), lambda: image)


def _starts_with(contents: tf.Tensor, prefix: bytes) -> tf.Tensor:
    return tf.strings.substr(contents, 0, len(prefix)) == prefix


class ImageHeader(NamedTuple):
    """What the header of an image file says.

    Attributes:
        height: rows, before any EXIF rotation.
        width: columns, before any EXIF rotation.
        exif_orientation: 1 to 8, 1 for upright; always 1 for other formats than JPEG.
    """

    height: int
    width: int
    exif_orientation: int

    @property
    def upright_size(self) -> tuple[int, int]:
        """(height, width) after the EXIF rotation: 5 to 8 exchange them."""
        size = self.height, self.width
        return size if self.exif_orientation < 5 else size[::-1]


def read_header(path: str | os.PathLike[str], encoded: bytes | None = None) -> ImageHeader:
    """Reads size and orientation of an image file, and checks cheaply that the file is whole.

    Pixels are not decoded, but for GIF (which is rare, and has no mark to tell its end by): a file
    that passes may still be corrupt inside, which `data.image_faults` finds. Bytes after the end
    of the image are allowed.

    Args:
        path: the file.
        encoded: its contents, where the image lies in no file of its own; `path` is only named.

    Raises:
        DataError: naming the file, if it is missing, empty, truncated, too large, not an image, or
            one of another format than JPEG, PNG, GIF and BMP.
    """
    path = os.fspath(path)
    try:
        with open(path, "rb") if encoded is None else io.BytesIO(encoded) as file:
            header = _read_header(path, file)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; put it there or leave it out of the data") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {_REMEDY}") from None
    except ValueError:  # a zero byte or half a surrogate pair
        raise DataError(f"{path!r}: not a name that a file can have; correct it") from None
    if min(header.height, header.width) < 1:
        raise DataError(f"{path}: the header gives no size, the file is damaged; {_REMEDY}")
    if header.height * header.width > _MAX_PIXELS:
        raise DataError(
            f"{path}: {header.width} x {header.height} pixels are too many, "
            f"at most {_MAX_PIXELS} can be decoded; cut it into tiles"
        )
    return header


def _read_header(path: str, file: BinaryIO) -> ImageHeader:
    head = file.read(32)
    if head.startswith(_JPEG):
        return _read_jpeg(path, file)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _read_png(path, file)
    if head.startswith(b"GIF8"):
        return _read_gif(path, file)
    if head.startswith(b"BM"):
        return _read_bmp(path, file)
    if not head:
        raise DataError(f"{path}: the file is empty (zero bytes); {_REMEDY}")
    raise DataError(f"{path}: {_unsupported(file, head)}")


def _unsupported(file: BinaryIO, head: bytes) -> str:
    try:
        with Image.open(file) as image:
            kind = image.format
    except (OSError, ValueError, EOFError, Image.DecompressionBombError):
        if head[4:12] not in (b"ftypheic", b"ftypheix", b"ftypmif1"):
            return f"not an image (JPEG, PNG, GIF and BMP can be read); {_REMEDY}"
        kind = "HEIC"
    return f"{kind} images are not supported; convert it to JPEG or PNG"


def _read_jpeg(path: str, file: BinaryIO) -> ImageHeader:
    orientation, is_leading, position = 0, True, 2
    while True:
        file.seek(position)
        head = file.read(10)
        if len(head) < 10:
            raise DataError(f"{path}: the header of the JPEG file is damaged or cut; {_REMEDY}")
        marker, length = struct.unpack_from(">HH", head)
        if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
            height, width = struct.unpack_from(">HH", head, 5)
            break
        # The EXIF orientation counts where `_find_exif` looks for it.
        is_leading = is_leading and (marker // 16 == 0xFFE or marker == 0xFFFE)
        if is_leading and not orientation and marker == 0xFFE1 and head[4:] == b"Exif\0\0":
            orientation = _orientation_of(file.read(max(length - 8, 0)))
        # Filling and rubbish between segments is passed over, as the decoder does it.
        position += 2 + length if 0xFF00 < marker < 0xFFFF else 1
    # From here on, past any thumbnail, the mark of the end occurs only there.
    _check_end(path, file, "JPEG", b"\xff\xd9", position)
    return ImageHeader(height, width, orientation or 1)


def _read_png(path: str, file: BinaryIO) -> ImageHeader:
    _check_end(path, file, "PNG", b"IEND\xaeB`\x82", 8)
    file.seek(16)
    width, height = struct.unpack(">II", file.read(8).ljust(8, b"\0"))
    return ImageHeader(height, width, 1)


def _read_gif(path: str, file: BinaryIO) -> ImageHeader:
    # The first frame may be smaller than the screen that the header gives.
    file.seek(0)
    try:
        height, width, _ = decode_image(file.read(), orientation=1).shape
    except tf.errors.InvalidArgumentError as error:
        raise not_decoded(path, error) from None
    return ImageHeader(height, width, 1)


def _read_bmp(path: str, file: BinaryIO) -> ImageHeader:
    file.seek(10)
    fields = struct.unpack("<IIiiHHI", file.read(24).ljust(24, b"\0"))
    pixels_at, header_size, width, height, _, bits, compression = fields
    if header_size < 40 or (bits, compression) not in _BMP_KINDS:
        raise DataError(
            f"{path}: BMP images of {bits} bits a pixel, compression {compression} and a header of "
            f"{header_size} bytes are not supported; convert it to JPEG or PNG"
        )
    height = abs(height)
    if file.seek(0, os.SEEK_END) < pixels_at + (width * bits + 31) // 32 * 4 * height:
        raise DataError(f"{path}: the BMP file is truncated; {_REMEDY}")
    return ImageHeader(height, width, 1)


def _check_end(path: str, file: BinaryIO, kind: str, mark: bytes, start: int) -> None:
    """DataError unless the bytes that end an image are found after `start`.

    They are looked for near the end of the file at first, then everywhere: phones append films.
    """
    size = file.seek(0, os.SEEK_END)
    for position in (max(start, size - 1024), start):
        file.seek(position)
        if mark in file.read():
            return
    raise DataError(f"{path}: the {kind} file is truncated; {_REMEDY}")


def _orientation_of(exif: bytes) -> int:
    """What `_orientation` computes in the graph."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    exif += bytes(12)
    if order is None:
        return 1
    (directory,) = struct.unpack_from(order + "i", exif, 4)
    if not 0 <= directory <= len(exif) - 2:
        return 1
    (count,) = struct.unpack_from(order + "H", exif, directory)
    count = min(count, (len(exif) - 2 - directory) // 12)
    starts = range(directory + 2, directory + 2 + 12 * count, 12)
    entries = [struct.unpack_from(order + "HHIH", exif, start) for start in starts]
    value = max((value for *head, value in entries if head == [0x0112, 3, 1]), default=1)
    return value if 1 <= value <= 8 else 1


def not_decoded(name: str, error: tf.errors.InvalidArgumentError) -> DataError:
    """The error that names an image which `decode_image` failed on."""
    # Without the names of operations that TensorFlow puts around its reason.
    reason = " ".join(re.sub(r"\{\{.*?\}\}|\[Op:.*", "", error.message).split()).rstrip(".")
    return DataError(f"{name}: the image cannot be decoded ({reason}); {_REMEDY}")
