"""Times the training step of this package, as a worker like peers/torchvision_step.py."""

from __future__ import annotations

import argparse
import json
import sys
import time

import keras
import tensorflow as tf

import keras_retinanet as kr

NUM_CLASSES = 80
NUM_BOXES = 8
WORK = {
    "r50": ({"backbone": "resnet50"}, 512, 2),
    "r18": ({"backbone": "resnet18", "pyramid_channels": 64}, 256, 8),
}


def random_batch(side: int, batch: int) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Noise and boxes, drawn as the torchvision worker draws them."""
    images = tf.cast(tf.random.uniform([batch, side, side, 3], 0, 256, tf.int32), tf.uint8)
    corner = tf.random.uniform([batch, NUM_BOXES, 2]) * side * 0.7
    extent = tf.random.uniform([batch, NUM_BOXES, 2]) * side * 0.25 + 0.03 * side
    labels = tf.random.uniform([batch, NUM_BOXES], 0, NUM_CLASSES, tf.int32)
    return images, {"boxes": tf.concat([corner, corner + extent], -1), "labels": labels}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", choices=list(WORK), default="r50")
    parser.add_argument("--norm", choices=["trainable", "frozen"], default="trainable")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    args = parser.parse_args()
    keras.utils.set_random_seed(0)
    settings, side, batch = WORK[args.arch]
    dtype = "float32" if args.precision == "float32" else "mixed_bfloat16"
    model = kr.RetinaNet(NUM_CLASSES, backbone_norm=args.norm, dtype=dtype, **settings)
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), l2=1e-4)
    data = random_batch(side, batch)
    # The signature of `fit` on a pipeline: batch known, sizes not.
    signature = [
        tf.TensorSpec([batch, None, None, 3], tf.uint8),
        {
            "boxes": tf.TensorSpec([batch, None, 4], tf.float32),
            "labels": tf.TensorSpec([batch, None], tf.int32),
        },
    ]
    step = tf.function(lambda *given: model.train_step(given)["loss"], input_signature=signature)

    def run(steps: int) -> dict[str, object]:
        seconds, loss = [], 0.0
        for _ in range(steps):
            start = time.perf_counter()
            loss = float(step(*data))
            seconds.append(time.perf_counter() - start)
        return {"seconds": seconds, "loss": loss}

    run(2)
    print(json.dumps({"ready": f"keras_retinanet, keras {keras.__version__}"}), flush=True)
    for line in sys.stdin:
        if line.startswith("go "):
            print(json.dumps(run(int(line.split()[1]))), flush=True)


if __name__ == "__main__":
    main()
