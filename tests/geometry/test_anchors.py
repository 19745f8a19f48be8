import numpy as np
import pytest

from keras_retinanet.geometry.anchors import cell_anchors, grid_anchors
from keras_retinanet.layers.anchors import Anchors, AnchorSettings


def test_cell_by_hand():
    # area 32^2: ratio (h/w) 1/4 is 64 x 16, 1 is 32 x 32; scale 2 doubles the sides
    cell = cell_anchors(32, [0.25, 1.0], [1.0, 2.0])
    expected = [[-32, -8, 32, 8], [-64, -16, 64, 16], [-16, -16, 16, 16], [-32, -32, 32, 32]]
    np.testing.assert_allclose(cell, expected)


def test_grid_runs_over_x_then_y_and_the_cell_inside():
    cell = np.array([[-1, -1, 1, 1], [-2, -1, 2, 1]], np.float32)
    grid = grid_anchors(cell, 2, 3, stride=8, offset=0.5).numpy()
    assert grid.shape == (12, 4)
    np.testing.assert_array_equal(grid[0], [3, 3, 5, 5])
    np.testing.assert_array_equal(grid[1], [2, 3, 6, 5])
    np.testing.assert_array_equal(grid[2], [11, 3, 13, 5])  # one to the right
    np.testing.assert_array_equal(grid[6], [3, 11, 5, 13])  # one down


def test_paper_has_nine_anchors_per_cell_on_five_levels():
    pyramid = [np.zeros((1, n, m, 4)) for n, m in [(4, 6), (2, 3), (1, 2), (1, 1), (1, 1)]]
    levels = Anchors()(pyramid)
    assert [level.shape[0] for level in levels] == [216, 54, 18, 9, 9]
    # P3's first cell, ratio 1, scale 1 is anchor 3: 32 x 32 about (4, 4)
    np.testing.assert_allclose(levels[0][3], [-12, -12, 20, 20])
    areas = (levels[4][:, 2] - levels[4][:, 0]) * (levels[4][:, 3] - levels[4][:, 1])
    np.testing.assert_allclose(
        np.sqrt(areas).reshape(3, 3), [[512, 512 * 2 ** (1 / 3), 512 * 2 ** (2 / 3)]] * 3, rtol=1e-5
    )


def test_layer_keeps_its_settings():
    layer = Anchors(sizes=(16, 32, 64, 128, 256), ratios=(1.0,), scales=(1.0, 1.5), offset=0.0)
    assert Anchors.from_config(layer.get_config()).settings == layer.settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sizes": (32, 64)}, "each of the levels P3 to P7"),
        ({"ratios": ()}, "ratios"),
        ({"scales": (0.0, 1.0)}, "scales"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        AnchorSettings(**settings)
