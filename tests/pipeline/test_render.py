"""Pixels against the boxes that went with them."""

import itertools
import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_retinanet.datasets.formats.coco import read_coco
from keras_retinanet.images.resize import resize_images
from keras_retinanet.pipeline.augment import AugmentSettings
from keras_retinanet.pipeline.batches import training_batches
from keras_retinanet.pipeline.box_transforms import (
    SOURCE_DTYPE,
    UNWARPED,
    SourceImage,
    affine,
    move_boxes,
)
from keras_retinanet.pipeline.render import render
from tests.datasets.make import write_coco

BLACK = (0.0, 0.0, 0.0)


def render_sources(stored, *sources, padded_size, holes=()):
    target = np.full((*padded_size, 3), 77, np.uint8)  # what memory that is used again may hold
    values = operator.attrgetter(*SOURCE_DTYPE.names)
    rows = np.array([values(source) for source in sources], SOURCE_DTYPE)
    render(target, [stored] * len(sources), rows, np.array(holes, int).reshape(-1, 4), BLACK)
    return target


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_boxes_lie_on_their_pixels_after_any_way(seed, is_warped):
    """A white rectangle is rendered, and the bright pixels are looked for."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(40, 90, 2)
    x0, y0 = rng.integers(0, width - 25), rng.integers(0, height - 25)
    x1, y1 = rng.integers(x0 + 12, width + 1), rng.integers(y0 + 12, height + 1)
    stored = np.zeros((height, width, 3), np.uint8)
    stored[y0:y1, x0:x1] = 255
    extent = rng.integers(25, [height, width], endpoint=True)
    corner = rng.integers(0, np.array([height, width]) - extent, endpoint=True)
    size = np.maximum((extent * rng.uniform(0.7, 2.0, 2)).astype(int), 20)
    warp = UNWARPED
    if is_warped:
        warp = affine(
            size,
            degrees=rng.uniform(-40, 40),
            shear=tuple(rng.uniform(-0.3, 0.3, 2)),
            shift=tuple(rng.uniform(-0.3, 0.3, 2)),
        )
    offset = rng.integers(0, 9, 2)
    source = SourceImage(
        0,
        np.concatenate([corner, extent]),
        size,
        bool(rng.integers(2)),
        warp=warp,
        offset=offset,
    )
    padded_size = size + offset + rng.integers(0, 9, 2)
    image = render_sources(stored, source, padded_size=padded_size)
    assert image.shape == (*padded_size, 3)
    bright = image[..., 0] > 127
    (box,), (visible,) = move_boxes(np.array([[x0, y0, x1, y1]], float), np.array([0]), [source])
    if not visible or (box[2:] - box[:2]).min() < 6:
        return  # too thin for bilinear interpolation to leave a bright pixel at each end
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    drawn = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    # a sharp corner fades within a pixel or two of its tip
    np.testing.assert_allclose(box, drawn, atol=3.0 if is_warped else 1.5)
    if visible > 0.999:
        area = (x1 - x0) * (y1 - y0) * np.prod(size / extent) * abs(np.linalg.det(warp[:, :2]))
        assert bright.sum() == pytest.approx(area, rel=0.25)


def test_a_whole_turn_step_is_exact():
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 256, (20, 20, 3)).astype(np.uint8)
    source = SourceImage(0, [0, 0, 20, 20], [20, 20], warp=affine([20, 20], degrees=90))
    turned = render_sources(stored, source, padded_size=[20, 20])
    np.testing.assert_array_equal(turned, np.rot90(stored, -1))  # clockwise


def test_blending_weighs_and_holes_are_filled():
    stored = np.full((4, 4, 3), 200, np.uint8)
    half = {"weight": 0.5}
    sources = (
        SourceImage(0, [0, 0, 4, 4], [4, 4], **half),
        SourceImage(0, [0, 0, 4, 4], [2, 2], **half),
    )
    image = render_sources(stored, *sources, padded_size=[4, 5], holes=[(3, 0, 1, 2)])
    expected = np.array(
        [
            [200, 200, 100, 100, 0],
            [200, 200, 100, 100, 0],
            [100, 100, 100, 100, 0],
            [0, 0, 100, 100, 0],
        ]
    )
    np.testing.assert_array_equal(image[..., 0], expected)


def test_all_that_no_tile_covers_is_filled():
    stored = np.full((4, 6, 3), 200, np.uint8)
    source = SourceImage(0, [0, 0, 4, 6], [4, 6], offset=np.array([2, 3]))
    expected = np.zeros((9, 11), np.uint8)
    expected[2:6, 3:9] = 200
    np.testing.assert_array_equal(
        render_sources(stored, source, padded_size=[9, 11])[..., 0], expected
    )
    # and in a mosaic, whose other sources are rendered beside the first
    second = SourceImage(0, [0, 0, 2, 2], [2, 2], offset=np.array([0, 9]))
    expected[:2, 9:] = 200
    np.testing.assert_array_equal(
        render_sources(stored, source, second, padded_size=[9, 11])[..., 0], expected
    )


@pytest.mark.parametrize("size", [(90, 70), (25, 31), (40, 40)])
def test_images_are_resized_as_detection_resizes_them(size):
    stored = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    rendered = render_sources(stored, SourceImage(0, [0, 0, 40, 40], size), padded_size=size)
    exact = resize_images(stored, size).numpy()
    assert np.abs(rendered - exact).max() <= 1.0
    assert np.abs((rendered - exact).mean()) < 0.15


def test_colors_by_hand():
    # values 100 and 50, brightness 1.2: 120 and 60, mean 90; contrast 0.5: 105 and 75
    stored = np.full((1, 2, 3), 100, np.uint8)
    stored[0, 1] = 50
    source = SourceImage(0, [0, 0, 1, 2], [1, 2], colors=np.array([1.2, 0.5, 1.0]))
    np.testing.assert_array_equal(
        render_sources(stored, source, padded_size=[1, 2])[0, :, 0], [105, 75]
    )
    # without saturation, pure green looks as 0.587 of it in grey
    stored[:] = [0, 200, 0]
    source = SourceImage(0, [0, 0, 1, 2], [1, 2], colors=np.array([1.0, 1.0, 0.0]))
    np.testing.assert_array_equal(
        render_sources(stored, source, padded_size=[1, 2])[0, 0], [117] * 3
    )


@pytest.mark.parametrize(
    "augmented",
    [
        {"mosaic": 1.0},
        {"expand": 2.5},
        {"rotation": 10.0},
        {"rand_augment": 2, "rand_strength": 0.3},
        {"mosaic": 0.5, "cutout": 2, "rotation": 5.0, "scale_jitter": (0.5, 1.5)},
    ],
    ids=lambda augmented: " ".join(augmented),
)
def test_boxes_of_whole_batches_lie_on_their_colors(tmp_path, augmented):
    """The rectangles are plain red or blue, so the middle of a box shows its class."""
    dataset = read_coco(*write_coco(tmp_path / "d", count=8))
    options = AugmentSettings(96, 128, **augmented)
    batches = training_batches(
        dataset, options, batch_size=4, padding_color=(124.0, 116.0, 104.0), cache_mib=64
    )
    right = total = 0
    for images, targets in itertools.islice(batches.as_numpy_iterator(), 6):
        for image, boxes, labels in zip(images, targets["boxes"], targets["labels"], strict=True):
            for (x0, y0, x1, y1), label in zip(boxes, labels, strict=True):
                if label < 0:
                    continue
                assert 0 <= x0 < x1 <= image.shape[1] and 0 <= y0 < y1 <= image.shape[0]
                pixel = image[int((y0 + y1) / 2), int((x0 + x1) / 2)].astype(int)
                right += pixel[0 if label == 0 else 2] - pixel[2 if label == 0 else 0] > 60
                total += 1
    # the rest are covered by a later rectangle or by a hole
    assert total >= 10
    assert right / total > 0.7


def test_mixup_keeps_the_objects_of_both(tmp_path):
    dataset = read_coco(*write_coco(tmp_path / "d", count=8))
    counts = np.diff(dataset.row_splits)
    batches = training_batches(
        dataset,
        AugmentSettings(64, 96, mixup=1.0, flip=False),
        batch_size=4,
        padding_color=BLACK,
    )
    images, targets = next(batches.as_numpy_iterator())
    assert images.dtype == np.uint8
    assert (targets["labels"] >= 0).sum(1).max() > counts.max() or (
        (targets["labels"] >= 0).sum() > 4 * counts.mean()
    )


def test_one_side_is_drawn_for_each_batch_and_padded_sizes_are_few(tmp_path):
    dataset = read_coco(*write_coco(tmp_path / "d", count=8))
    options = AugmentSettings(64, 160, min_sides=(48, 64, 80, 96, 112, 128), canvas_step=64)
    batches = training_batches(dataset, options, batch_size=2, padding_color=BLACK)
    shapes = {images.shape[1:3] for images, _ in itertools.islice(batches, 40)}
    assert len({min(shape) for shape in shapes}) > 1
    assert all(side % 64 == 0 for shape in shapes for side in shape)


@pytest.mark.parametrize(
    ("augmented", "message"),
    [
        ({"scale_jitter": (2.0, 1.0)}, "rising"),
        ({"min_sides": (64, 2000)}, "exceeds max_side"),
        ({"canvas_step": 48}, "multiple of 32"),
        ({"mosaic": 1.5}, r"mosaic is 1.5; it must lie in \[0, 1\]"),
        ({"rotation": 90.0}, "45"),
        ({"expand": 0.5}, r"expand is 0.5; it must lie in \[1, inf\)"),
        ({"rand_strength": 2.0}, "rand_strength"),
    ],
)
def test_impossible_settings_are_refused(augmented, message):
    with pytest.raises(ValueError, match=message):
        AugmentSettings(**augmented)
