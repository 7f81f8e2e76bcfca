"""Differences between the benchmarks of MLPerf Training that matter in logs, including benchmarks that tfperf lacks."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfficialBenchmark:
    """A benchmark of MLPerf Training.

    Attributes:
        name: its name in logs.
        keys: prefixes of keys that only its logs have, to recognise a log without a name.
        counts_samples: whether `epoch_num` counts samples, from 0, and not epochs, from 1.
        cadence_from: the first ruleset under which evaluations are due when they are in the last; None for the oldest.
        dropped_at_each_end: how many of the fastest runs, and of the slowest, a score leaves out.
        first_model_key: a key that only the logs of its first model have; None if the model never changed.
        second_model_from: the first ruleset with the second model.
    """

    name: str
    keys: tuple[str, ...] = ()
    counts_samples: bool = False
    cadence_from: str | None = None
    dropped_at_each_end: int = 1
    first_model_key: str | None = None
    second_model_from: str | None = None


_BENCHMARKS = (
    OfficialBenchmark(name="resnet", keys=("lars_", "sgd_")),
    # In v0.7, evaluations were due in steps.
    OfficialBenchmark(name="bert", keys=("opt_lamb_beta_1",), counts_samples=True, cadence_from="1.0.0"),
    # SSD-ResNet34 up to 1.1.0 and RetinaNet from 2.0.0. Only the first lowers its learning rate at given epochs.
    OfficialBenchmark(
        name="ssd",
        keys=("opt_learning_rate_decay_boundary_epochs",),
        first_model_key="opt_learning_rate_decay_boundary_epochs",
        second_model_from="2.0.0",
    ),
    OfficialBenchmark(name="retinanet", keys=("opt_learning_rate_warmup_factor",)),
    # training_rules.adoc, "Benchmark Results": the four fastest and the four slowest of 40 runs are dropped.
    OfficialBenchmark(name="unet3d", dropped_at_each_end=4),
)


def named(name: str | None) -> OfficialBenchmark:
    """The benchmark with this name; one with default values if it is not in the table."""
    return next((known for known in _BENCHMARKS if known.name == name), OfficialBenchmark(name=name or ""))


def with_keys(keys: set[str]) -> str | None:
    """The name of the benchmark whose log holds these keys; None if they are not characteristic."""
    return next((known.name for known in _BENCHMARKS if any(key.startswith(known.keys) for key in keys)), None)
