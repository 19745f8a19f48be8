"""What a server can ask of the model: the functions behind the signatures of the SavedModel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_retinanet.export.graph.decode_request import image_or_blank
from keras_retinanet.export.signature_names import BYTES, DEBUG, EXAMPLES, PIXELS
from keras_retinanet.geometry.boxes import normalized_yxyx
from keras_retinanet.models.retinanet import RetinaNet
from keras_retinanet.models.trainable import join_levels

Answer = dict[str, tf.Tensor]
Signature = tuple[Callable[[tf.Tensor], Answer], tf.TensorSpec]


def signature_functions(
    model: RetinaNet, names: Sequence[str], default_signature: str, max_batch: int
) -> dict[str, Signature]:
    """The function of each signature, by its name, and its only input.

    Each fails with an InvalidArgumentError on more than `max_batch` images, before it computes
    anything. The size rule bounds the padded size of an image, so this bounds what a request may
    allocate: without, the 30 kB of 10,000 images of one pixel, each enlarged, took 71 GiB.

    Args:
        model: what answers.
        names: of the signatures, some of `signature_names.SIGNATURES`.
        default_signature: "tensor" or "bytes", what `serving_default` takes.
        max_batch: the most images in a request.
    """

    def limited(answer: Callable[..., Answer], **settings: Any) -> Callable[[tf.Tensor], Answer]:
        def function(batch: tf.Tensor) -> Answer:  # [B, ...]
            return answer(model, _limited(batch, max_batch), **settings)

        return function

    from_pixels, from_bytes = limited(detections), limited(_one_by_one, find_image=tf.identity)

    def strings(name: str) -> tf.TensorSpec:
        return tf.TensorSpec([None], tf.string, name=name)

    pixels = tf.TensorSpec([None, None, None, 3], tf.uint8, name="input_tensor")
    is_bytes = default_signature == "bytes"
    found = {
        PIXELS: (from_bytes, strings("input_tensor")) if is_bytes else (from_pixels, pixels),
        BYTES: (from_bytes, strings("image_bytes")),
        EXAMPLES: (limited(_one_by_one, find_image=_encoded_image), strings("examples")),
        DEBUG: (limited(raw_heads), pixels),
    }
    return {name: found[name] for name in names}


def _limited(batch: tf.Tensor, max_batch: int) -> tf.Tensor:
    """`batch` [B, ...] as it is; where B exceeds `max_batch`, an error when the graph runs."""
    count = tf.shape(batch)[0]
    message = f"this export takes at most {max_batch} images in a request, see --max_batch; given:"
    is_allowed = tf.debugging.Assert(count <= max_batch, [message, count])
    # What follows waits for the answer: in a graph it would begin at the same time.
    with tf.control_dependencies([is_allowed]):
        return tf.identity(batch)


def detections(model: RetinaNet, images: tf.Tensor) -> Answer:
    """Detections in images uint8 [B, H, W, 3] of one size, as the signatures give them."""
    found = model.detector.detect_images(images)
    sizes = tf.tile(tf.shape(images)[None, 1:3], [tf.shape(images)[0], 1])
    # Padding rows have the label -1; id 0 stands in front so that they come out as 0.
    ids = tf.constant([0, *(id_ for id_, _ in model.categories)], tf.float32)
    return {
        "num_detections": tf.cast(found["num_detections"], tf.float32),
        "detection_boxes": normalized_yxyx(found["boxes"], sizes),
        "detection_scores": found["scores"],
        "detection_classes": tf.gather(ids, found["labels"] + 1),
    }


def _one_by_one(
    model: RetinaNet, requests: tf.Tensor, find_image: Callable[[tf.Tensor], tf.Tensor]
) -> Answer:
    """Detections in encoded images [B]: their sizes differ, and none may change another's answer.

    What is no image costs no run of the network and gets no detections.
    """
    rows = model.select_detections.settings.max_detections
    output = {
        "num_detections": tf.TensorSpec([], tf.float32),
        "detection_boxes": tf.TensorSpec([rows, 4], tf.float32),
        "detection_scores": tf.TensorSpec([rows], tf.float32),
        "detection_classes": tf.TensorSpec([rows], tf.float32),
    }

    def one(request: tf.Tensor) -> Answer:
        image, is_image = image_or_blank(request, find_image)  # [height, width, 3], scalar
        return tf.cond(
            is_image,
            lambda: {name: value[0] for name, value in detections(model, image[None]).items()},
            lambda: {name: tf.zeros(spec.shape) for name, spec in output.items()},
        )

    return tf.map_fn(one, requests, fn_output_signature=output, parallel_iterations=1)


def _encoded_image(example: tf.Tensor) -> tf.Tensor:
    """The bytes, scalar, of the image in a tf.Example, as TensorFlow's detection data has it."""
    feature = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
    return tf.io.parse_single_example(example, feature)["image/encoded"]


def raw_heads(model: RetinaNet, images: tf.Tensor) -> Answer:
    """Raw outputs for images [B, H, W, 3], before threshold and NMS; see `export_saved_model`."""
    prepared, size = model.detector.prepare(images)
    levels = model.network(prepared, training=False)
    level_sizes = tf.stack([tf.shape(anchors)[0] for anchors in levels["anchors"]])  # [5]
    heads = join_levels(levels)

    def of_each_image(value: tf.Tensor) -> tf.Tensor:  # [...] to [B, ...]
        repeats = tf.concat([tf.shape(images)[:1], tf.ones([value.shape.rank], tf.int32)], axis=0)
        return tf.tile(tf.cast(value, tf.float32)[None], repeats)

    return {
        "class_logits": heads["class_logits"],
        "box_deltas": heads["box_deltas"],
        "anchors": of_each_image(heads["anchors"]),
        "level_sizes": of_each_image(level_sizes),
        "resized_sizes": of_each_image(size),
    }
