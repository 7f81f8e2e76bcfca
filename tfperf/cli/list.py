"""Lists the benchmarks, the packaged configs and the processors of this machine."""

from __future__ import annotations

import json
import re

from absl import flags

from tfperf import benchmarks, config
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.cli import shared_flags
from tfperf.errors import UsageError
from tfperf.reporting import table
from tfperf.system import devices


def define_flags() -> None:
    """The flags of `tfperf list`."""
    shared_flags.define_format()


def main(arguments: list[str]) -> int:
    """Prints the benchmarks, configs and devices."""
    if arguments:
        raise UsageError(f"list takes no arguments, got {' '.join(arguments)}.")
    found = {
        "benchmarks": [described(benchmarks.get(name)) for name in benchmarks.names()],
        "configs": [{"name": name, "verb": config.verb(name), "expected": expected(name)} for name in config.names()],
    }
    if flags.FLAGS.format == "json":
        print(json.dumps({**found, "devices": devices.present()}, indent=2))
        return 0
    print(
        table.columns(
            ("benchmark", "verbs", "target", "mlperf"), [tuple(each.values()) for each in found["benchmarks"]]
        )
    )
    print()
    configs = [(each["name"], each["verb"], _first_sentence(each["expected"])) for each in found["configs"]]
    print(table.columns(("config", "verb", "expected"), configs))
    print()
    print(table.columns(("device", ""), [(name, str(value)) for name, value in devices.present().items()]))
    return 0


def described(benchmark: Benchmark) -> dict[str, str]:
    """The row of a benchmark: its name, what can be done with it, its target, and by which rules."""
    return {
        "name": benchmark.name,
        "verbs": ", ".join(
            verb for verb, task in (("train", benchmark.training), ("infer", benchmark.inference)) if task is not None
        ),
        "target": _target(benchmark),
        "mlperf": _rules(benchmark) if benchmark.mlperf else "no" if benchmark.mini_of is None else "no: a small model",
    }


def _target(benchmark: Benchmark) -> str:
    """The quality to train to, or to serve with if the benchmark can't be trained."""
    task = benchmark.training or benchmark.inference
    assert task is not None  # a Benchmark has at least one
    return f"{task.quality.metric} >= {task.quality.value:g}"


def _rules(benchmark: Benchmark) -> str:
    if benchmark.training is not None:
        return f"MLPerf Training {benchmark.training.ruleset} ({benchmark.training.submission_benchmark})"
    assert benchmark.inference is not None
    return f"MLPerf Inference ({benchmark.inference.submission_benchmark})"


def expected(config_name: str) -> str:
    """What the header of a packaged config expects of the run."""
    found = re.search(r"^Expected: (.+?)(?=^[A-Z]\w+: |\Z)", config.header(config_name), re.MULTILINE | re.DOTALL)
    assert found is not None, f"The header of {config_name} must say 'Expected: ...'."
    return " ".join(found[1].split())


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]
