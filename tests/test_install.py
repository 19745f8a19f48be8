"""What an installed package holds beside the code."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

SHOW = """
import pathlib, keras_retinanet
from keras_retinanet.config import config_names, load_config
print(pathlib.Path(keras_retinanet.__file__).parent.parent)
print(*config_names())
print(load_config("small").train.optimizer)
"""


@pytest.mark.slow
def test_an_installed_package_finds_its_recipes(tmp_path):
    source, target = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    for name in ("keras_retinanet", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    options = ["--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run([*install, *options], check=True)
    shown = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert shown[0] == str(target)
    assert shown[1].split() == sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    assert shown[2] == "adamw"
    scripts = {path.name for path in (target / "bin").iterdir()}
    assert {
        f"retinanet-{c}" for c in ("train", "evaluate", "predict", "export", "import", "check")
    } <= scripts
