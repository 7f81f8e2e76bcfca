"""A frozen graph that grappler optimises once: constants are folded, and batch normalisation into convolutions.

Later, at run time, grappler would see the weights as variables and couldn't fold them.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf
from google.protobuf import message
from tensorflow.core.framework import function_pb2, graph_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2
from tensorflow.python.eager import context, execute
from tensorflow.python.grappler import tf_optimizer

from tfperf.benchmarks.tensor import Sample, Tensor
from tfperf.inference.forms import freezing, half_inputs, signature
from tfperf.inference.forms.concrete import ConcreteFunctions
from tfperf.inference.forms.freezing import FrozenGraph
from tfperf.inference.forms.machine import UnavailableError

if TYPE_CHECKING:
    import keras

_REWRITES = {"bfloat16": "auto_mixed_precision_onednn_bfloat16", "float16": "auto_mixed_precision"}
_NUMBERS = itertools.count()
_TYPES = {"bfloat16": tf.bfloat16.as_datatype_enum, "float16": tf.float16.as_datatype_enum}


def build(
    model: keras.Model,
    directory: pathlib.Path,
    *,
    precision: str,
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    calibration: Sequence[Sample],
) -> None:
    """Writes the optimised graph; `calibration` is not used.

    Raises:
        UnavailableError: TensorFlow left the graph in float32 on this machine, or the graph is too large for a file.
    """
    del calibration
    traced = signature.traced(model, inputs, outputs, taken=half_inputs.taken(inputs, precision))
    frozen = freezing.with_weights(_optimised(freezing.frozen_graph(traced), precision))
    if precision != "float32" and not _computes_in(frozen.definition, _TYPES[precision]):
        raise UnavailableError(f"TensorFlow left every operation of the graph in float32, none became {precision}.")
    library = freezing.as_library(frozen, name="served")
    try:
        content = library.SerializeToString()
    except (ValueError, message.EncodeError) as error:
        raise UnavailableError("the graph is larger than 2 GB with its weights, which it can't be") from error
    (directory / "functions.pb").write_bytes(content)


def open_form(
    directory: pathlib.Path, *, form: str, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], threads: int
) -> ConcreteFunctions:
    """Opens what was built, as one function for all batch sizes and lengths: one for each would copy all constants."""
    function = _registered(directory / "functions.pb", outputs=len(outputs))
    return ConcreteFunctions(
        lambda bucket: function,
        traces=lambda: 1,
        form=form,
        inputs=inputs,
        taken=half_inputs.taken(inputs, form.rpartition("-")[2]),
        outputs=outputs,
        threads=threads,
    )


def _registered(path: pathlib.Path, *, outputs: int) -> Callable[..., Sequence[tf.Tensor]]:
    """The function, known to TensorFlow's runtime and called by its name.

    Importing it as a graph or a SavedModel would make several more copies of its constants. The runtime would optimise
    it again, which takes two more and makes ResNet-50 slower by 15 %, so that is off on a CPU. On a GPU it is needed
    for the layouts that cuDNN wants.
    """
    ran = context.context()
    ran.ensure_initialized()
    main, *called = function_pb2.FunctionDefLibrary.FromString(path.read_bytes()).function
    main.signature.name = name = f"{main.signature.name}_{next(_NUMBERS)}"  # another file may hold the same name
    for definition in (*called, main):
        if not ran.has_function(definition.signature.name):
            ran.add_function_def(definition)
    config = config_pb2.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = not tf.config.list_logical_devices("GPU")
    attributes = ("executor_type", "", "config_proto", config.SerializeToString())

    def call(*tensors: tf.Tensor) -> Sequence[tf.Tensor]:
        found: Sequence[tf.Tensor] = execute.execute(name, outputs, list(tensors), attributes, ran)
        return found

    return call


def _optimised(graph: FrozenGraph, precision: str) -> FrozenGraph:
    """The graph as grappler rewrites it. The graph that is given is used up."""
    meta = meta_graph_pb2.MetaGraphDef(graph_def=graph.definition)
    graph.definition.Clear()  # its constants are in `meta`
    meta.collection_def["train_op"].node_list.value.extend((*graph.inputs, *graph.outputs))  # must not be removed
    config = config_pb2.ConfigProto()
    if precision != "float32":
        rewrites = config.graph_options.rewrite_options
        setattr(rewrites, _REWRITES[precision], rewriter_config_pb2.RewriterConfig.ON)
    return dataclasses.replace(graph, definition=tf_optimizer.OptimizeGraph(config, meta))


def _computes_in(graph: graph_pb2.GraphDef, data_type: int) -> bool:
    """Whether an operation computes in the type. Inputs may have it, and be cast, without that."""
    nodes = [node for node in graph.node if node.op not in ("Placeholder", "Cast", "Identity")]
    return any(value.type == data_type for node in nodes for value in node.attr.values())
