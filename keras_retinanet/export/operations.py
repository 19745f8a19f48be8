"""Which operations an export may hold: those that a stock TensorFlow Serving runs."""

from __future__ import annotations

import pathlib

from tensorflow.core.protobuf import saved_model_pb2

# Written out by groups, since nothing else would notice one that loads here and fails there:
# tf.py_function needs this very Python process, an operation from a plug-in that plug-in's library.
ALLOWED = frozenset(
    name
    for group in (
        # Functions, control flow and lists (what tf.map_fn gathers in)
        "If NoOp PartitionedCall Placeholder StatefulPartitionedCall StatelessIf StatelessWhile",
        "While",
        "TensorListFromTensor TensorListGetItem TensorListReserve TensorListSetItem",
        "TensorListStack",
        # Variables, and reading and writing them
        "AssignVariableOp DisableCopyOnRead MergeV2Checkpoints ReadVariableOp RestoreV2 SaveV2",
        "ShardedFilename StaticRegexFullMatch VarHandleOp VarIsInitializedOp",
        # Trying to decode (see hostile_images.py)
        "ConcatenateDataset DatasetToSingleElement FilterDataset IgnoreErrorsDataset MapDataset",
        "TakeDataset TensorDataset",
        # Bytes and images
        "DecodeBmp DecodeImage DecodeJpeg DecodeRaw ExtractJpegShape ParseExample ParseExampleV2",
        "ParseSingleExample ResizeBilinear ResizeNearestNeighbor StringJoin StringLength Substr",
        "NonMaxSuppressionV3",
        # Networks
        "AvgPool BatchMatMulV2 BiasAdd Conv2D DepthwiseConv2dNative Einsum Elu FusedBatchNormV3",
        "LeakyRelu MatMul MaxPool Relu Relu6 Selu Sigmoid Softmax Softplus Softsign Tanh",
        # Arithmetic and comparison
        "Abs Add AddN AddV2 All Any ArgMax ArgMin BitwiseAnd BitwiseOr Ceil ClipByValue Cumsum",
        "Equal Erf Erfc Exp Expm1 Floor FloorDiv FloorMod Greater GreaterEqual LeftShift Less",
        "LessEqual Log Log1p LogicalAnd LogicalNot LogicalOr Max Maximum Mean Min Minimum Mul Neg",
        "NotEqual Pow Prod RealDiv Reciprocal RightShift Round Rsqrt Sign Sqrt Square",
        "SquaredDifference Sub Sum TopKV2 Where",
        # Shapes and places
        "BroadcastTo Cast ConcatV2 Const DepthToSpace ExpandDims Fill GatherNd GatherV2 Identity",
        "IdentityN MirrorPad OnesLike Pack Pad PadV2 Range Rank Reshape ReverseV2 Select SelectV2",
        "Reverse Shape Size Slice SpaceToDepth Split SplitV Squeeze StopGradient StridedSlice Tile",
        "Transpose Unpack ZerosLike EnsureShape",
    )
    for name in group.split()
)


class OperationError(ValueError):
    """The graph holds an operation that a server may not have."""


def check_operations(folder: pathlib.Path) -> None:
    """Refuses a SavedModel with operations that are not in `ALLOWED`, or that needs XLA.

    Raises:
        OperationError: naming them.
    """
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graphs = [meta_graph.graph_def for meta_graph in saved.meta_graphs]
    functions = [function for graph in graphs for function in graph.library.function]
    nodes = [node for graph in graphs for node in graph.node]
    nodes += [node for function in functions for node in function.node_def]
    unknown = {node.op for node in nodes} - {f.signature.name for f in functions} - ALLOWED
    if unknown:
        raise OperationError(
            f"the model holds the operations {', '.join(sorted(unknown))}, which a TensorFlow "
            "server may not have; build the backbone without tf.py_function and plug-ins, or, "
            "where the server is known to have them, add them to export/operations.py"
        )
    compiled = [f.signature.name for f in functions if f.attr["_XlaMustCompile"].b]
    compiled += [node.name for node in nodes if node.attr["_XlaMustCompile"].b]
    if compiled:
        raise OperationError(
            f"{compiled[0]} must be compiled by XLA, which TensorFlow Serving refuses on a CPU; "
            "build the backbone without jit_compile (Keras' grouped convolutions use it)"
        )
