"""The report on a data set: its findings and how the anchors fit, in words and as JSON."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import numpy as np

from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.geometry.anchor_settings import AnchorSettings
from keras_retinanet.inspection.anchor_fit import (
    SIZE_NAMES,
    AnchorFit,
    TrainedObjects,
    anchor_fit,
    best_iou,
    fit_anchors,
    percent,
    size_classes,
    trained_objects,
)
from keras_retinanet.inspection.findings import (
    Finding,
    check_images,
    check_part,
    read_images,
    statistics,
)
from keras_retinanet.inspection.kinds import FATAL, SEVERITIES, Kind

# How many findings of a kind, and how many classes, the text lists; JSON lists all.
_LISTED = 20


@dataclasses.dataclass(frozen=True)
class AnchorReport:
    """How well anchors fit the training part.

    Attributes:
        anchors: the anchors.
        objects: what they were held against.
        iou: float64 [t], the best IoU of any anchor with each object.
        overall: of all objects.
        sizes: by the name of a COCO size class.
        classes: by the name of a class, those without objects left out.
        sizes_of_classes: by the names of a class and of a size class.
    """

    anchors: AnchorSettings
    objects: TrainedObjects
    iou: np.ndarray
    overall: AnchorFit
    sizes: dict[str, AnchorFit]
    classes: dict[str, AnchorFit]
    sizes_of_classes: dict[str, dict[str, AnchorFit]]

    def rows(self, classes: int | None = None) -> Iterator[tuple[str, AnchorFit, list[AnchorFit]]]:
        """Of all objects, each size, each class (the worst `classes`, None for all): name, fit.

        And for a class its fit by size. What has no objects is left out.
        """
        worst = sorted(self.classes.items(), key=lambda pair: pair[1].positive)
        for name, found in (("all", self.overall), *self.sizes.items()):
            if found.objects:
                yield name, found, []
        for name, found in worst[:classes]:
            yield name, found, list(self.sizes_of_classes[name].values())


@dataclasses.dataclass(frozen=True)
class Report:
    """All that was found.

    Attributes:
        parts: the parts that could be read, by "train" and "val".
        findings: the worst first.
        statistics: of each part, see `findings.statistics`.
        anchors: None if the training part cannot be read or holds no object.
        proposed: the same for anchors that fit better, where they were asked for.
    """

    parts: dict[str, DetectionDataset]
    findings: list[Finding]
    statistics: dict[str, dict[str, Any]]
    anchors: AnchorReport | None
    proposed: AnchorReport | None

    @property
    def has_errors(self) -> bool:
        """Whether training would refuse the data."""
        return any(finding.kind.severity == FATAL for finding in self.findings)

    def kinds(self) -> dict[Kind, list[Finding]]:
        """The findings by kind, in their order."""
        result: dict[Kind, list[Finding]] = {}
        for finding in self.findings:
            result.setdefault(finding.kind, []).append(finding)
        return result

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON holds it."""

        def of(kind: Kind) -> dict[str, Any]:
            return {"severity": kind.severity, "kind": kind.text}

        return {
            "errors": self.has_errors,
            "counts": [of(kind) | {"count": len(found)} for kind, found in self.kinds().items()],
            "findings": [of(f.kind) | {"part": f.part, "text": f.text} for f in self.findings],
            "parts": self.statistics,
            "anchors": _anchors_as_dict(self.anchors),
            "proposed_anchors": _anchors_as_dict(self.proposed),
        }


def make_report(
    parts: dict[str, DetectionDataset],
    findings: Iterable[Finding],
    anchors: AnchorSettings,
    min_side: int,
    max_side: int,
    *,
    stretch: bool = False,
    fit: bool = False,
    progress: Callable[[], object] = lambda: None,
) -> Report:
    """Checks the parts of a data set, every image of them included.

    Args:
        parts: those that could be read, by "train" and "val".
        findings: what kept others from being read.
        anchors: the anchors of the run.
        min_side: the image size rule of the run, see `images.size_rule.resized_sizes`.
        max_side: likewise.
        stretch: likewise.
        fit: whether to look for better anchors.
        progress: called for each image that was decoded.
    """
    found = list(findings)
    decoded, fits = {}, {}
    for part, dataset in parts.items():
        objects = trained_objects(dataset, min_side, max_side, stretch=stretch)
        fits[part] = _anchor_report(dataset, objects, anchors)
        found += check_part(part, dataset, objects, fits[part].iou)
        results = []
        for result in read_images(dataset):
            results.append(result)
            progress()
        decoded[part] = (dataset, results)
    found += check_images(decoded)
    found.sort(key=lambda finding: SEVERITIES.index(finding.kind.severity))
    present = proposed = None
    if "train" in fits and fits["train"].overall.objects:
        present = fits["train"]
        if fit:
            objects = present.objects
            better = fit_anchors(objects.boxes, objects.padded_sizes, anchors)
            proposed = _anchor_report(parts["train"], objects, better)
    counts = {part: statistics(dataset) for part, dataset in parts.items()}
    return Report(parts, found, counts, present, proposed)


def _anchor_report(
    dataset: DetectionDataset, objects: TrainedObjects, anchors: AnchorSettings
) -> AnchorReport:
    iou = best_iou(objects.boxes, objects.padded_sizes, anchors)
    sizes, labels = size_classes(dataset.areas[objects.rows]), dataset.labels[objects.rows]
    labels_of = {category.name: label for label, category in enumerate(dataset.categories)}
    classes = {name: anchor_fit(iou[labels == label]) for name, label in labels_of.items()}
    present = [name for name, found in classes.items() if found.objects]

    def by_size(chosen: np.ndarray) -> dict[str, AnchorFit]:  # bool [t]
        return {name: anchor_fit(iou[chosen & (sizes == i)]) for i, name in enumerate(SIZE_NAMES)}

    return AnchorReport(
        anchors=anchors,
        objects=objects,
        iou=iou,
        overall=anchor_fit(iou),
        sizes=by_size(np.ones(len(iou), bool)),
        classes={name: classes[name] for name in present},
        sizes_of_classes={name: by_size(labels == labels_of[name]) for name in present},
    )


def _anchors_as_dict(report: AnchorReport | None) -> dict[str, Any] | None:
    if report is None:
        return None
    classes = {
        name: {**dataclasses.asdict(found), "sizes": report.sizes_of_classes[name]}
        for name, found in report.classes.items()
    }
    fits = {"overall": report.overall, "sizes": report.sizes, "classes": classes}
    return {"settings": anchor_settings(report.anchors), **msgspec.to_builtins(fits)}


def anchor_settings(anchors: AnchorSettings) -> list[str]:
    """Anchors as words that `retinanet-train` takes."""
    return [
        f"model.anchors.{key}=[{','.join(f'{value:.6g}' for value in getattr(anchors, key))}]"
        for key in ("sizes", "ratios", "scales")
    ]


def report_lines(report: Report) -> Iterator[str]:
    """The report in words."""
    for part, numbers in report.statistics.items():
        yield from _part_lines(part, numbers)
    if report.anchors is not None:
        yield from _anchor_lines(report.anchors, report.proposed)
    for kind, found in report.kinds().items():
        yield f"{kind.severity}: {kind.text}: {len(found)}"
        yield from (f"  {finding.part}: {finding.text}" for finding in found[:_LISTED])
        if len(found) > _LISTED:
            yield f"  and {len(found) - _LISTED} more, which --json lists"
    counts = collections.Counter(finding.kind.severity for finding in report.findings)
    yield ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES)


def spreads(numbers: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What varies in a part of the statistics, and from where to where it does, in words."""
    for key, text in (
        ("image_width", "image width"),
        ("image_height", "image height"),
        ("objects_per_image", "objects in an image"),
        ("box_side", "box side (root of its area)"),
        ("box_ratio", "box ratio (height / width)"),
    ):
        yield text, "{min:.4g} to {max:.4g}, median {median:.4g}".format(**numbers[key])


def _part_lines(part: str, numbers: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{part}: {numbers['images']} images, {numbers['images_without_objects']} of them without "
        f"objects; {numbers['objects']} objects of {len(numbers['classes'])} classes, "
        f"{numbers['crowds']} crowd regions"
    )
    yield from (f"  {name}: {spread}" for name, spread in spreads(numbers))
    yield f"  the largest class has {numbers['imbalance']:.4g} times the objects of the smallest"
    classes = sorted(numbers["classes"], key=lambda entry: -entry["objects"])
    for entry in classes[:_LISTED]:
        yield f"  {entry['name']}: {entry['objects']} objects in {entry['images']} images"
    if len(classes) > _LISTED:
        yield f"  and {len(classes) - _LISTED} smaller classes, which --json lists"


def _anchor_lines(present: AnchorReport, proposed: AnchorReport | None) -> Iterator[str]:
    yield (
        "fraction of the training objects that an anchor overlaps by 0.5, by 0.4; by 0.5 of the "
        f"{', '.join(SIZE_NAMES)} ones of a class:"
    )
    for name, found, sizes in present.rows(_LISTED):
        fractions = f"{percent(found.positive)}, {percent(found.near)}"
        by_size = zip(SIZE_NAMES, sizes, strict=False)  # none but of a class
        parts = "".join(f"; {n} {percent(f.positive)}" for n, f in by_size if f.objects)
        yield f"  {name}: {fractions} of {found.objects}, mean IoU {found.mean:.3f}{parts}"
    if proposed is None:
        return
    if proposed.anchors == present.anchors:
        yield "no anchors were found that fit better"
        return
    before, after = present.overall, proposed.overall
    yield (
        f"anchors that fit better: {percent(before.positive)} -> {percent(after.positive)} by 0.5, "
        f"{percent(before.near)} -> {percent(after.near)} by 0.4, mean IoU {before.mean:.3f} -> "
        f"{after.mean:.3f}; train with"
    )
    yield f"  {' '.join(anchor_settings(proposed.anchors))}"
