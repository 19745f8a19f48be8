"""Installs the package `keras_retinanet` as the distribution `retinanet-keras`."""

import pathlib
import re

import setuptools

ROOT = pathlib.Path(__file__).parent
PACKAGE = (ROOT / "keras_retinanet" / "__init__.py").read_text(encoding="utf-8")
VERSION = re.findall(r'^__version__ = "(.+)"$', PACKAGE, re.MULTILINE)[0]
COMMANDS = (
    *("train", "evaluate", "predict", "export", "serve", "demo"),
    *("import_", "convert", "check", "debug"),
)

setuptools.setup(
    name="retinanet-keras",
    version=VERSION,
    description="RetinaNet (Focal Loss for Dense Object Detection) for Keras 3 on TensorFlow",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=[
        *setuptools.find_packages(include=["keras_retinanet", "keras_retinanet.*"]),
        "keras_retinanet.configs",
    ],
    package_dir={"keras_retinanet.configs": "configs"},
    package_data={
        "keras_retinanet.configs": ["*.yaml"],
        "keras_retinanet.export.saved_model": ["*.txt"],
        "keras_retinanet.inspection": ["*.html"],
        "keras_retinanet.serving": ["*.config", "*.css", "*.html", "*.js"],
        "keras_retinanet.weights": ["*.txt"],
    },
    python_requires=">=3.11",
    install_requires=[
        "absl-py>=2.1",
        "filelock>=4",  # one job at a time in an output folder, see offline/lock.py
        "h5py>=3.11",  # reads the .h5 files of fizyr's detectors
        "importlib_resources>=6",  # tensorflow-datasets needs it for a builder inside a package
        "keras>=3.15,<3.16",
        "matplotlib>=3.8",
        "msgspec>=0.19",  # reads COCO's JSON, see datasets/formats/coco.py
        "numpy>=2.0",
        "opencv-python-headless>=4.10",  # resizes training pictures, see pipeline/render.py
        "pillow>=11",
        "protobuf>=5.28",  # as tensorflow brings it, for its JSON form and its errors
        "pyarrow>=17",  # reads CSV and writes Parquet; tensorflow-datasets brings it
        "pycocotools>=2.0.8",
        "pyyaml>=6",
        "safetensors>=0.5",
        "tensorboard>=2.20",
        "tensorflow>=2.21,<2.22",
        "tensorflow-datasets>=4.9.10",
        "tqdm>=4.66",
    ],
    extras_require={
        "beam": ["apache-beam>=2.77"],
        "demo": ["nicegui>=3.18", "starlette>=1.10", "uvicorn>=0.54"],  # the page of retinanet-demo
        "dev": [
            "hypothesis>=6.100",
            "mypy>=1.15",
            "pre-commit>=4",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff>=0.11",
            "selenium>=4.30",
        ],
        "import": ["torch>=2.6"],  # reads .pth files; its weights_only is safe from 2.6 on
        "litert": ["ai-edge-litert>=2.1"],
        "onnx": ["onnx>=1.18", "onnxruntime>=1.22", "tf2onnx>=1.17"],
        "openvino": ["onnx>=1.18", "onnxruntime>=1.22", "openvino>=2025.1", "tf2onnx>=1.17"],
        "serving": ["starlette>=1.10", "tensorflow-serving-api>=2.21", "uvicorn>=0.54"],
    },
    entry_points={
        "console_scripts": [
            # `import` alone cannot name a module
            f"retinanet-{command.rstrip('_')}=keras_retinanet.commands.{command}:run"
            for command in COMMANDS
        ]
    },
)
