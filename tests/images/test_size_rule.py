import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keras_retinanet.images.resize import resized_size
from keras_retinanet.images.size_rule import resized_sizes


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 640), (800, 1066)), ((640, 480), (1066, 800)), ((100, 4000), (33, 1333))],
)
def test_sides_are_torchvisions(size, expected):
    np.testing.assert_array_equal(resized_sizes(np.array([size]), 800, 1333), [expected])


SIDES = st.integers(1, 20_000)


@given(
    st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=5),
    st.integers(1, 2000),
    st.integers(1, 3000),
    st.floats(0.1, 4.0),
    st.booleans(),
)
@example([(1, 1)], 1, 1, 1.9999999999999996, False)  # 2 in float32
def test_the_graph_has_the_same_rule(sizes, min_side, max_side, scale, stretch):
    sizes = np.array(sizes, np.int32)
    np.testing.assert_array_equal(
        resized_sizes(sizes, min_side, max_side, scale, stretch=stretch),
        resized_size(sizes, min_side, max_side, scale, stretch=stretch),
    )
