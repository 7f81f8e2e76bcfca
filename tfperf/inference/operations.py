"""The operations of a SavedModel that could read or write outside it, found without running any.

A SavedModel is a program. TensorFlow runs parts of it while it is loaded, and its operations can read and write files,
call Python functions and talk to other machines. Those that a model needs do none of that.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

# Operations with state that stay within TensorFlow: variables, random numbers, tables, calls, lists of tensors.
_SAFE_STATEFUL = re.compile(
    r"VarHandleOp|_?ReadVariableOp|ReadVariablesOp|_?VarHandlesOp|Assign\w*|VarIsInitializedOp|IsVariableInitialized|"
    r"VariableShape|VariableV2|Variable|TemporaryVariable|DestroyTemporaryVariable|DestroyResourceOp|DisableCopyOnRead|"
    r"Resource(Gather|GatherNd|Scatter\w+|StridedSliceAssign|CountUpTo)|Scatter\w*|"
    r"StatefulPartitionedCall|If|While|Case|Assert|Placeholder|SymbolicGradient|"
    r"Random\w+|TruncatedNormal|ParameterizedTruncatedNormal|Multinomial|Stateful(Standard|Truncated|Uniform|Random)\w*|"
    r"RngSkip|RngReadAndSkip|NonDeterministicInts|(Mutable|Anonymous)?(Mutable)?(Dense)?HashTable\w*|LookupTable\w+|"
    r"InitializeTable(V2)?|TensorArray\w*|Stack(V2|PushV2|PopV2|CloseV2)?|TensorList\w*|Cudnn\w+|Barrier|"
    r"_?Fused\w+|Quantize\w*|XlaCallModule|XlaLaunch(V2)?|\w*NonMaxSuppression\w*"
)
# Operations that declare no state and read or write all the same.
_UNSAFE_STATELESS = re.compile(
    r"ReadFile|WriteFile|MatchingFiles|InitializeTableFromTextFile|ImmutableConst|Restore|RestoreSlice|Save|SaveSlices|"
    r"XlaCustomCall\w*|\w*PyFunc\w*|\w*Dataset\w*|\w*Summary\w*|\w*Reader\w*|DecodeProtoV2|EncodeProto|"
    r"Copy(Host)?|Debug\w+|\w*Rpc\w*|RemoteCall|_?\w*(Send|Recv)\w*"
)
# Every SavedModel saves and restores its variables with these, in functions that serving doesn't call.
_CHECKPOINT = frozenset({"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename", "ShardedFilespec"})
_TO_THE_TERMINAL = frozenset({b"", b"stderr", b"stdout", b"log(info)", b"log(warning)", b"log(error)"})


def unsafe(directory: pathlib.Path) -> tuple[str, ...]:
    """The operations in a SavedModel that could read or write outside it, sorted.

    Raises:
        Exception: any that TensorFlow raises for a file that can't be parsed.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    parsed = saved_model_pb2.SavedModel()
    parsed.ParseFromString((directory / "saved_model.pb").read_bytes())
    return tuple(sorted({name for graph in parsed.meta_graphs for name in _unsafe_in(graph)}))


def _unsafe_in(graph: Any) -> Iterator[str]:
    functions = {function.signature.name: function.node_def for function in graph.graph_def.library.function}
    everywhere = [*graph.graph_def.node, *(node for nodes in functions.values() for node in nodes)]
    yield from (node.op for node in everywhere if _is_unsafe(node))
    served = _called_from(_serving_nodes(graph), functions)
    served += [node for name in graph.object_graph_def.concrete_functions for node in functions.get(name, ())]
    yield from (node.op for node in _called_from(served, functions) if node.op in _CHECKPOINT)


def _is_unsafe(node: Any) -> bool:
    from tensorflow.python.framework import op_def_registry

    if node.op in _CHECKPOINT:
        return False
    if node.op == "PrintV2":
        return node.attr["output_stream"].s not in _TO_THE_TERMINAL
    if _UNSAFE_STATELESS.fullmatch(node.op):
        return True
    known = op_def_registry.get(node.op)
    return known is not None and known.is_stateful and not _SAFE_STATEFUL.fullmatch(node.op)


def _serving_nodes(graph: Any) -> list[Any]:
    """The nodes that the signatures' outputs depend on."""
    by_name = {node.name: node for node in graph.graph_def.node}
    waiting = [_node_name(info.name) for found in graph.signature_def.values() for info in found.outputs.values()]
    reached: dict[str, Any] = {}
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in reached:
            reached[name] = by_name[name]
            waiting += [_node_name(tensor) for tensor in by_name[name].input]
    return list(reached.values())


def _called_from(nodes: Iterable[Any], functions: dict[str, Any]) -> list[Any]:
    """The nodes and those of every function that they call, directly or not."""
    found, waiting, called = list(nodes), list(nodes), set()
    while waiting:
        for name in _functions_of(waiting.pop()):
            if name in functions and name not in called:
                called.add(name)
                found += functions[name]
                waiting += functions[name]
    return found


def _functions_of(node: Any) -> Iterator[str]:
    for attribute in node.attr.values():
        if attribute.HasField("func"):
            yield attribute.func.name
        yield from (function.name for function in attribute.list.func)


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]
