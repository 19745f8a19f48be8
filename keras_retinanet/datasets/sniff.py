"""What kind of annotations a file holds, told by its first bytes."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from keras_retinanet.datasets.parsing import finite_numbers
from keras_retinanet.datasets.tree import HEAD, Tree
from keras_retinanet.images.header import IMAGE_SUFFIXES

# Of a COCO file the lists are looked for this far; Objects365 has 0.5 GB of images before them.
_FURTHEST, _CHUNK = 1 << 30, 1 << 22
# The records of a list that are looked at, and where they must lie.
_RECORDS, _WINDOW = 50, 1 << 18

_KITTI_COLUMNS = (15, 16)  # the last is the score of a detection


class JsonKind(NamedTuple):
    """What a JSON file holds.

    Attributes:
        kind: "coco", "labelme", or in words what it is instead; "" for anything else.
        images: of COCO, the first image records; of LabelMe, one with its `imagePath`.
    """

    kind: str
    images: Sequence[dict[str, Any]] = ()


def json_kind(tree: Tree, file: str) -> JsonKind:
    """What a JSON file holds, going by its keys."""
    head = tree.head(file).decode("utf-8-sig", "replace").lstrip()
    if not head.startswith(("{", "[")):
        return JsonKind("")
    keys = set(re.findall(r'"(\w+)"\s*:', head))
    if is_labelme(tree.head(file)):
        records = []
        if path := re.search(r'"imagePath"\s*:\s*("(?:[^"\\]|\\.)*")', head):
            with contextlib.suppress(ValueError):
                records.append({"imagePath": json.loads(path[1])})
        return JsonKind("labelme", records)
    if head.startswith("{") and {"images", "annotations", "categories", "info"} & keys:
        lists = _lists(tree, file)
        if "images" in lists:
            return JsonKind(_coco_kind(lists), lists["images"])
    return JsonKind(_other_kind(head, keys))


def is_labelme(head: bytes) -> bool:
    """Whether a JSON file of this beginning is one of LabelMe."""
    keys = set(re.findall(rb'"(\w+)"\s*:', head))
    return b"shapes" in keys and not {b"annotations", b"images"} & keys


def _coco_kind(lists: dict[str, list[dict[str, Any]]]) -> str:
    """What the records of a file with COCO's lists are."""
    if "annotations" not in lists:
        return "images without annotations"
    keys = {key for record in lists["annotations"] for key in record}
    if "segments_info" in keys:
        return "panoptic segmentation"
    if "caption" in keys:
        return "captions"
    if "keypoints" in keys:
        return "keypoints" if "bbox" in keys else "keypoints without boxes"
    if "bbox" in keys or not lists["annotations"]:
        return "coco"
    return "masks without boxes" if "segmentation" in keys else "annotations without boxes"


def _other_kind(head: str, keys: set[str]) -> str:
    if head.startswith("[") and {"annotations", "coordinates"} <= keys:
        return "CreateML's JSON"
    if {"items", "dm_format_version"} & keys and "annotations" in keys:
        return "Datumaro's JSON"
    if {"regions", "shape_attributes"} <= keys or "_via_settings" in keys:
        return "VIA's JSON"
    if {"result", "from_name"} & keys and "annotations" in keys:
        return "Label Studio's own JSON; export it as COCO"
    return "Supervisely's JSON" if {"objects", "classTitle"} <= keys else ""


def _lists(tree: Tree, file: str) -> dict[str, list[dict[str, Any]]]:
    """The first records of `images` and `annotations`, of those that are there."""
    found: dict[str, list[dict[str, Any]]] = {}
    with tree.open(file) as stream:
        buffer = b""
        for _ in range(_FURTHEST // _CHUNK):
            chunk = stream.read(_CHUNK)
            # What began at the end of the last chunk is looked at again, with what follows it.
            buffer = buffer[-_WINDOW - 64 :] + chunk
            for key in {"images", "annotations"} - set(found):
                match = re.search(rb'"%s"\s*:\s*\[' % key.encode(), buffer)
                if match and (len(buffer) - match.end() >= _WINDOW or not chunk):
                    found[key] = _records(buffer[match.end() :][:_WINDOW])
            if len(found) == 2 or not chunk:
                break
    return found


def _records(window: bytes) -> list[dict[str, Any]]:
    """The records of a list behind its bracket; the keys alone of one longer than the window."""
    rest = window.decode("utf-8", "replace").lstrip()
    records: list[dict[str, Any]] = []
    decode = json.JSONDecoder().raw_decode
    with contextlib.suppress(ValueError, RecursionError):
        while len(records) < _RECORDS:
            value, end = decode(rest)
            rest = rest[end:].lstrip(", \t\r\n")
            if isinstance(value, dict):
                records.append(value)
    if not records and rest.startswith("{"):
        records.append(dict.fromkeys(re.findall(r'"(\w+)"\s*:', rest)))
    return records


def xml_kind(head: bytes) -> str:
    """ "voc", "labelme_xml", "annotation" for one without objects, "cvat", or ""."""
    text = head.decode("utf-8", "replace")
    if re.search(r"<annotations[\s>]", text):
        return "cvat"
    if not re.search(r"<annotation[\s>]", text):
        return ""
    if "<bndbox" in text:
        return "voc"
    return "labelme_xml" if re.search(r"<polygon|<deleted", text) else "annotation"


def text_lines(head: bytes) -> list[str]:
    """The lines of a text file that hold something, without one that the head cuts."""
    lines = head.decode("utf-8-sig", "replace").splitlines()
    if len(head) >= HEAD:
        lines = lines[:-1]
    return [line.strip() for line in lines if line.strip()]


def text_kind(lines: list[str]) -> str:
    """ "kitti", "yolo", "oidv4" (a name and corners), "images" (a list of them), or ""."""
    rows = [line.split() for line in lines[:_RECORDS]]
    if not rows:
        return ""
    for kind, is_kind in (("kitti", _is_kitti), ("yolo", _is_yolo), ("oidv4", _is_oidv4)):
        if all(map(is_kind, rows)):
            return kind
    return "images" if all(line.lower().endswith(IMAGE_SUFFIXES) for line in lines) else ""


def _is_word(text: str) -> bool:
    return finite_numbers([text]) is None


def _is_oidv4(row: list[str]) -> bool:
    return len(row) > 4 and bool(finite_numbers(row[-4:])) and all(map(_is_word, row[:-4]))


def _is_kitti(row: list[str]) -> bool:
    return len(row) in _KITTI_COLUMNS and _is_word(row[0]) and bool(finite_numbers(row[1:]))


def _is_yolo(row: list[str]) -> bool:
    numbers = finite_numbers(row[1:])
    return (
        re.fullmatch(r"[0-9]{1,6}(\.0+)?", row[0]) is not None
        and len(row) >= 5
        and numbers is not None
        and all(-0.5 <= number <= 2 for number in numbers)  # 2 is a key point's "visible"
    )
