"""Small COCO data sets for tests."""

import json

import numpy as np
from PIL import Image

CATEGORIES = [{"id": 3, "name": "red"}, {"id": 17, "name": "blue"}]
COLORS = {3: (220, 30, 30), 17: (30, 30, 220)}


def write_coco(folder, count=6, side=64, seed=0):
    """Plain rectangles on grey, none on the last: `folder`/images and `folder`/annotations.json."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for i in range(count):
        height, width = side, side + 16 * (i % 3)
        pixels = np.full((height, width, 3), 128, np.uint8)
        for _ in range(0 if i == count - 1 else 1 + i % 2):
            w, h = rng.integers(16, 32, 2)
            x, y = rng.integers(0, width - w), rng.integers(0, height - h)
            category = CATEGORIES[rng.integers(2)]["id"]
            pixels[y : y + h, x : x + w] = COLORS[category]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 10 * i + 5,
                    "category_id": category,
                    "bbox": [int(x), int(y), int(w), int(h)],
                    "area": int(w * h),
                    "iscrowd": 0,
                }
            )
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
        images.append({"id": 10 * i + 5, "file_name": f"{i}.png", "height": height, "width": width})
    file = folder / "annotations.json"
    file.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES})
    )
    return file, folder / "images"
