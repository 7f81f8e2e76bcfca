"""A frozen graph that grappler optimises once: constants are folded, and batch normalisation into convolutions.

Later, at run time, grappler would see the weights as variables and couldn't fold them.
"""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow.core.framework import function_pb2, graph_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2
from tensorflow.python.eager import context, execute
from tensorflow.python.grappler import tf_optimizer
from tensorflow.python.training import saver

from tfperf.benchmarks.tensor import Sample, Tensor
from tfperf.inference.forms import half_inputs, signature
from tfperf.inference.forms.concrete import ConcreteFunctions
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
        UnavailableError: TensorFlow left the graph in float32 on this machine.
    """
    del calibration
    function = signature.frozen(model, inputs, outputs, taken=half_inputs.taken(inputs, precision))
    optimised = _optimise(function, precision)
    if precision != "float32" and not _computes_in(optimised, _TYPES[precision]):
        raise UnavailableError(f"TensorFlow left every operation of the graph in float32, none became {precision}.")
    whole = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(optimised, name=""), [])
    ends = ([tensor.name for tensor in tensors] for tensors in (function.inputs, function.outputs))
    functions = [whole.prune(*ends).function_def, *optimised.library.function]
    (directory / "functions.pb").write_bytes(function_pb2.FunctionDefLibrary(function=functions).SerializeToString())


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


def _optimise(function: Any, precision: str) -> graph_pb2.GraphDef:
    meta = saver.export_meta_graph(graph_def=function.graph.as_graph_def(), graph=function.graph)
    ends = meta_graph_pb2.CollectionDef()
    ends.node_list.value.extend(tensor.name for tensor in (*function.inputs, *function.outputs))
    meta.collection_def["train_op"].CopyFrom(ends)  # what grappler must not remove
    config = config_pb2.ConfigProto()
    if precision != "float32":
        rewrites = config.graph_options.rewrite_options
        setattr(rewrites, _REWRITES[precision], rewriter_config_pb2.RewriterConfig.ON)
    return tf_optimizer.OptimizeGraph(config, meta)


def _computes_in(graph: graph_pb2.GraphDef, data_type: int) -> bool:
    """Whether an operation computes in the type. Inputs may have it, and be cast, without that."""
    nodes = [node for node in graph.node if node.op not in ("Placeholder", "Cast", "Identity")]
    return any(value.type == data_type for node in nodes for value in node.attr.values())
