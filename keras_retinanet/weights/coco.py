"""The classes of COCO's boxes, as (id, name) in the order of published checkpoints."""

from __future__ import annotations

from keras_retinanet.files import package_text

# The 80 classes, ids ascending from 1 to 90 with gaps; the file has a line "id name" for each.
_LINES = package_text(__package__, "coco_80.txt").splitlines()
COCO_80 = tuple((int(id_), name) for id_, _, name in (line.partition(" ") for line in _LINES))

# torchvision's 91 outputs: one for each id, those that COCO does not use included, and 0 for the
# background. They are trained towards a score of 0.
_USED = dict(COCO_80)
COCO_91 = ((0, "background"), *((id_, _USED.get(id_, f"unused {id_}")) for id_ in range(1, 91)))
