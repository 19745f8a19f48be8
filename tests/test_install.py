"""What an installed package holds beside the code."""

import ast
import os
import pathlib
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import venv
from unittest import mock

import pytest

import keras_retinanet as kr

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "keras_retinanet"

SHOW = """
import pathlib, keras_retinanet
from keras_retinanet.config import config_names, load_config
package = pathlib.Path(keras_retinanet.__file__).parent
print(package.parent)
print(*config_names())
print(load_config("small").train.optimizer)
files = [path.relative_to(package) for path in package.rglob("*.*")]
print(*sorted(str(file) for file in files if file.suffix not in (".py", ".pyc", ".yaml")))
"""
COMMANDS = {file.name for file in (ROOT / "bin").glob("retinanet-*")}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """A folder with the source distribution and the wheel, built from what is in the repository."""
    source = tmp_path_factory.mktemp("source")
    for name in ("keras_retinanet", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for kind in ("sdist", "wheel"):
        build = f"from setuptools import build_meta; build_meta.build_{kind}('dist')"
        subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    return source / "dist"


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("ending", [".tar.gz", ".whl"])
def test_an_installed_package_finds_its_recipes(distributions, tmp_path, ending):
    environment, empty = tmp_path / "environment", tmp_path / "empty"
    empty.mkdir()
    venv.create(environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    # What the package needs is taken from the environment of the tests: nothing is downloaded.
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (file,) = (file for file in distributions.iterdir() if file.name.endswith(ending))
    pip = [sys.executable, "-m", "pip", f"--python={environment / 'bin' / 'python'}", "install"]
    subprocess.run([*pip, "--quiet", "--no-deps", "--no-build-isolation", str(file)], check=True)

    def run(program, *words):
        command = [environment / "bin" / program, *words]
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            command, cwd=empty, env=clean, check=True, capture_output=True, text=True
        ).stdout

    location, recipes, optimizer, others = run("python", "-c", SHOW).splitlines()
    assert location == str(packages)
    assert recipes.split() == sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    assert optimizer == "adamw"
    files = {path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.*")}
    expected = {str(file) for file in files if file.suffix not in (".py", ".pyc")}
    assert {"serving/page.css", "inspection/report.html"} <= expected == set(others.split())
    assert {path.name for path in (environment / "bin").glob("retinanet-*")} == COMMANDS
    for command in COMMANDS:
        assert run(command, "--version") == f"{command} {kr.__version__}\n"
    assert "retinanet-train --config shapes --output_dir run" in run("retinanet-train", "--help")
    listed = run("python", "-m", "keras_retinanet").splitlines()[1:]
    assert {line.split()[0] for line in listed} == COMMANDS
    assert all(len(line.split()) > 3 for line in listed)


# Distributions that are not called as what they hold is imported.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "absl": "absl-py",
    "ai_edge_litert": "ai-edge-litert",
    "apache_beam": "apache-beam",
    "cv2": "opencv-python-headless",
    "fastapi": "nicegui",  # brings it
    "google": "protobuf",
    "grpc": "tensorflow-serving-api",  # brings it
    "h11": "uvicorn",  # brings it
    "tensorflow_datasets": "tensorflow-datasets",
    "tensorflow_serving": "tensorflow-serving-api",
    "yaml": "pyyaml",
}


def imported(file):
    """The first word of each module that a file imports."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def test_everything_that_is_imported_is_asked_for():
    with mock.patch("setuptools.setup") as setup:
        runpy.run_path(str(ROOT / "setup.py"))
    settings = setup.call_args.kwargs
    extras = settings["extras_require"]
    asked = {*settings["install_requires"]}.union(
        *(lines for extra, lines in extras.items() if extra != "dev")
    )
    names = {re.match(r"[\w-]+", line)[0] for line in asked}
    files = (ROOT / "keras_retinanet").rglob("*.py")
    modules = {module for file in files for module in imported(file)}
    # docs/formats.md says that the package of HEIC images is left to the user.
    modules -= {"keras_retinanet", "pillow_heif", *sys.stdlib_module_names}
    assert {DISTRIBUTIONS.get(module, module) for module in modules} <= names
