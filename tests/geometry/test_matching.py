import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_retinanet.geometry.matching import BACKGROUND, IGNORED, match_anchors, match_iou

# three objects (rows) by six anchors
IOU = [
    [0.10, 0.55, 0.45, 0.20, 0.00, 0.39],
    [0.30, 0.60, 0.05, 0.00, 0.00, 0.00],
    [0.00, 0.00, 0.00, 0.35, 0.00, 0.00],
]


def test_thresholds_and_low_quality():
    objects, status = match_iou(tf.constant(IOU))
    np.testing.assert_array_equal(objects, [1, 1, 0, 2, 0, 0])
    # anchor 1 is best of all for objects 0 and 1 and goes to 1; anchor 3 is the best of object 2
    np.testing.assert_array_equal(status, [BACKGROUND, 0, IGNORED, 0, BACKGROUND, BACKGROUND])


def test_without_low_quality_a_small_object_has_no_anchor():
    _, status = match_iou(tf.constant(IOU), low_quality=False)
    np.testing.assert_array_equal(
        status, [BACKGROUND, 0, IGNORED, BACKGROUND, BACKGROUND, BACKGROUND]
    )


def test_low_quality_match_keeps_its_own_best_object():
    # anchor 0 is the best that object 1 has, but overlaps object 0 more
    objects, status = match_iou(tf.constant([[0.45, 0.80], [0.20, 0.10]]))
    np.testing.assert_array_equal(objects, [0, 0])
    np.testing.assert_array_equal(status, [0, 0])


def test_ties():
    # both anchors are equally good for the object: both train; of equal objects the first counts
    objects, status = match_iou(tf.constant([[0.3, 0.3], [0.3, 0.1]]))
    np.testing.assert_array_equal(objects, [0, 0])
    np.testing.assert_array_equal(status, [0, 0])


def test_thresholds_are_inclusive_above_and_exclusive_below():
    _, status = match_iou(tf.constant([[0.5, 0.4, 0.3999, 0.9]]))
    np.testing.assert_array_equal(status, [0, IGNORED, BACKGROUND, 0])


def test_object_that_no_anchor_touches_matches_none():
    _, status = match_iou(tf.constant([[0.0, 0.0, 0.0]]))
    np.testing.assert_array_equal(status, [BACKGROUND] * 3)


ANCHORS = tf.constant([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]])


def test_no_objects_and_all_padding_are_background():
    for boxes, labels in (
        (np.zeros((2, 0, 4)), np.zeros((2, 0))),
        (np.zeros((2, 3, 4)), np.full((2, 3), -1)),
        (np.array([[[0, 0, 10, 10]]] * 2), np.full((2, 1), -1)),
    ):
        anchor_labels, _ = match_anchors(ANCHORS, tf.constant(boxes), tf.constant(labels))
        np.testing.assert_array_equal(anchor_labels, np.full((2, 3), BACKGROUND))


def test_images_of_a_batch_are_matched_apart():
    boxes = tf.constant([[[0.0, 0, 10, 10], [0, 0, 0, 0]], [[20, 0, 30, 10], [40, 0, 50, 10]]])
    labels = tf.constant([[4, -1], [0, 7]])
    anchor_labels, anchor_boxes = match_anchors(ANCHORS, boxes, labels)
    np.testing.assert_array_equal(anchor_labels, [[4, -1, -1], [-1, 0, 7]])
    np.testing.assert_array_equal(anchor_boxes[1, 2], [40, 0, 50, 10])


def test_region_to_ignore_takes_background_away_but_no_object():
    boxes = tf.constant([[[0.0, 0, 34, 10], [0, 0, 10, 10]]])
    labels = tf.constant([[IGNORED, 2]])
    anchor_labels, _ = match_anchors(ANCHORS, boxes, labels)
    # anchor 0 holds an object, anchor 1 lies in the region, anchor 2 outside
    np.testing.assert_array_equal(anchor_labels, [[2, IGNORED, BACKGROUND]])


def plain_match(iou):
    """The rule again, anchor by anchor in plain Python."""
    status = []
    for n in range(iou.shape[1]):
        best = iou[:, n].max()
        is_best = any(iou[m, n] == iou[m].max() > 0 for m in range(len(iou)))
        status.append(0 if best >= 0.5 or is_best else BACKGROUND if best < 0.4 else IGNORED)
    return iou.argmax(0), status


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 8), st.integers(0, 10**6))
def test_random_matrices_against_plain_python(rows, columns, seed):
    # few distinct values, so that ties are common
    iou = np.random.default_rng(seed).integers(0, 11, (rows, columns)).astype(np.float32) / 10
    objects, status = match_iou(tf.constant(iou))
    expected_objects, expected_status = plain_match(iou)
    np.testing.assert_array_equal(objects, expected_objects)
    np.testing.assert_array_equal(status, expected_status)
