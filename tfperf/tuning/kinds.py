"""Which kind of sweep one is, by its base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfperf import config, spec
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.tuning import search_space, serving, training
from tfperf.tuning.kind import Base, Kind

_BY_VERB: Mapping[config.BaseVerb, Kind] = {"train": training.KIND, "infer": serving.KIND}


def of(base: Base) -> Kind:
    """The kind of a sweep with this base."""
    return _BY_VERB["infer" if isinstance(base, spec.InferSpec) else "train"]


def check(asked: spec.SweepSpec, benchmark: Benchmark) -> None:
    """Refuses a sweep over fields that can't be varied.

    Raises:
        ConfigError: every violation.
    """
    kind = of(asked.base)
    search_space.check(asked, why_fixed=lambda field: kind.why_fixed(field, asked, benchmark))


def options_of(verb: config.BaseVerb, benchmark: str) -> Any:
    """The default options of a benchmark's model, as `config.load_sweep` asks for them.

    Raises:
        ConfigError: there is no such benchmark, or it has no half for this verb.
    """
    return _BY_VERB[verb].options_of(benchmark)
