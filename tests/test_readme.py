"""The README's example runs as it stands there, but for its sizes."""

import contextlib
import pathlib
import re

import keras
import pytest
from PIL import Image

from tests.datasets.make import CATEGORIES, write_coco

README = pathlib.Path(__file__).resolve().parents[1] / "README.md"

# What is made small, and how often it stands there.
SMALLER = {
    "resnet18": ("resnet10_w32", 1),
    "pyramid_channels=64": ("pyramid_channels=32", 1),
    "min_side=320": ("min_side=64", 2),
    "max_side=512": ("max_side=96", 2),
    "batch_size=8": ("batch_size=2", 2),
    "epochs=20": ("epochs=1", 1),
}


def example():
    """The block that trains and exports."""
    text = README.read_text("utf-8").split("## Use from Python")[1]
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    for large, (small, count) in SMALLER.items():
        assert code.count(large) == count, large
        code = code.replace(large, small)
    return code


@pytest.mark.long
@pytest.mark.slow
def test_the_example_trains_and_keeps_the_categories(tmp_path):
    train, images = write_coco(tmp_path, count=4)
    train.rename(tmp_path / "train.json")
    (tmp_path / "val.json").write_bytes((tmp_path / "train.json").read_bytes())
    Image.open(images / "0.png").save(tmp_path / "photo.jpg")
    with contextlib.chdir(tmp_path):
        exec(compile(example(), "README.md", "exec"), {})
    model = keras.saving.load_model(tmp_path / "model.keras")
    assert model.categories == tuple((c["id"], c["name"]) for c in CATEGORIES)
    labels = tmp_path / "export" / "1" / "assets" / "labels.txt"
    assert labels.read_text("utf-8") == "3 red\n17 blue\n"
