"""The report on a data set as one HTML page: plots, tables, and examples of every finding drawn."""

from __future__ import annotations

import base64
import functools
import html
import io
import pathlib
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.datasets.writing import image_bytes
from keras_retinanet.files import package_text, write_atomically
from keras_retinanet.geometry.anchor_settings import NEGATIVE_IOU, POSITIVE_IOU
from keras_retinanet.images import pillow
from keras_retinanet.images.drawing import contact_sheet, draw_detections, shrunk
from keras_retinanet.inspection.anchor_fit import SIZE_NAMES, percent, size_classes
from keras_retinanet.inspection.findings import NONE, Finding
from keras_retinanet.inspection.kinds import FATAL, Kind
from keras_retinanet.inspection.statistics import AnchorReport, Report, anchor_settings, spreads

# Examples drawn, and findings listed, of each kind.
_DRAWN, _LISTED = 4, 200

# Examples are shrunk to this many pixels before boxes are drawn: the page holds them itself.
_SIDE = 480


def write_page(path: pathlib.Path, report: Report) -> None:
    """Writes the page, one file that needs no other.

    Raises:
        OSError: if the file cannot be written.
    """
    statistics = (_statistics_table(part, found) for part, found in report.statistics.items())
    findings = (_section(report, kind, found) for kind, found in report.kinds().items())
    text = string.Template(package_text(__package__, "report.html")).substitute(
        counts=_counts_table(report),
        statistics="".join(statistics),
        plots=_plots(report),
        anchors=_anchors_section(report),
        findings="".join(findings),
    )
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def line(cells: Sequence[Any], tag: str) -> str:
        return "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells)

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table><tr>{line(header, 'th')}</tr>{body}</table>"


def _counts_table(report: Report) -> str:
    rows = [(kind.severity, kind.text, len(found)) for kind, found in report.kinds().items()]
    if not rows:
        return "<p>Nothing was found to be wrong.</p>"
    return _table(("severity", "finding", "records"), rows)


def _statistics_table(part: str, numbers: dict[str, Any]) -> str:
    counts = [
        (key.replace("_", " "), numbers[key])
        for key in ("images", "images_without_objects", "objects", "crowds")
    ]
    classes = sorted(numbers["classes"], key=lambda entry: -entry["objects"])
    rows = [(entry["name"], entry["objects"], entry["images"]) for entry in classes]
    return (
        f"<h2>{part}</h2>{_table(('', ''), [*counts, *spreads(numbers)])}<details><summary>"
        f"{len(rows)} classes</summary>{_table(('class', 'objects', 'images'), rows)}</details>"
    )


def _anchors_section(report: Report) -> str:
    if report.anchors is None:
        return ""
    text = "<h2>Anchors</h2><p>What fraction of the objects an anchor overlaps by 0.5, by 0.4.</p>"
    text += _anchor_fit_table(report.anchors)
    if report.proposed is not None and report.proposed.anchors != report.anchors.anchors:
        settings = html.escape(" ".join(anchor_settings(report.proposed.anchors)))
        text += f"<h3>Proposed</h3><p><code>{settings}</code></p>"
        text += _anchor_fit_table(report.proposed)
    return text


def _anchor_fit_table(anchors: AnchorReport) -> str:
    rows = []
    for name, found, sizes in anchors.rows():
        fractions = [percent(found.positive), percent(found.near), f"{found.mean:.3f}"]
        by_size = [f"{percent(s.positive)} of {s.objects}" if s.objects else "" for s in sizes]
        rows.append((name, found.objects, *fractions, *by_size))
    size_columns = [f"{size} by {POSITIVE_IOU}" for size in SIZE_NAMES]
    return _table(("", "objects", "by 0.5", "by 0.4", "mean IoU", *size_columns), rows)


def _section(report: Report, kind: Kind, found: Sequence[Finding]) -> str:
    rows = [(finding.part, finding.text) for finding in found[:_LISTED]]
    more = f"<p>and {len(found) - _LISTED} more</p>" if len(found) > _LISTED else ""
    color = " class='fatal'" if kind.severity == FATAL else ""
    examples = [p for finding in found[:_DRAWN] if (p := _example(report, finding)) is not None]
    sheet = ""
    if examples:
        image = Image.fromarray(contact_sheet(examples, 2))
        sheet = _image_html("jpeg", lambda file: image.save(file, "JPEG", quality=85))
    return (
        f"<h2{color}>{html.escape(kind.text)}: {len(found)}</h2>{sheet}<details><summary>records"
        f"</summary>{_table(('part', 'record'), rows)}{more}</details>"
    )


def _example(report: Report, finding: Finding) -> np.ndarray | None:
    """The image of a finding with its box, or all boxes, uint8 [H, W, 3]; None if it has none."""
    dataset = report.parts.get(finding.part)
    if dataset is None or finding.image == NONE or finding.kind.severity == FATAL:
        return None
    if (image := _image(dataset, finding.image)) is None:
        return None
    rows = np.arange(*dataset.row_splits[finding.image : finding.image + 2])
    if finding.row != NONE:
        rows = np.array([finding.row])
    return _drawn(dataset, image, rows)


def _image(dataset: DetectionDataset, index: int) -> np.ndarray | None:
    """uint8 [H, W, 3]; None for one that cannot be decoded, which another finding says."""
    orientation = int(dataset.orientations[index]) if dataset.apply_exif[index] else 1
    try:
        encoded = image_bytes(dataset, index)
        if pillow.is_for_pillow(encoded[:12]):
            return pillow.decode(dataset.files[index], encoded, orientation)
        with Image.open(io.BytesIO(encoded)) as image:
            pixels = np.asarray(image.convert("RGB"))
    except Exception:  # of many kinds, by the damage
        return None
    return pillow.turned(pixels, orientation)


def _drawn(dataset: DetectionDataset, image: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """An image [H, W, 3], shrunk, with the boxes of the annotations in `rows` [t]."""
    small = np.asarray(shrunk(image, _SIDE))
    scale = np.tile(np.divide(small.shape[1::-1], image.shape[1::-1]), 2)  # [4]
    label_of = {category.id: label for label, category in enumerate(dataset.categories)}
    labels = np.array([label_of[i] for i in dataset.category_ids[rows].tolist()], np.int64)
    names = [category.name for category in dataset.categories]
    if dataset.is_region is not None:
        labels = np.where(dataset.is_region[rows], len(names), labels)
        names.append("every class")
    return draw_detections(small, dataset.boxes[rows] * scale, labels, None, names)


def _image_html(kind: str, save: Callable[[io.BytesIO], object]) -> str:
    file = io.BytesIO()
    save(file)
    encoded = base64.b64encode(file.getvalue()).decode()
    return f"<p><img alt='' src='data:image/{kind};base64,{encoded}'></p>"


def _plots(report: Report) -> str:
    from matplotlib.figure import Figure  # takes half a second, which other commands need not

    def plot(draw: Callable[..., None], *values: Any) -> str:
        figure = Figure(figsize=(9, 4), layout="constrained")
        draw(figure.subplots(), *values)
        return _image_html("png", functools.partial(figure.savefig, format="png", dpi=100))

    text, anchors = "", report.anchors
    if "train" in report.statistics:
        text += plot(_draw_classes, report.statistics["train"]["classes"])
    if anchors is not None:
        areas = report.parts["train"].areas[anchors.objects.rows]
        text += plot(_draw_boxes, anchors) + plot(_draw_iou, anchors.iou, size_classes(areas))
    return text


def _draw_classes(axes: Any, classes: Sequence[dict[str, Any]]) -> None:
    largest = sorted(classes, key=lambda entry: -entry["objects"])[:40]
    # A dollar sign would begin a formula.
    names = [entry["name"].replace("$", r"\$") for entry in largest]
    axes.bar(range(len(largest)), [entry["objects"] for entry in largest])
    axes.set_xticks(range(len(largest)), names, rotation=90)
    axes.set_title("objects of each class" if len(largest) < 40 else "the 40 largest classes")


def _draw_boxes(axes: Any, report: AnchorReport) -> None:
    """Widths and heights at the trained size, and those of the anchors."""
    sides = report.objects.boxes[:, 2:] - report.objects.boxes[:, :2]
    axes.plot(sides[:, 0], sides[:, 1], ".", markersize=4, alpha=0.5, label="objects")
    settings = report.anchors
    corners = np.concatenate([settings.cell(size) for size in settings.sizes])
    widths, heights = (corners[:, 2:] - corners[:, :2]).T
    axes.plot(widths, heights, "x", markersize=6, label="anchors")
    axes.set(xscale="log", yscale="log", xlabel="width, pixels as trained", ylabel="height")
    axes.legend()


def _draw_iou(axes: Any, iou: np.ndarray, sizes: np.ndarray) -> None:
    """A histogram of the best IoU [t] of objects, by their size class [t]."""
    parts = [iou[sizes == index] for index in range(len(SIZE_NAMES))]
    axes.hist(parts, bins=np.linspace(0, 1, 41), stacked=True, label=SIZE_NAMES)
    for limit in (NEGATIVE_IOU, POSITIVE_IOU):
        axes.axvline(limit, color="black", linewidth=1)
    axes.set(xlabel="IoU of each object with its best anchor", ylabel="objects")
    axes.legend()
