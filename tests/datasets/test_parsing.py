"""Values of files as the types that readers ask for."""

from typing import Literal

import msgspec
import pytest

from keras_retinanet.datasets.parsing import typed
from keras_retinanet.errors import DataError


class Named(msgspec.Struct):
    name: Literal["box", "circle"]


def test_a_text_that_is_no_text_is_a_fault():
    assert typed({"name": "box", "more": "\ud800"}, Named, {"name": "a shape"}).name == "box"
    with pytest.raises(DataError, match=r'^the text "\\ud800x" holds half of a pair'):
        typed({"name": "\ud800x"}, Named, {"name": "a shape"})
