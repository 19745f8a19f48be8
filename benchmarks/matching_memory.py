"""What matching takes for 64 images of 800 x 1344 pixels with 100 objects each: memory and time.

python benchmarks/matching_memory.py
"""

from __future__ import annotations

import resource
import time

import tensorflow as tf

from keras_retinanet.geometry.matching import match_anchors
from keras_retinanet.layers.anchors import Anchors

IMAGES, HEIGHT, WIDTH, OBJECTS = 64, 800, 1344, 100


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    pyramid = [tf.zeros([1, -(-HEIGHT // s), -(-WIDTH // s), 1]) for s in (8, 16, 32, 64, 128)]
    anchors = tf.concat(Anchors()(pyramid), axis=0)
    corner = tf.random.uniform([IMAGES, OBJECTS, 2]) * [WIDTH - 200.0, HEIGHT - 200.0]
    boxes = tf.concat([corner, corner + tf.random.uniform(corner.shape, 8.0, 200.0)], axis=-1)
    labels = tf.zeros([IMAGES, OBJECTS], tf.int32)
    match = tf.function(match_anchors)
    match(anchors, boxes[:1], labels[:1])  # traces
    before, start = peak_mib(), time.perf_counter()
    match(anchors, boxes, labels)
    seconds = time.perf_counter() - start
    result = IMAGES * len(anchors) * 5 * 4 / 2**20
    print(f"{IMAGES} images, {OBJECTS} objects and {len(anchors)} anchors each: {seconds:.1f} s,")
    print(f"{peak_mib() - before:.0f} MiB more than for one image; the result is {result:.0f} MiB;")
    print(f"the IoU of one image is {OBJECTS * len(anchors) * 4 / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
