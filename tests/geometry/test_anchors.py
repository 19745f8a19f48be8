import numpy as np
import pytest

from keras_retinanet.geometry.anchor_settings import AnchorSettings
from keras_retinanet.geometry.anchors import grid_anchors
from keras_retinanet.layers.anchors import Anchors


def test_cell_by_hand():
    # area 32^2: ratio (h/w) 1/4 is 64 x 16, 1 is 32 x 32; scale 2 doubles the sides
    cell = AnchorSettings(ratios=(0.25, 1.0), scales=(1.0, 2.0)).cell(32)
    expected = [[-32, -8, 32, 8], [-64, -16, 64, 16], [-16, -16, 16, 16], [-32, -32, 32, 32]]
    np.testing.assert_allclose(cell, expected)


def test_grid_runs_over_x_then_y_and_the_cell_inside():
    cell = np.array([[-1, -1, 1, 1], [-2, -1, 2, 1]], np.float32)
    grid = grid_anchors(cell, [2, 3], [8, 8], offset=0.5).numpy()
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


def test_rows_and_columns_have_strides_of_their_own():
    grid = grid_anchors(np.zeros((1, 4), np.float32), [2, 2], [61, 114], offset=0.0).numpy()
    np.testing.assert_array_equal(grid[:, :2], [[0, 0], [114, 0], [0, 61], [114, 61]])


# Half of width and height of torchvision's anchors, from its own output, for the ratios 0.5, 1 and
# 2. The sides 80.63, 101.59 are truncated first; 50.5, 80.5, 101.5 and 322.5 round to even.
TORCHVISION_CELLS = {
    32: [(23, 11), (28, 14), (35, 18), (16, 16), (20, 20), (25, 25), (11, 23), (14, 28), (18, 35)],
    64: [(45, 23), (57, 28), (71, 36), (32, 32), (40, 40), (50, 50), (23, 45), (28, 57), (36, 71)],
    128: [
        *((91, 45), (114, 57), (144, 72), (64, 64), (80, 80)),
        *((102, 102), (45, 91), (57, 114), (72, 144)),
    ],
    256: [
        *((181, 91), (228, 114), (287, 144), (128, 128), (161, 161)),
        *((203, 203), (91, 181), (114, 228), (144, 287)),
    ],
    512: [
        *((362, 181), (456, 228), (574, 287), (256, 256), (322, 322)),
        *((406, 406), (181, 362), (228, 456), (287, 574)),
    ],
}


@pytest.mark.parametrize("size", TORCHVISION_CELLS)
def test_whole_pixels_are_torchvisions(size):
    cell = AnchorSettings(whole_pixels=True).cell(size)
    half = np.array(TORCHVISION_CELLS[size])
    np.testing.assert_array_equal(cell, np.concatenate([-half, half], axis=1))


@pytest.mark.parametrize(
    ("side", "strides"),
    [
        (800, (8, 16, 32, 61, 114)),
        (1088, (8, 16, 32, 64, 120)),
        (1344, (8, 16, 32, 64, 122)),
        (512, (8, 16, 32, 64, 128)),
        (768, (8, 16, 32, 64, 128)),
        (33, (8, 16, 32, 64, 64)),  # not padded: as if it were, to 64, and P3 is left alone
    ],
)
def test_fitted_strides_are_those_of_the_padded_side(side, strides):
    grids = [-(-side // stride) for stride in (8, 16, 32, 64, 128)]
    pyramid = [np.zeros((1, grid, grid, 1)) for grid in grids]
    levels = Anchors(offset=0.0, fit_strides=True, ratios=(1.0,), scales=(1.0,))(pyramid)
    for level, grid, stride in zip(levels, grids, strides, strict=True):
        centers = (level.numpy()[:, 0] + level.numpy()[:, 2]) / 2
        np.testing.assert_array_equal(centers[:grid], np.arange(grid) * stride)


def test_torchvisions_anchors_of_800_by_1088():
    grids = [(100, 136), (50, 68), (25, 34), (13, 17), (7, 9)]
    levels = Anchors(offset=0.0, whole_pixels=True, fit_strides=True)(
        [np.zeros((1, *grid, 1)) for grid in grids]
    )
    assert sum(map(len, levels)) == 163_206
    # the last cell of P7, row 6 of stride 114 and column 8 of stride 120, ratio 2, largest scale
    np.testing.assert_array_equal(levels[4][-1], [960 - 287, 684 - 574, 960 + 287, 684 + 574])


def test_layer_keeps_its_settings():
    layer = Anchors(
        sizes=(16, 32, 64, 128, 256),
        ratios=(1.0,),
        scales=(1.0, 1.5),
        offset=0.0,
        whole_pixels=True,
        fit_strides=True,
    )
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


@pytest.mark.parametrize("strides", [(16, 32, 64, 128, 256), (4, 8, 16, 32, 64), (8, 16, 32, 64)])
def test_strides_that_are_not_the_networks_are_refused(strides):
    with pytest.raises(ValueError, match=r"the levels P3 to P7 have \(8, 16, 32, 64, 128\)"):
        AnchorSettings(strides=strides)


def test_strides_may_be_said_again():
    """As the files of saved models do."""
    assert AnchorSettings(strides=[8, 16, 32, 64, 128]) == AnchorSettings()
