"""A network with the same outputs and less to do: convolutions made ready for inference."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_retinanet.layers.normalize_images import NormalizeImages

_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D)


def fold_normalizations(model: keras.Model) -> keras.Model:
    """A functional model with the same outputs in inference, fewer layers and smaller weights.

    With its running statistics a batch normalisation multiplies and shifts each channel, and so
    does a convolution with other weights. Folded are those that directly follow a `Conv2D` or
    `DepthwiseConv2D` without activation, whose output nothing else uses, in nested models too, be
    it cropped in between.

    Where a `Conv2D` is the first to see the normalised images, but for padding with zeros, it takes
    over from `NormalizeImages` the division by the standard deviation and the order of the colours.
    The mean stays: what pads an image is 0 without it, and bfloat16 tells numbers about 0 best.

    Where a `Conv2D` is added to something, TensorFlow is told that both have one shape, see
    `_AddToConvolution`.

    All other layers are shared with `model`. Convolutions keep their weights in the type that they
    compute in, so that under mixed precision none is cast for each image.
    """
    return _fold(model, _find_stem(model))


def _fold(model: keras.Model, stem: Mapping[int, NormalizeImages]) -> keras.Model:
    following = _norms_after_convolutions(model)
    folded = {id(norm) for norm in following.values()}

    def clone(layer: layers.Layer) -> layers.Layer:
        normalize = stem.get(id(layer))
        if isinstance(layer, NormalizeImages) and normalize is layer:
            return NormalizeImages(layer.padding_color, std=(1.0, 1.0, 1.0))
        if isinstance(layer, keras.Model):
            return _fold(_as_graph(layer), stem)
        if isinstance(layer, _CONVOLUTIONS):
            kernel = _values(layer.kernel)
            if normalize is not None:
                kernel = _for_centered_images(kernel, normalize)
            return _convolution(layer, kernel, following.get(id(layer)))
        return layer

    def call(layer: layers.Layer, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if id(layer) in folded:
            return inputs
        if type(layer) is layers.Add and (parts := _parts_of_sum(inputs)):
            return _AddToConvolution(name=layer.name, dtype=layer.dtype_policy)(parts)
        return layer(inputs, *args, **kwargs)

    result = keras.models.clone_model(model, clone_function=clone, call_function=call)
    # A model casts its inputs by its own policy, which the clone took from the global one.
    result.dtype_policy = model.dtype_policy
    return result


def _as_graph(model: keras.Model) -> keras.Model:
    """The same layers as a graph of nodes; ConvNeXt has some in a row."""
    return model._functional if isinstance(model, keras.Sequential) else model


def _nodes(model: keras.Model) -> list[Any]:
    """The calls of layers that the model is made of."""
    return [n for depth in model._nodes_by_depth.values() for n in depth if not n.is_input]


def _find_stem(model: keras.Model) -> dict[int, NormalizeImages]:
    """The normalisation of the images, by its id and by that of the convolution that alone sees it.

    Empty if there is no such convolution.
    """
    for layer in model.layers:
        if isinstance(layer, NormalizeImages):
            convolution = _first_convolution(model, layer.output)
            return {id(layer): layer, id(convolution): layer} if convolution else {}
    return {}


def _first_convolution(model: keras.Model, tensor: keras.KerasTensor) -> layers.Conv2D | None:
    """The convolution that alone sees `tensor` [B, H, W, 3], past zero padding, nested too."""
    nodes = _nodes(model)
    users = [node for node in nodes if any(t is tensor for t in node.input_tensors)]
    if len(users) != 1 or any(t is tensor for t in model.outputs):
        return None
    layer = users[0].operation
    if isinstance(layer, keras.Model):
        graph = _as_graph(layer)
        return _first_convolution(graph, graph.inputs[0])
    if isinstance(layer, layers.ZeroPadding2D):
        return _first_convolution(model, users[0].outputs[0])
    is_once = sum(node.operation is layer for node in nodes) == 1
    return layer if type(layer) is layers.Conv2D and layer.groups == 1 and is_once else None


def _for_centered_images(kernel: np.ndarray, normalize: NormalizeImages) -> np.ndarray:
    """What a kernel [h, w, 3, C] for normalised images is for RGB images less their mean."""
    kernel = kernel / np.array(normalize.std)[:, np.newaxis]
    return kernel[:, :, ::-1] if normalize.bgr else kernel


def _norms_after_convolutions(model: keras.Model) -> dict[int, layers.BatchNormalization]:
    """The batch normalisation to fold into each convolution, by the id of the latter."""
    nodes = _nodes(model)
    calls = collections.Counter(id(node.operation) for node in nodes)
    uses = collections.Counter(id(t) for node in nodes for t in node.input_tensors)
    uses.update(id(tensor) for tensor in model.outputs)
    found = {}
    for node in nodes:
        norm, (tensor, *_) = node.operation, node.input_tensors
        uncropped = _before_cropping(tensor)
        convolution = uncropped._keras_history.operation
        if (
            isinstance(norm, layers.BatchNormalization)
            and isinstance(convolution, _CONVOLUTIONS)
            and convolution.activation is keras.activations.linear
            and uses[id(tensor)] == calls[id(norm)] == calls[id(convolution)] == 1
            and uses[id(uncropped)] == 1
        ):
            found[id(convolution)] = norm
    return found


def _before_cropping(tensor: keras.KerasTensor) -> keras.KerasTensor:
    """What `tensor` [B, H, W, C] was cropped from, or itself."""
    layer, index, _ = tensor._keras_history
    if not isinstance(layer, layers.Cropping2D):
        return tensor
    return layer._inbound_nodes[index].input_tensors[0]


def _convolution(
    convolution: layers.Layer, kernel: np.ndarray, norm: layers.BatchNormalization | None
) -> layers.Layer:
    """The convolution that does what `convolution`, with this kernel, and then `norm` do."""
    bias = _values(convolution.bias) if convolution.use_bias else 0.0
    config = {**convolution.get_config(), "dtype": convolution.compute_dtype}
    if norm is not None:
        scale, mean, shift = _scale_mean_shift(norm)
        # Depthwise: [height, width, channels, multiplier]; the last two are the output's channels.
        is_depthwise = isinstance(convolution, layers.DepthwiseConv2D)
        kernel = kernel * (scale.reshape(kernel.shape[2:]) if is_depthwise else scale)
        bias = (bias - mean) * scale + shift
        config["use_bias"] = True
    result = type(convolution).from_config(config)
    result.build_from_config(convolution.get_build_config())
    result.kernel.assign(kernel)
    if result.use_bias:
        result.bias.assign(bias)
    return result


class _AddToConvolution(layers.Layer):
    """`convolved` + `other`, both [B, H, W, C]; `convolved` was made from `source` [B, H, W, any].

    TensorFlow computes a convolution, its bias, a sum and a ReLU in one pass, but only where it can
    tell that nothing is broadcast. Behind strides and upsampling it cannot, unless the shape is
    said to be that of what is convolved.
    """

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        convolved, other, source = inputs  # [B, H, W, C] twice, [B, H, W, any]
        shape = tf.concat([tf.shape(source)[:3], [other.shape[-1]]], axis=0)
        return convolved + tf.reshape(other, shape)

    def compute_output_shape(self, input_shape: Sequence[tuple]) -> tuple:
        return tuple(input_shape[0])


def _parts_of_sum(inputs: Sequence[keras.KerasTensor]) -> list[keras.KerasTensor]:
    """What `_AddToConvolution` takes to add `inputs` [B, H, W, C]; empty if no convolution's."""
    if len(inputs) != 2 or inputs[0].shape != inputs[1].shape:
        return []
    for convolved, other in (inputs, inputs[::-1]):
        layer, index, _ = convolved._keras_history
        if type(layer) is layers.Conv2D and _keeps_size(layer):
            return [convolved, other, layer._inbound_nodes[index].input_tensors[0]]
    return []


def _keeps_size(convolution: layers.Conv2D) -> bool:
    return convolution.strides == (1, 1) and (
        convolution.padding == "same" or convolution.kernel_size == (1, 1)
    )


def _scale_mean_shift(norm: layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray, Any]:
    """What the layer does to a channel: (x - mean) * scale + shift, each [C]."""
    scale = 1.0 / np.sqrt(_values(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        scale *= _values(norm.gamma)
    return scale, _values(norm.moving_mean), _values(norm.beta) if norm.center else 0.0


def _values(variable: keras.Variable) -> np.ndarray:
    """The values of a variable in float64, of its shape [...]."""
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)
