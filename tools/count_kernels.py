#!/usr/bin/env python3
"""Counts the kernels that run outside XLA in a training step and in an evaluation batch of ResNet-50 on two devices.

usage: python tools/count_kernels.py [--blocks 3,4,6,3] [--width 64] [--image_size 32] [--optimizer lars]

Under several GPUs each kernel outside XLA is launched from the host by itself. The graphs that TensorFlow executes on
the devices show how many there are, after all its optimisations, and two logical devices of the CPU are enough for
that. A compiled function counts as one kernel, and so does a copy between devices. What launches none is left out:
constants, arguments, identities, reads of variables, control flow. `once` is what an evaluation does besides its
batches: it averages the replicas' moving statistics.

Rows: nothing compiled; gradients compiled, but neither the evaluation nor Keras's own exchange and update of each
variable; tfperf's. Ends with one JSON object.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.eager import context

from tfperf import benchmarks, spec
from tfperf.benchmarks.resnet50.options import Options
from tfperf.system import devices
from tfperf.training import loop, optimizers, program, summed_update

OPTIMIZERS: Mapping[str, spec.Optimizer] = {
    "lars": spec.Lars(base_learning_rate=1.0, weight_decay=1e-4),
    "sgd": spec.Sgd(base_learning_rate=0.1, weight_decay=1e-4),
    "lamb": spec.Lamb(base_learning_rate=0.001),
}
GOAL = 100
BATCH = 4
REPLICAS = 2
CALLS = frozenset(("PartitionedCall", "StatefulPartitionedCall", "If", "StatelessIf", "While", "StatelessWhile"))
# Operations that launch no kernel of their own on a GPU.
NO_KERNELS = frozenset(
    (
        *("Const", "HostConst", "Identity", "IdentityN", "NoOp", "Placeholder", "ReadVariableOp", "StopGradient"),
        *("_Arg", "_DeviceArg", "_Retval", "_DeviceRetval", "VarHandleOp", "Shape", "Reshape", "ExpandDims", "Squeeze"),
        *("Enter", "Exit", "Switch", "Merge", "NextIteration", "LoopCond", "_SwitchN", "ControlTrigger"),
        *("RefEnter", "RefExit", "RefSwitch", "RefMerge", "RefNextIteration"),
    )
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """Kernels outside XLA on the device that runs most of them.

    Attributes:
        training: in one step.
        evaluation: in one batch.
        once: in an evaluation besides its batches.
    """

    training: int
    evaluation: int
    once: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kernels:
    """Kernels of a function on one device.

    Attributes:
        in_loop: in one pass of the loop over steps.
        outside: before and after the loop.
    """

    in_loop: int
    outside: int

    @classmethod
    def of(cls, graph: Any) -> Kernels:
        """Counts a partition of a function whose loop was lowered to control flow of the executor."""
        functions = {function.signature.name: function for function in graph.library.function}
        looping = _in_loop({node.name: node for node in graph.node})
        counts = {node.name: _kernels_of(node, functions) for node in graph.node}
        inside = sum(count for name, count in counts.items() if name in looping)
        return cls(in_loop=inside, outside=sum(counts.values()) - inside)


def _in_loop(nodes: Mapping[str, Any]) -> set[str]:
    """The nodes between the loop's entries and exits."""
    takers = collections.defaultdict(list)
    for node in nodes.values():
        for source in node.input:
            takers[source.lstrip("^").partition(":")[0]].append(node)
    found: set[str] = set()
    pending = [node for node in nodes.values() if node.op == "Enter"]
    while pending:
        node = pending.pop()
        if node.name not in found and node.op != "Exit":
            found.add(node.name)
            pending += takers[node.name]
    return found


def _kernels_of(node: Any, functions: Mapping[str, Any]) -> int:
    """1 for an operation or a compiled function; those in it for a function that is not compiled."""
    if node.op in NO_KERNELS:
        return 0
    called = [attribute.func.name for attribute in node.attr.values() if attribute.HasField("func")]
    compiled = node.attr["_XlaMustCompile"].b or any(functions[name].attr["_XlaMustCompile"].b for name in called)
    if not called or compiled or node.op not in CALLS:
        return 1
    return sum(_kernels_of(inner, functions) for name in called for inner in functions[name].node_def)


def main() -> None:
    """Prints the counts and, as the last line, a JSON object for programs."""
    arguments = _arguments()
    options = Options(image_size=arguments.image_size, blocks=arguments.blocks, width=arguments.width)
    devices.strategy_for(spec.Device(kind="cpu", count=REPLICAS))  # splits the CPU before anything runs
    print(f"{'kernels outside XLA on a replica':40s}{'training step':>15s}{'evaluation batch':>18s}{'once':>8s}")
    nothing = counted(options, arguments.optimizer, jit="none")
    _print("nothing compiled", nothing)
    before = counted(options, arguments.optimizer, jit="gradients", by_variable=True)
    _print("gradients compiled, updates by variable", dataclasses.replace(nothing, training=before.training))
    ours = counted(options, arguments.optimizer, jit="gradients")
    _print("tfperf", ours)
    found = {"training step": ours.training, "evaluation batch": ours.evaluation, "averaging of statistics": ours.once}
    ratios = {
        f"kernels outside XLA per replica and {what}": {"value": value, "goal": f"<= {GOAL}"}
        for what, value in found.items()
    }
    print(json.dumps({"name": "count_kernels", "ratios": ratios}))


def counted(options: Options, optimizer: str, *, jit: program.Jit, by_variable: bool = False) -> Counts:
    """The counts of ResNet-50 with these options.

    Args:
        options: the model's options.
        optimizer: one of `OPTIMIZERS`.
        jit: what XLA compiles.
        by_variable: whether Keras's optimizer exchanges and applies gradients itself.
    """
    possible = summed_update.is_possible
    if by_variable:
        summed_update.is_possible = lambda optimizer, variables: False
    try:
        built = _program(options, optimizer, jit=jit)
    finally:
        summed_update.is_possible = possible
    training, evaluation = (
        iter(loop.distribute(built.strategy, _zeros(options, weighted=weighted), global_batch_size=BATCH))
        for weighted in (False, True)
    )
    step = _kernels(lambda: built.train(training, tf.constant(1)))
    batch = _kernels(lambda: built.evaluate(evaluation, tf.constant(1)))
    return Counts(
        training=max(kernels.in_loop for kernels in step),
        evaluation=max(kernels.in_loop for kernels in batch),
        once=max(kernels.outside for kernels in batch),
    )


def _program(options: Options, optimizer: str, *, jit: program.Jit) -> program.Program:
    keras.utils.set_random_seed(0)
    strategy = devices.strategy_for(spec.Device(kind="cpu", count=REPLICAS))
    task = benchmarks.task("resnet50", "train")
    with strategy.scope():
        model = task.build_model(options)
        task.compile_model(model, optimizers.build(OPTIMIZERS[optimizer], steps_per_epoch=10, total_steps=100), options)
    return program.build(model, strategy, jit=jit)


def _zeros(options: Options, *, weighted: bool) -> Callable[[tf.distribute.InputContext, int], tf.data.Dataset]:
    def pipeline(context: tf.distribute.InputContext, batch_size: int) -> tf.data.Dataset:
        size = options.image_size
        parts = [tf.zeros([batch_size, size, size, 3]), tf.one_hot([0] * batch_size, options.classes)]
        return tf.data.Dataset.from_tensors((*parts, *([tf.ones([batch_size])] if weighted else []))).repeat()

    return pipeline


def _kernels(first_call: Callable[[], object]) -> list[Kernels]:
    """The kernels of a function by device, from the graphs that the executor makes of it when it is first called."""
    context.enable_run_metadata()
    first_call()
    functions = context.export_run_metadata().function_graphs
    context.disable_run_metadata()
    return [Kernels.of(graph) for function in functions for graph in function.partition_graphs if graph.node]


def _print(name: str, counts: Counts) -> None:
    print(f"{name:40s}{counts.training:>15d}{counts.evaluation:>18d}{counts.once:>8d}", flush=True)


def _blocks(text: str) -> tuple[int, ...]:
    return tuple(int(count) for count in text.split(","))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=_blocks, default=(3, 4, 6, 3), help="blocks in each stage, such as 3,4,6,3")
    parser.add_argument("--width", type=int, default=64, help="filters of the first convolution")
    parser.add_argument("--image_size", type=int, default=32)
    parser.add_argument("--optimizer", choices=tuple(OPTIMIZERS), default="lars")
    return parser.parse_args()


if __name__ == "__main__":
    main()
