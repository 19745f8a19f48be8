"""Image headers: size and orientation of a file without decoding it. Loads no TensorFlow."""

from __future__ import annotations

import io
import os
import stat
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from PIL import Image

from keras_retinanet.errors import DataError
from keras_retinanet.images import pillow
from keras_retinanet.images.pillow import REMEDY, check_pixels

# The endings of the names of image files, in small letters: of those that TensorFlow decodes, then
# of those that Pillow does.
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif"),
)

# What messages call these.
READABLE = "JPEG, PNG, GIF, BMP, WebP, TIFF, AVIF and HEIC"

# How files begin.
JPEG, PNG, GIF, BMP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM"

# The scans of a JPEG times its pixels: each scan passes over all of them, so that a file of 1 MB
# may take hours. 12 megapixels may have 178 scans, where encoders write 10.
MAX_SCANNED_PIXELS = 2**31

# Segments of a JPEG, or bytes of rubbish between them, that are looked at before its pixels; and
# chunks of a WebP file. Cameras write some dozens.
MAX_SEGMENTS, MAX_CHUNKS = 10_000, 100

# Blocks of a GIF up to the end of its first frame, full ones (of 255 bytes) not counted.
MAX_GIF_BLOCKS = 10_000

# (bits to a pixel, compression) of the BMP files that are decoded: plain rows, the last with masks
# that say which byte is which colour.
_BMP_KINDS = {(1, 0), (4, 0), (8, 0), (24, 0), (32, 0), (32, 3)}

_NO_WAITING = getattr(os, "O_NONBLOCK", 0)  # Windows has none


class ImageHeader(NamedTuple):
    """The header of an image file.

    Attributes:
        height: rows, before any EXIF rotation.
        width: columns, before any EXIF rotation.
        exif_orientation: 1 to 8, 1 for upright; always 1 for PNG, GIF and BMP.
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

    Pixels are not decoded: a file that passes may still be corrupt inside, which
    `images.faults` finds. Bytes after the end of the image are allowed.

    Args:
        path: the file.
        encoded: its contents, where the image lies in no file of its own; `path` is only named.

    Raises:
        DataError: naming the file, if it is missing, no regular file, empty, truncated, too large
            or of too many scans, not an image, or one of another format than `READABLE`.
    """
    path = os.fspath(path)
    try:
        with (
            open(path, "rb", opener=_open_regular) if encoded is None else io.BytesIO(encoded)
        ) as file:
            header = _read_header(path, file)
    except DataError:
        raise
    except FileNotFoundError:
        raise missing(path) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from None
    except ValueError:  # a zero byte or half a surrogate pair
        raise DataError(f"{path!r}: not a name that a file can have; correct it") from None
    if min(header.height, header.width) < 1:
        raise DataError(f"{path}: the header gives no size, the file is damaged; {REMEDY}")
    check_pixels(path, header.width, header.height)
    return header


def missing(path: str) -> DataError:
    """The error that names a file that is not there."""
    return DataError(f"{path}: no such file; put it there or leave it out of the data")


def _open_regular(path: str, flags: int) -> int:
    """Opens a file; of a pipe or a device, which might have no end, it waits for nothing."""
    descriptor = os.open(path, flags | _NO_WAITING)
    if stat.S_ISREG(mode := os.fstat(descriptor).st_mode) or stat.S_ISDIR(mode):
        return descriptor  # `open` has words for a folder
    os.close(descriptor)
    raise DataError(f"{path}: a pipe or a device, not a file; save the image as a file first")


def _read_header(path: str, file: BinaryIO) -> ImageHeader:
    head = file.read(32)
    readers = {JPEG: _read_jpeg, PNG: _read_png, GIF: _read_gif, BMP: _read_bmp}
    for start, read in readers.items():
        if head.startswith(start):
            return read(path, file)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _read_webp(path, file)
    if pillow.is_for_pillow(head):
        return ImageHeader(*pillow.read_size(path, file))
    if not head:
        raise DataError(f"{path}: the file is empty (zero bytes); {REMEDY}")
    raise DataError(f"{path}: {_unsupported(file)}")


def _unsupported(file: BinaryIO) -> str:
    try:
        with Image.open(file) as image:
            kind = image.format
    except Exception:  # whatever Pillow makes of rubbish
        return f"not an image ({READABLE} can be read); {REMEDY}"
    return f"{kind} images are not supported; convert it to JPEG or PNG"


def _read_jpeg(path: str, file: BinaryIO) -> ImageHeader:
    orientation, is_leading = 0, True
    marker = components = scan_at = 0
    for position, head in _jpeg_segments(file):
        kind, length = struct.unpack_from(">HH", head)
        if kind == 0xFFDA:  # the first scan: pixels begin
            scan_at = position
            break
        if not marker and 0xFFC0 <= kind <= 0xFFCF and kind not in (0xFFC4, 0xFFC8, 0xFFCC):
            marker, (height, width, components) = kind, struct.unpack_from(">HHB", head, 5)
        # The EXIF orientation counts where `images.decode` looks for it.
        is_leading = is_leading and (kind // 16 == 0xFFE or kind == 0xFFFE)
        if is_leading and not orientation and kind == 0xFFE1 and head[4:] == b"Exif\0\0":
            orientation = _orientation_of(file.read(max(length - 8, 0)))
    if not marker:
        raise DataError(f"{path}: the header of the JPEG file is damaged or cut; {REMEDY}")
    if not scan_at:
        raise DataError(f"{path}: the JPEG file is truncated; {REMEDY}")
    # From here on, past any thumbnail, the mark of the end occurs only there.
    _check_end(path, file, "JPEG", b"\xff\xd9", scan_at)
    if marker > 0xFFC1 or head[4] < components:  # progressive, or a scan for each colour
        file.seek(scan_at)
        scans = file.read().count(b"\xff\xda")
        if scans * height * width > MAX_SCANNED_PIXELS:
            raise DataError(
                f"{path}: {scans} scans of {width} x {height} pixels would take too long to "
                "decode; save it anew"
            )
    return ImageHeader(height, width, orientation or 1)


def _jpeg_segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Where each segment starts, and each byte of rubbish, and the 10 bytes from there on.

    The file stands behind these then.
    """
    position = 2
    for _ in range(MAX_SEGMENTS):
        file.seek(position)
        head = file.read(10)
        if len(head) < 10:
            return
        marker, length = struct.unpack_from(">HH", head)
        yield position, head
        # Filling and rubbish between segments is passed over, as the decoder does it.
        position += 2 + length if 0xFF00 < marker < 0xFFFF else 1


def _read_png(path: str, file: BinaryIO) -> ImageHeader:
    _check_end(path, file, "PNG", b"IEND\xaeB`\x82", 8)
    file.seek(16)
    width, height = struct.unpack(">II", file.read(8).ljust(8, b"\0"))
    return ImageHeader(height, width, 1)


def _read_gif(path: str, file: BinaryIO) -> ImageHeader:
    """The header of the first frame, which may be smaller than the screen around it."""
    left = MAX_GIF_BLOCKS

    def take(count: int) -> bytes:
        data = file.read(count)
        if len(data) < count:
            raise DataError(f"{path}: the GIF file is truncated; {REMEDY}")
        return data

    def skip_palette(flags: int) -> None:
        take(3 << (flags % 8 + 1) if flags >= 128 else 0)

    def skip_data() -> None:  # blocks, each after its length, and one of length 0
        nonlocal left
        while length := take(1)[0]:
            take(length)
            left -= length < 255
            if left < 0:
                raise DataError(f"{path}: the GIF file is in too many pieces; save it anew")

    file.seek(10)
    skip_palette(take(3)[0])
    while (kind := take(1)) == b"!":  # extensions, such as comments
        left -= 1
        take(1)
        skip_data()
    if kind != b",":
        raise DataError(f"{path}: the GIF file holds no image; {REMEDY}")
    width, height, flags = struct.unpack("<4xHHB", take(9))
    skip_palette(flags)
    take(1)
    skip_data()
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
        raise DataError(f"{path}: the BMP file is truncated; {REMEDY}")
    return ImageHeader(height, width, 1)


def _read_webp(path: str, file: BinaryIO) -> ImageHeader:
    """The header of a still image; the chunks of an extended file may hold EXIF, too."""
    size = file.seek(0, os.SEEK_END)
    position, header, orientation = 12, None, 1
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        chunk = file.read(18)
        if len(chunk) < 8:
            break
        kind, length = struct.unpack_from("<4sI", chunk)
        if kind == b"VP8X" and len(chunk) > 8 and chunk[8] & 2:
            raise DataError(
                f"{path}: animated WebP images are not supported; save one frame as JPEG or PNG"
            )
        if header is None and kind in (b"VP8 ", b"VP8L"):
            if position + 8 + length > size or len(chunk) < 18:
                raise DataError(f"{path}: the WebP file is truncated; {REMEDY}")
            header = _webp_sides(kind, chunk[8:])
        if kind == b"EXIF":
            file.seek(position + 8)
            orientation = _orientation_of(file.read(length).removeprefix(b"Exif\0\0"))
            break
        position += 8 + length + length % 2
    if header is None:
        raise DataError(f"{path}: the WebP file is damaged or cut; {REMEDY}")
    return ImageHeader(*header, orientation)


def _webp_sides(kind: bytes, data: bytes) -> tuple[int, int]:
    """Height and width by the first 10 bytes of an image, lossy or lossless; 14 bits each."""
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 6)
        return height % 2**14, width % 2**14
    (bits,) = struct.unpack_from("<I", data, 1)
    return (bits >> 14) % 2**14 + 1, bits % 2**14 + 1


def _check_end(path: str, file: BinaryIO, kind: str, mark: bytes, start: int) -> None:
    """DataError unless the bytes that end an image are found after `start`.

    They are looked for near the end of the file at first, then everywhere: phones append films.
    """
    size = file.seek(0, os.SEEK_END)
    for position in (max(start, size - 1024), start):
        file.seek(position)
        if mark in file.read():
            return
    raise DataError(f"{path}: the {kind} file is truncated; {REMEDY}")


def _orientation_of(exif: bytes) -> int:
    """The orientation in an Exif block, which `images.decode` finds in the graph."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    exif += bytes(12)
    if order is None:
        return 1
    (directory,) = struct.unpack_from(order + "i", exif, 4)
    if not 0 <= directory <= len(exif) - 2:
        return 1
    (count,) = struct.unpack_from(order + "H", exif, directory)
    count = min(count, (len(exif) - 2 - directory) // 12)
    entries = struct.iter_unpack(order + "HHIHxx", exif[directory + 2 :][: 12 * count])
    value = max((value for *head, value in entries if head == [0x0112, 3, 1]), default=1)
    return value if 1 <= value <= 8 else 1
