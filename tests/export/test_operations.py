"""Which graphs are refused, on graphs made by hand."""

import pytest
from tensorflow.core.protobuf import saved_model_pb2

from keras_retinanet.export.operations import OperationError, check_operations


def write(folder, *, operation="Conv2D", compiled=False):
    """A SavedModel whose graph calls a function that holds one operation."""
    saved = saved_model_pb2.SavedModel()
    graph = saved.meta_graphs.add().graph_def
    graph.node.add(name="call", op="network")
    function = graph.library.function.add()
    function.signature.name = "network"
    function.node_def.add(name="inside", op=operation)
    if compiled:
        function.attr["_XlaMustCompile"].b = True
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())


def test_known_operations_and_calls_of_functions_pass(tmp_path):
    write(tmp_path)
    check_operations(tmp_path)


def test_an_unknown_operation_inside_a_function_is_named(tmp_path):
    write(tmp_path, operation="EagerPyFunc")
    with pytest.raises(OperationError, match="holds the operations EagerPyFunc, which"):
        check_operations(tmp_path)


def test_what_needs_a_compiler_that_the_server_leaves_off_is_refused(tmp_path):
    write(tmp_path, compiled=True)
    with pytest.raises(OperationError, match="network must be compiled by XLA"):
        check_operations(tmp_path)
