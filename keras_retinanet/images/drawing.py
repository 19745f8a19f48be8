"""Images with boxes on them, to look at: detections, detections beside the truth, overviews."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import itertools
import math
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont, ImageOps

Color = tuple[int, int, int]
Rectangle = tuple[float, float, float, float]

LONGER_SIDE = 400  # A smaller image is enlarged by a whole factor to at least this many pixels.
SHORTER_SIDE = 64  # A narrower image gets grey beside it, so that there is room for a label.
CELL_SIDE = 1024  # A contact sheet shrinks larger images to this many pixels.
JPEG_SIDE = 65_500  # libjpeg writes no more pixels to a side.
GAP = 8
PAPER: Color = (255, 255, 255)
BESIDE: Color = (128, 128, 128)
BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)

# Colours that colour-blind people tell apart, without its black: M. Okabe and K. Ito, "Color
# Universal Design", 2008, https://jfly.uni-koeln.de/color/.
_OKABE_ITO: tuple[Color, ...] = (
    (213, 94, 0),
    (86, 180, 233),
    (240, 228, 66),
    (0, 158, 115),
    (204, 121, 167),
    (0, 114, 178),
    (230, 159, 0),
)
# Fonts that many systems have, for the scripts that DejaVu lacks. Pillow looks for them by name.
_SYSTEM_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "PingFang.ttc",
    "Arial Unicode.ttf",
    "msyh.ttc",
    "malgun.ttf",
    "Nirmala.ttf",
)


def class_color(label: int) -> Color:
    """The RGB colour of a class: the same for the same label, no two alike in the first 800.

    The first seven are told apart by colour-blind people too. Those that follow go round the
    colour wheel by the golden ratio, which keeps any few that come after one another apart, in
    three strengths.
    """
    if label < len(_OKABE_ITO):
        return _OKABE_ITO[label]
    index = label - len(_OKABE_ITO)
    hue = index * (math.sqrt(5) - 1) / 2 % 1
    saturation, value = ((90, 95), (55, 100), (85, 65))[index % 3]
    color = ImageColor.getrgb(f"hsv({360 * hue}, {saturation}%, {value}%)")
    return color[0], color[1], color[2]


def ink_color(color: Color) -> Color:
    """Black or white, whichever is read better on the colour (relative luminance, ITU-R 709)."""
    red, green, blue = ((channel / 255) ** 2.2 for channel in color)
    return BLACK if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else WHITE


def draw_detections(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray | None,
    names: Sequence[str],
) -> np.ndarray:
    """Draws labelled boxes on an image.

    A box's line runs around its pixels, not over them, except at the edge of the image. The
    first box lies on top, so detections are to be given best first. An image whose longer side
    is below 400 pixels is enlarged by a whole factor, so that the labels can be read, and one
    with a side below 64 after that gets grey pixels beside it.

    Args:
        image: uint8 [H, W, 3], RGB.
        boxes: [D, 4], xyxy in pixels of `image`; what lies outside is clipped.
        labels: [D], integer indices into `names`.
        scores: [D], shown with two decimals, or None to show the names alone.
        names: the class names. One that no font here can draw is shown as "class 7".

    Returns:
        uint8 [H', W', 3], the drawn image, as large as `image` or larger as said above.

    Raises:
        ValueError: if an array has another shape or type, a label is out of range or a box is not
            finite.
    """
    boxes, labels = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(labels)
    _check(image, boxes, labels, scores, names)
    drawn, scale = _enlarge(image)
    # On a screen 640x480 is read well with 3 and 14 pixels; larger images are shown shrunk.
    size = math.sqrt(drawn.width * drawn.height)
    line, font_size = max(2, round(size / 200)), max(14, round(size / 45))
    frames = [_frame(box * scale, line, drawn) for box in boxes]
    pen = ImageDraw.Draw(drawn)
    for frame, label in reversed(list(zip(frames, labels.tolist(), strict=True))):
        left, top, right, bottom = frame
        color = class_color(label)
        # With a hair line around it that sets it off from any background.
        pen.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=ink_color(color))
        pen.rectangle(frame, outline=color, width=line)
    taken: list[Rectangle] = []
    for i, (frame, label) in enumerate(zip(frames, labels.tolist(), strict=True)):
        text = (_printable(names[label], label), "" if scores is None else f" {scores[i]:.2f}")
        taken.append(_draw_label(drawn, text, frame, taken, class_color(label), font_size))
    return np.asarray(drawn)


def draw_comparison(
    image: np.ndarray,
    *,
    true_boxes: np.ndarray,
    true_labels: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    names: Sequence[str],
) -> np.ndarray:
    """Draws an image twice, side by side: left what is annotated, right what was detected.

    Args:
        image: uint8 [H, W, 3], RGB.
        true_boxes: [G, 4], xyxy in pixels of `image`.
        true_labels: [G], integer indices into `names`.
        boxes: [D, 4], like `true_boxes`, best first.
        labels: [D], like `true_labels`.
        scores: [D].
        names: the class names.

    Returns:
        uint8 [H', W', 3]: both images as `draw_detections` draws them, under a caption each.

    Raises:
        ValueError: as `draw_detections` does.
    """
    truth = draw_detections(image, true_boxes, true_labels, None, names)
    found = draw_detections(image, boxes, labels, scores, names)
    left = _under_caption(truth, f"annotated: {len(true_labels)}")
    right = _under_caption(found, f"detected: {len(labels)}")
    gap = np.full((left.shape[0], GAP, 3), PAPER, np.uint8)
    return np.concatenate([left, gap, right], axis=1)


def fit_jpeg(image: np.ndarray) -> np.ndarray:
    """A rendered image [H, W, 3] as JPEG can hold it: shrunk where a side exceeds 65,500 pixels."""
    if (longer := max(image.shape)) <= JPEG_SIDE:
        return image
    height, width = (max(1, side * JPEG_SIDE // longer) for side in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def shrunk(image: np.ndarray, side: int) -> Image.Image:
    """An image, uint8 [H, W, 3], shrunk where it is more than `side` pixels high or wide."""
    result = Image.fromarray(image)
    result.thumbnail((side, side))  # never enlarges
    return result


def contact_sheet(images: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Lays images out in rows and columns, each in the middle of its cell.

    A row is as high as its highest image and a column as wide as its widest.

    Args:
        images: at least one uint8 [h, w, 3], RGB, of any sizes. One with a side above 1024 pixels
            is shrunk to that.
        columns: images in a row, at least 1; with fewer images the sheet is narrower.

    Returns:
        uint8 [H, W, 3], white between the images.

    Raises:
        ValueError: if there is no image or no column.
    """
    if not images or columns < 1:
        raise ValueError(f"a contact sheet of {len(images)} images in {columns} columns")
    thumbnails = [shrunk(image, CELL_SIDE) for image in images]
    columns = min(columns, len(thumbnails))
    starts = range(0, len(thumbnails), columns)
    widths = [max(t.width for t in thumbnails[column::columns]) for column in range(columns)]
    heights = [max(t.height for t in thumbnails[start : start + columns]) for start in starts]
    # Where each column and row begins, and the first behind the last of them would.
    lefts = list(itertools.accumulate((width + GAP for width in widths), initial=GAP))
    tops = list(itertools.accumulate((height + GAP for height in heights), initial=GAP))
    sheet = Image.new("RGB", (lefts[-1], tops[-1]), PAPER)
    for index, thumbnail in enumerate(thumbnails):
        row, column = divmod(index, columns)
        left = lefts[column] + (widths[column] - thumbnail.width) // 2
        sheet.paste(thumbnail, (left, tops[row] + (heights[row] - thumbnail.height) // 2))
    return np.asarray(sheet)


def _check(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray | None,
    names: Sequence[str],
) -> None:
    """Raises ValueError unless `image` [H, W, 3], `boxes` [D, 4] and the rest can be drawn."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"an image must be uint8 [H, W, 3], not {image.dtype} {image.shape}")
    if labels.shape != (len(boxes),) or (scores is not None and len(scores) != len(boxes)):
        raise ValueError(f"{len(boxes)} boxes must have as many labels and scores")
    if not np.isfinite(boxes).all():
        raise ValueError("a box to draw is not finite")
    if ((labels < 0) | (labels >= len(names))).any():
        raise ValueError(f"a label to draw is outside 0..{len(names) - 1}")


def _enlarge(image: np.ndarray) -> tuple[Image.Image, int]:
    """A copy of the image [H, W, 3] large enough to be labelled, and the factor it grew by."""
    scale = math.ceil(max(1.0, LONGER_SIDE / max(image.shape[:2])))
    enlarged = ImageOps.scale(Image.fromarray(image), scale)
    size = (max(enlarged.width, SHORTER_SIDE), max(enlarged.height, SHORTER_SIDE))
    padded = Image.new("RGB", size, BESIDE)
    padded.paste(enlarged)
    return padded, scale


def _frame(box: np.ndarray, line: int, drawn: Image.Image) -> Rectangle:
    """The outermost pixels (left, top, right, bottom) of the line around a box [4], in the image.

    Moved to the nearest edge where the box lies outside, and at least a line wide.
    """
    left, top = (max(0, math.floor(edge) - line) for edge in box[:2])
    right, bottom = (math.ceil(edge) + line - 1 for edge in box[2:])
    left, top = min(left, drawn.width - line), min(top, drawn.height - line)
    right = min(max(right, left + line - 1), drawn.width - 1)
    bottom = min(max(bottom, top + line - 1), drawn.height - 1)
    return left, top, right, bottom


def _draw_label(
    drawn: Image.Image,
    name_and_score: tuple[str, str],
    frame: Rectangle,
    taken: Sequence[Rectangle],
    color: Color,
    font_size: int,
) -> Rectangle:
    """Writes a box's label on a ground of the box's colour, and returns the position it took."""
    name, score = name_and_score
    font = _font(name + score, min(font_size, min(drawn.size) // 2))
    pad = max(2, font_size // 6)
    text = _shorten(name, font, drawn.width - 2 * pad - font.getlength(score)) + score
    ascent, descent = font.getmetrics()
    label_size = (math.ceil(font.getlength(text)) + 2 * pad, ascent + descent)
    position = _free_position(frame, label_size, drawn.size, taken)
    pen = ImageDraw.Draw(drawn)
    pen.rectangle((position[0], position[1], position[2] - 1, position[3] - 1), fill=color)
    pen.text((position[0] + pad, position[1] + ascent), text, ink_color(color), font, anchor="ls")
    return position


def _free_position(
    frame: Rectangle,
    label_size: tuple[int, int],
    image_size: tuple[int, int],
    taken: Sequence[Rectangle],
) -> Rectangle:
    """Where a label goes: above its box by preference, in the image, off the other labels.

    Where every position is taken, the one that covers least of the other labels. Among equals, one
    that leaves most of the box to be seen, which matters for a small box in a corner.
    """
    left, top, right, bottom = frame
    width, height = label_size
    corners = (
        (left, top - height),
        (left, top),
        (left, bottom + 1),
        (right + 1 - width, top - height),
        (left, bottom + 1 - height),
        (right + 1 - width, bottom + 1),
        (right + 1, top),
        (left - width, top),
    )
    positions = []
    for x, y in corners:
        x = max(0, min(x, image_size[0] - width))
        y = max(0, min(y, image_size[1] - height))
        positions.append((x, y, x + width, y + height))

    def cost(position: Rectangle) -> tuple[float, bool]:
        hides_box = 2 * _overlap(position, frame) > _overlap(frame, frame)
        return sum(_overlap(position, other) for other in taken), hides_box

    return min(positions, key=cost)


def _overlap(a: Rectangle, b: Rectangle) -> float:
    """The square pixels that two rectangles (left, top, right, bottom) share."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0, width) * max(0, height)


def _under_caption(image: np.ndarray, caption: str) -> np.ndarray:
    """The image [H, W, 3] below a line of text on white."""
    font_size = max(14, round(math.sqrt(image.shape[0] * image.shape[1]) / 40))
    font = _font(caption, font_size)
    strip = Image.new("RGB", (image.shape[1], round(1.6 * font_size)), PAPER)
    text = _shorten(caption, font, strip.width)
    ImageDraw.Draw(strip).text((2, strip.height // 2), text, BLACK, font, anchor="lm")
    return np.concatenate([np.asarray(strip), image])


def _printable(name: str, label: int) -> str:
    """A class name on one line, or the number of a class whose name no font here can draw."""
    name = " ".join(name.split())
    return name if any(_covers(file, name) for file in _font_files()) else f"class {label}"


def _shorten(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text, with dots for its end where it would be wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def _font(text: str, size: int) -> ImageFont.FreeTypeFont:
    """The first font that has every character of the text."""
    files = _font_files()
    return _load_font(next((file for file in files if _covers(file, text)), files[0]), size)


@functools.cache
def _font_files() -> tuple[str, ...]:
    """The fonts at hand, to be tried in this order.

    Pillow's own has ASCII alone. DejaVu Sans, which has all of Europe's scripts and Arabic, comes
    with matplotlib; it is found without importing that, which would write into the home folder.
    """
    spec = importlib.util.find_spec("matplotlib")
    assert spec is not None and spec.origin is not None, "matplotlib is missing"
    dejavu = pathlib.Path(spec.origin).with_name("mpl-data") / "fonts" / "ttf" / "DejaVuSans.ttf"
    files = []
    for file in (str(dejavu), *_SYSTEM_FONTS):
        with contextlib.suppress(OSError):
            ImageFont.truetype(file)
            files.append(file)
    return (*files, "")


@functools.lru_cache(maxsize=64)
def _load_font(file: str, size: int) -> ImageFont.FreeTypeFont:
    """A font at a size in pixels; the empty name stands for the one within Pillow."""
    if file:
        return ImageFont.truetype(file, size)
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


@functools.lru_cache(maxsize=4096)
def _covers(file: str, text: str) -> bool:
    """Whether a font has every character: draws none as the box that stands for a missing one."""
    font = _load_font(file, 20)
    missing = bytes(font.getmask("\uffff"))  # never a character
    return all(bytes(font.getmask(character)) != missing for character in text)
