"""A frozen graph that grappler optimised beforehand: batch normalisation folded into convolutions, constants folded.

At run time grappler sees the same weights as variables, so it can't fold them.
"""

from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2
from tensorflow.python.grappler import tf_optimizer
from tensorflow.python.training import saver

from tfperf.inference.forms import frozen
from tfperf.inference.forms.concrete import ConcreteFunctions
from tfperf.inference.forms.machine import UnavailableError

if TYPE_CHECKING:
    import keras

_REWRITES = {"bfloat16": "auto_mixed_precision_onednn_bfloat16", "float16": "auto_mixed_precision"}
_TYPES = {"bfloat16": tf.bfloat16.as_datatype_enum, "float16": tf.float16.as_datatype_enum}


def build(model: keras.Model, directory: pathlib.Path, *, precision: str, calibration: np.ndarray) -> None:
    """Writes the optimised graph and the names of its ends; `calibration` is not looked at.

    Raises:
        UnavailableError: TensorFlow left the graph in float32 on this machine.
    """
    del calibration
    function = frozen.freeze(model)
    optimised = _optimise(function, precision)
    if precision != "float32" and not _has_type(optimised, _TYPES[precision]):
        raise UnavailableError(f"TensorFlow left every operation of the graph in float32, none became {precision}.")
    ends = {
        "inputs": function.inputs[0].name,
        "outputs": function.outputs[0].name,
        "shape": function.inputs[0].shape.as_list()[1:],
    }
    (directory / "graph.pb").write_bytes(optimised.SerializeToString())
    (directory / "ends.json").write_text(json.dumps(ends), encoding="utf-8")


def open_form(directory: pathlib.Path, *, precision: str, threads: int) -> ConcreteFunctions:
    """What was built, not yet traced."""
    ends = json.loads((directory / "ends.json").read_text(encoding="utf-8"))
    graph = graph_pb2.GraphDef.FromString((directory / "graph.pb").read_bytes())
    whole = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    pruned = whole.prune(ends["inputs"], ends["outputs"])
    return ConcreteFunctions(
        lambda inputs: pruned(inputs), form=f"graph-{precision}", input_shape=tuple(ends["shape"]), threads=threads
    )


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


def _has_type(graph: graph_pb2.GraphDef, data_type: int) -> bool:
    return any(value.type == data_type for node in graph.node for value in node.attr.values())
