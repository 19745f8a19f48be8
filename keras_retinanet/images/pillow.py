"""Images that Pillow reads, TensorFlow not: TIFF, AVIF and HEIC. Loads no TensorFlow.

Of several pages or frames the first is taken. 16-bit values keep their high byte and alpha is
dropped, as for other formats; a TIFF of 9 to 15 bits keeps its 8 highest.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from PIL import AvifImagePlugin, Image, TiffImagePlugin

from keras_retinanet.errors import DataError

REMEDY = "replace it or leave it out of the data"

# TensorFlow decodes up to 2**29 values, 3 to a pixel.
MAX_PIXELS = 2**29 // 3

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two are BigTIFF

# What the box `ftyp` at the start of a file says of it.
_AVIF = (b"avif", b"avis")
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

_ORIENTATION, _BITS = 0x0112, 0x0102  # tags

_NO_HEIC = (
    "HEIC images are read with the package pillow-heif only; install it, or convert it to JPEG"
)


def is_for_pillow(head: bytes) -> bool:
    """Whether a file is read here, by its first 12 bytes."""
    return head.startswith(_TIFF) or (head[4:8] == b"ftyp" and head[8:12] in _AVIF + _HEIC)


def read_size(name: str, file: BinaryIO) -> tuple[int, int, int]:
    """Height and width as stored, and the EXIF orientation; pixels are not decoded.

    Raises:
        DataError: naming the file, if it cannot be read or has no form that `decode` takes.
    """
    with _open(name, file) as image:
        orientation = _orientation(image)
        width, height = image.size
        # Pillow has exchanged the sides of a TIFF, no others.
        if orientation > 4 and isinstance(image, TiffImagePlugin.TiffImageFile):
            width, height = height, width
        return height, width, orientation


def decode(name: str, encoded: bytes, orientation: int | None = None) -> np.ndarray:
    """Decodes an image: uint8 [height, width, 3], RGB.

    Args:
        name: of the file, for messages.
        encoded: its bytes.
        orientation: 1 to 8, by which the image is turned upright; None for what it says itself.

    Raises:
        DataError: naming the file, if it cannot be decoded.
    """
    with _open(name, io.BytesIO(_first_page(encoded))) as image:
        own = _orientation(image)
        image.getexif().pop(_ORIENTATION, None)  # by which Pillow would turn a TIFF
        try:
            pixels = _rgb(image)
        except Exception as error:
            raise undecodable(name, error) from error
    return turned(pixels, own if orientation is None else orientation)


def for_servers(name: str, encoded: bytes) -> bytes:
    """An image in a form that servers take: one of those that are read here as an upright PNG.

    Raises:
        DataError: naming the file, if it cannot be decoded.
    """
    if not is_for_pillow(encoded[:12]):
        return encoded
    file = io.BytesIO()
    Image.fromarray(decode(name, encoded)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """An image [height, width, 3] turned upright by its EXIF orientation, 1 to 8."""
    if orientation > 4:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _open(name: str, file: BinaryIO) -> Image.Image:
    """Opens an image by its own reader, so that rubbish reaches no other."""
    file.seek(0)
    head = file.read(64)
    file.seek(0)
    reader: Callable[[BinaryIO], Image.Image] = TiffImagePlugin.TiffImageFile
    if head[4:8] == b"ftyp":
        is_avif = any(brand in head[8:] for brand in _AVIF)
        reader = AvifImagePlugin.AvifImageFile if is_avif else _heic_reader(name)
    try:
        image = reader(file)
    except Exception as error:  # of many kinds, by the damage
        raise undecodable(name, error) from error
    if image.mode in ("I", "F", "LAB"):
        kind = "of CIELAB colours" if image.mode == "LAB" else "of 32 bits or of signed values"
        raise DataError(f"{name}: {image.format} images {kind} are not read; convert it to RGB")
    check_pixels(name, *image.size)
    return image


def _heic_reader(name: str) -> Callable[[BinaryIO], Image.Image]:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise DataError(f"{name}: {_NO_HEIC}") from None
    return HeifImageFile


def undecodable(name: str, error: Exception | str) -> DataError:
    """The error that names an image which cannot be decoded, and why."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"{name}: the image cannot be decoded ({reason}); {REMEDY}")


def _orientation(image: Image.Image) -> int:
    # Not what XMP says, which Pillow would add to the EXIF block of a TIFF.
    is_tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
    tags = image.tag_v2 if is_tiff else image.getexif()  # type: ignore[attr-defined]
    value = tags.get(_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _first_page(encoded: bytes) -> bytes:
    """A TIFF without its other pages, all of whose headers Pillow would read; others as it is."""
    if not encoded.startswith(_TIFF) or len(encoded) < 16:
        return encoded
    order = "<" if encoded.startswith(b"II") else ">"
    # Where the directory lies, how many entries it has and how long these are.
    at, count, entry, position = (4, "I", 12, "H") if b"*" in encoded[:4] else (8, "Q", 20, "Q")
    (directory,) = struct.unpack_from(order + count, encoded, at)
    head = struct.calcsize(position)
    if directory + head > len(encoded):
        return encoded
    (entries,) = struct.unpack_from(order + position, encoded, directory)
    end = directory + head + entry * entries
    size = struct.calcsize(count)
    return encoded[:end] + bytes(size) + encoded[end + size :]


def check_pixels(name: str, width: int, height: int, most: int = MAX_PIXELS) -> None:
    """Raises a DataError that names an image of more pixels than can be decoded."""
    if height * width > most:
        raise DataError(
            f"{name}: {width} x {height} pixels are too many, at most {most} can be decoded; "
            "shrink it or cut it into tiles"
        )


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        bits = image.tag_v2.get(_BITS, (16,))[0]  # type: ignore[attr-defined]
        return np.repeat((values >> (bits - 8)).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.mode == "RGBa":  # with alpha multiplied in, which Pillow undoes in two steps
        return np.asarray(image.convert("RGBA").convert("RGB"))
    return np.asarray(image.convert("RGB"))
