"""A traced model as one graph with its weights as constants, copied as seldom as possible.

`convert_variables_to_constants_v2` and grappler together take 20 times the memory of the weights, 30 GB for BERT-large:
both copy the whole graph again and again. Here each variable becomes a constant where it is read. The large matrices,
in which there is nothing to fold, stay outside while grappler works on the graph, and are put in afterwards:

    outside = frozen_graph(concrete)             # with placeholders for large matrices
    whole = with_weights(optimised(outside))     # matrices that are cast to bfloat16 are stored in it
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import function_pb2, graph_pb2, node_def_pb2
from tensorflow.python.framework import convert_to_constants, op_def_registry

_LARGE_BYTES = 2**18

# With a constant as the matrix, grappler does no more with these than with a placeholder.
_KEEP_MATRICES = frozenset({"MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "GatherV2", "ResourceGather"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrozenGraph:
    """A graph without variables.

    Attributes:
        definition: the graph.
        inputs: the names of its input tensors, such as `input_0:0`.
        outputs: the names of its output tensors.
        weights: the values of the placeholders that stand for large matrices, by the name of the node.
    """

    definition: graph_pb2.GraphDef
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


def frozen_graph(concrete: Any) -> FrozenGraph:
    """The graph of a concrete function with constants, or placeholders for large matrices, in place of its variables.

    TensorFlow freezes a graph whose variables are not only read or gathered, but used in a loop, for example.
    """
    definition = concrete.graph.as_graph_def()
    captured = {
        inside.op.name: variable
        for outside, inside in concrete.graph.captures
        for variable in concrete.graph.variables
        if outside is variable.handle
    }
    if not _can_be_replaced(definition, captured, captures=len(concrete.graph.captures)):
        concrete = convert_to_constants.convert_variables_to_constants_v2(concrete)
        return FrozenGraph(
            definition=concrete.graph.as_graph_def(), inputs=_names(concrete.inputs), outputs=_names(concrete.outputs)
        )
    large = _large_matrices(definition, captured)
    _replace(definition, captured, large=large)
    inputs = [tensor for tensor in concrete.inputs if tensor.op.name not in captured]
    return FrozenGraph(
        definition=definition,
        inputs=_names(inputs),
        outputs=_names(concrete.outputs),
        weights={name: captured[name].numpy() for name in large},
    )


def with_weights(graph: FrozenGraph) -> FrozenGraph:
    """The graph with constants in place of the placeholders. The definition that is given is changed."""
    used = collections.Counter(_node(name) for node in graph.definition.node for name in node.input)
    for node in graph.definition.node:
        if node.op == "Cast" and node.input[0] in graph.weights:
            used[node.input[0]] -= 1
            data_type = tf.as_dtype(node.attr["DstT"].type)
            _become_constant(node, graph.weights[node.input[0]].astype(data_type.as_numpy_dtype))
    for place in reversed(range(len(graph.definition.node))):
        node = graph.definition.node[place]
        if node.name in graph.weights:
            if used[node.name]:
                _become_constant(node, graph.weights[node.name])
            else:
                del graph.definition.node[place]
    return dataclasses.replace(graph, weights={})


def as_library(graph: FrozenGraph, *, name: str) -> function_pb2.FunctionDefLibrary:
    """The graph as a function with the inputs `input_0`, ... and the outputs `output_0`, ..., and those that it calls.

    The definition that is given is used up.
    """
    nodes = {node.name: node for node in graph.definition.node}
    arguments = {_node(tensor): f"input_{place}" for place, tensor in enumerate(graph.inputs)}
    library = function_pb2.FunctionDefLibrary()
    function = library.function.add()
    function.signature.name = name
    for node_name, argument in arguments.items():
        function.signature.input_arg.add(name=argument, type=nodes[node_name].attr["dtype"].type)

    def inside(tensor: str) -> str:
        """A tensor's name within a function: of the node, of its output argument, and the place in that."""
        if tensor.startswith("^"):
            return tensor
        node_name, _, place = tensor.partition(":")
        if node_name in arguments:
            return arguments[node_name]
        output, within = _outputs(nodes[node_name])[int(place or 0)][:2]
        return f"{node_name}:{output}:{within}"

    for node in graph.definition.node:
        if node.name not in arguments:
            copied = function.node_def.add()
            copied.CopyFrom(node)
            del copied.input[:]
            copied.input.extend(map(inside, node.input))
    for place, tensor in enumerate(graph.outputs):
        node_name, _, index = tensor.partition(":")
        output_type = _outputs(nodes[node_name])[int(index)][2]
        function.signature.output_arg.add(name=f"output_{place}", type=output_type)
        function.ret[f"output_{place}"] = inside(tensor)
    library.function.extend(graph.definition.library.function)
    graph.definition.Clear()
    return library


def _can_be_replaced(definition: graph_pb2.GraphDef, captured: Mapping[str, Any], *, captures: int) -> bool:
    """Whether everything that is captured is a numeric variable, which is only read or gathered."""
    if len(captured) != captures or any(variable.dtype == tf.string for variable in captured.values()):
        return False
    uses = ((node, place) for node in definition.node for place, name in enumerate(node.input) if name in captured)
    return all(
        place == 0 and (node.op == "ReadVariableOp" or (node.op == "ResourceGather" and not node.attr["batch_dims"].i))
        for node, place in uses
    )


def _large_matrices(definition: graph_pb2.GraphDef, captured: Mapping[str, Any]) -> frozenset[str]:
    """The captured matrices that are large and only multiplied with or gathered from."""
    consumers: dict[str, list[node_def_pb2.NodeDef]] = {}
    for node in definition.node:
        for name in node.input:
            consumers.setdefault(_node(name), []).append(node)

    def is_large(name: str, variable: Any) -> bool:
        readers = consumers.get(name, [])
        users = [user for node in readers for user in ([node] if _gathers(node) else consumers.get(node.name, []))]
        size = variable.dtype.size * variable.shape.num_elements()
        return size >= _LARGE_BYTES and variable.shape.rank == 2 and all(user.op in _KEEP_MATRICES for user in users)

    return frozenset(name for name, variable in captured.items() if is_large(name, variable))


def _gathers(node: node_def_pb2.NodeDef) -> bool:
    return bool(node.op == "ResourceGather")


def _replace(definition: graph_pb2.GraphDef, captured: Mapping[str, Any], *, large: Collection[str]) -> None:
    """Puts a constant in place of each captured variable, and what reads a tensor in place of what reads a variable."""
    axes = []
    for node in definition.node:
        if node.name in large:
            variable = captured[node.name]
            _become(node, "Placeholder", dtype=variable.dtype.as_datatype_enum)
            node.attr["shape"].shape.CopyFrom(variable.shape.as_proto())
        elif node.name in captured:
            _become_constant(node, captured[node.name].numpy())
        elif node.input and node.input[0] in captured:
            if node.op == "ReadVariableOp":
                _become(node, "Identity", T=node.attr["dtype"].type)
            else:
                axes.append(f"{node.name}/axis")
                types = {"Tparams": node.attr["dtype"].type, "Tindices": node.attr["Tindices"].type}
                node.input.append(axes[-1])
                _become(node, "GatherV2", Taxis=tf.int32.as_datatype_enum, **types)
    for name in axes:
        _become_constant(definition.node.add(name=name), np.zeros((), np.int32))


def _become(node: node_def_pb2.NodeDef, operation: str, **types: int) -> None:
    node.op = operation
    node.attr.clear()
    for name, data_type in types.items():
        node.attr[name].type = data_type


def _become_constant(node: node_def_pb2.NodeDef, value: np.ndarray) -> None:
    data_type = tf.as_dtype(value.dtype).as_datatype_enum
    del node.input[:]
    _become(node, "Const", dtype=data_type)
    tensor = node.attr["value"].tensor
    tensor.dtype = data_type
    tensor.tensor_shape.SetInParent()
    for size in value.shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = value.tobytes()


def _outputs(node: node_def_pb2.NodeDef) -> list[tuple[str, int, int]]:
    """The output argument, the place in it and the data type of each output of a node."""
    return list(_outputs_of(node))


def _outputs_of(node: node_def_pb2.NodeDef) -> Iterator[tuple[str, int, int]]:
    for argument in op_def_registry.get(node.op).output_arg:
        if argument.type_list_attr:
            types = list(node.attr[argument.type_list_attr].list.type)
        else:
            count = node.attr[argument.number_attr].i if argument.number_attr else 1
            types = [argument.type or node.attr[argument.type_attr].type] * count
        yield from ((argument.name, place, data_type) for place, data_type in enumerate(types))


def _names(tensors: Sequence[Any]) -> tuple[str, ...]:
    return tuple(tensor.name for tensor in tensors)


def _node(tensor: str) -> str:
    return tensor.partition(":")[0]
