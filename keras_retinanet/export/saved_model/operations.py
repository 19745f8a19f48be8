"""Which operations an export may hold: those that a stock TensorFlow Serving runs.

A SavedModel is a program. Its graph may read and write files with the rights of whoever runs it, as
it is loaded or at the first request, so the same list is asked again where one is loaded.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from keras_retinanet.files import package_text

# Written out, since nothing else would notice one that loads here and fails there: tf.py_function
# needs this very Python process, an operation from a plug-in that plug-in's library.
_LIST = "allowed_operations.txt"
ALLOWED = frozenset(re.sub("#.*", "", package_text(__package__, _LIST)).split())

# Every SavedModel holds functions that save and restore its weights. What these need reads and
# writes files and variables, so no signature may reach it.
RESTORING = frozenset(["AssignVariableOp", "RestoreV2"])
SAVING = frozenset(
    ["DisableCopyOnRead", "MergeV2Checkpoints", "SaveV2", "ShardedFilename", "StaticRegexFullMatch"]
)

# Where graphs of TensorFlow 1 name what runs as they are loaded.
_INITIAL_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")


class OperationError(ValueError):
    """The graph holds an operation that a server may not have, or that no request may reach."""


def check_operations(folder: str | os.PathLike[str]) -> None:
    """Refuses a SavedModel that computes what no detector has to, or that needs XLA.

    All its operations must be in `ALLOWED`, `RESTORING` or `SAVING`; what restores its weights may
    not reach those of `SAVING`, and signatures and what runs on loading neither of the two. It does
    not make a SavedModel from a stranger safe: the graph is still read by TensorFlow's own code,
    which is not made to withstand every file.

    Args:
        folder: of the SavedModel.

    Raises:
        OperationError: naming the operations.
        OSError: if the folder holds no SavedModel.
    """
    for meta_graph in read_meta_graphs(folder):
        _check_known(meta_graph)
        _check_reach(meta_graph)
        _check_compilation(meta_graph)


def read_meta_graphs(folder: str | os.PathLike) -> Sequence[meta_graph_pb2.MetaGraphDef]:
    """The graphs of a SavedModel, at least one.

    Raises:
        OSError: if the folder holds no SavedModel.
    """
    file = pathlib.Path(folder) / "saved_model.pb"
    try:
        graphs = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs
    except DecodeError as error:
        raise OSError(f"{file} is no SavedModel, or damaged") from error
    if not graphs:
        raise OSError(f"{file} is no SavedModel, or damaged")
    return graphs


def _check_known(meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
    functions = meta_graph.graph_def.library.function
    operations = {node.op for node in _all_nodes(meta_graph)}
    known = ALLOWED | RESTORING | SAVING | {function.signature.name for function in functions}
    if unknown := operations - known:
        raise OperationError(
            f"the model holds the operations {', '.join(sorted(unknown))}, which a TensorFlow "
            "server may not have; build the backbone without tf.py_function and plug-ins, or, "
            f"where the server is known to have them, add them to export/saved_model/{_LIST}"
        )


def _check_reach(meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
    roots: dict[str, Iterable[str]] = {
        f"the signature {name}": {
            tensor.name for tensor in (*signature.inputs.values(), *signature.outputs.values())
        }
        for name, signature in meta_graph.signature_def.items()
    }
    for name in _INITIAL_COLLECTIONS:
        roots[f"the collection {name}"] = meta_graph.collection_def[name].node_list.value
    refused = {who: RESTORING | SAVING for who in roots}
    restore = "the restoring of its weights"
    roots[restore], refused[restore] = [meta_graph.saver_def.restore_op_name], SAVING
    for who, tensors in roots.items():
        if reached := _reached(meta_graph, tensors) & refused[who]:
            raise OperationError(
                f"{who} reaches the operations {', '.join(sorted(reached))}, which read or write "
                "files or weights; no export does so. Do not load this model"
            )


def _check_compilation(meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
    functions = meta_graph.graph_def.library.function
    compiled = [f.signature.name for f in functions if f.attr["_XlaMustCompile"].b]
    compiled += [node.name for node in _all_nodes(meta_graph) if node.attr["_XlaMustCompile"].b]
    if compiled:
        raise OperationError(
            f"{compiled[0]} must be compiled by XLA, which TensorFlow Serving refuses on a CPU; "
            "build the backbone without jit_compile (Keras' grouped convolutions use it)"
        )


def _all_nodes(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[Any]:
    yield from meta_graph.graph_def.node
    for function in meta_graph.graph_def.library.function:
        yield from function.node_def


def _reached(meta_graph: meta_graph_pb2.MetaGraphDef, tensors: Iterable[str]) -> set[str]:
    """The operations that may run where these tensors or nodes of the graph are asked for.

    They lead backwards along inputs and into the functions called. All that a function holds
    counts: which part of it runs is not worth following.
    """
    graph = meta_graph.graph_def
    inputs = {node.name: {_node_name(tensor) for tensor in node.input} for node in graph.node}
    needed = _closure({_node_name(tensor) for tensor in tensors}, inputs)
    nodes = [node for node in graph.node if node.name in needed]
    functions = {f.signature.name: f.node_def for f in graph.library.function}
    calls = {name: _called(inner) for name, inner in functions.items()}
    for name in _closure(_called(nodes), calls) & functions.keys():
        nodes += functions[name]
    return {node.op for node in nodes}


def _closure(start: Set[str], following: Mapping[str, Set[str]]) -> set[str]:
    """All that `start` leads to, itself too."""
    found: set[str] = set()
    waiting = set(start)
    while waiting:
        found |= waiting
        waiting = set().union(*(following.get(name, ()) for name in waiting)) - found
    return found


def _node_name(tensor: str) -> str:
    """The node of "node", "node:0" or "^node"."""
    return tensor.removeprefix("^").partition(":")[0]


def _called(nodes: Iterable[Any]) -> set[str]:
    """The functions that nodes call by name: as their operation, or in their attributes."""
    names = set()
    for node in nodes:
        values = node.attr.values()
        names |= {node.op, *(value.func.name for value in values)}
        names |= {function.name for value in values for function in value.list.func}
    return names
