"""One model and one export of it, for all tests of this room."""

import pytest

import keras_retinanet as kr
from tests.export.make import small_model


@pytest.fixture(scope="session")
def model():
    return small_model()


@pytest.fixture(scope="session")
def export(model, tmp_path_factory):
    """The folder of all versions of the model `detector`, with a version 1 in it."""
    base = tmp_path_factory.mktemp("served") / "detector"
    assert kr.export_saved_model(model, base, version=1) == base / "1"
    return base
