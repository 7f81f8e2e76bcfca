"""What the ruleset of SSD wants in the log of a run, besides what all benchmarks log."""

from __future__ import annotations

from collections.abc import Iterator

from tfperf.benchmarks.ssd.options import SsdOptions
from tfperf.events import Event

_BACKBONE = "ssd0_resnetmlperf0"


def events(options: SsdOptions) -> Iterator[Event]:
    """The tries of the random crop, and each initialised tensor.

    `closed_ssd.yaml` of mlcommons/logging, ruleset 1.1.0, lists the tensors by the names of a network in MXNet. Its
    predictors are one convolution each for boxes and classes, and statistics of batch normalisation are not listed.
    """
    yield Event(key="max_samples", value=options.max_samples)
    for tensor in tensors(options):
        yield Event(key="weights_initialization", metadata={"tensor": tensor})


def tensors(options: SsdOptions) -> Iterator[str]:
    """The tensors of a network of these sizes, by the ruleset's names."""
    yield from _normed(f"{_BACKBONE}_", 0)
    for stage, blocks in enumerate(options.blocks, start=1):
        shortcut = stage > 1  # a convolution, where the width grows
        for number in range(2 * blocks + shortcut):
            yield from _normed(f"{_BACKBONE}_stage{stage}_", number)
    for number in range(len(options.extra_widths)):
        yield from _biased(f"ssd0_expand_trans_conv{number}")
        yield from _biased(f"ssd0_expand_conv{number}")
    for number in range(len(options.grids)):
        yield from _biased(f"ssd0_convpredictor{number}_conv0")


def _normed(prefix: str, number: int) -> Iterator[str]:
    yield f"{prefix}conv{number}_weight"
    yield f"{prefix}batchnorm{number}_gamma"
    yield f"{prefix}batchnorm{number}_beta"


def _biased(name: str) -> Iterator[str]:
    yield f"{name}_weight"
    yield f"{name}_bias"
