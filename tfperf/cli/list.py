"""Lists the benchmarks, the packaged configs and the processors of this machine."""

from __future__ import annotations

import json

from absl import flags

from tfperf import benchmarks, config
from tfperf.cli import shared_flags
from tfperf.errors import UsageError
from tfperf.reporting import table
from tfperf.system import devices


def define_flags() -> None:
    """The flags of `tfperf list`."""
    shared_flags.define_format()


def main(arguments: list[str]) -> int:
    """Prints what there is."""
    if arguments:
        raise UsageError(f"list takes no arguments, got {' '.join(arguments)}.")
    found = {
        "benchmarks": [_benchmark(name) for name in benchmarks.names()],
        "configs": [_config(n) for n in config.names()],
    }
    if flags.FLAGS.format == "json":
        print(json.dumps({**found, "devices": devices.present()}, indent=2))
        return 0
    print(table.columns(("benchmark", "target", "mlperf"), [_row(entry) for entry in found["benchmarks"]]))
    print()
    print(table.columns(("config", "verb", "expected"), [tuple(entry.values()) for entry in found["configs"]]))
    print()
    print(table.columns(("device", ""), [(name, str(value)) for name, value in devices.present().items()]))
    return 0


def _benchmark(name: str) -> dict[str, str]:
    benchmark = benchmarks.get(name)
    task = benchmark.training
    rules = f"MLPerf Training {task.ruleset} ({task.submission_benchmark})" if benchmark.mlperf else "no: a small model"
    return {"name": name, "target": f"{task.quality.metric} >= {task.quality.value:g}", "mlperf": rules}


def _config(name: str) -> dict[str, str]:
    lines = config.header(name).splitlines()
    expected = next(line for line in lines if line.startswith("Expected: ")).partition(": ")[2]
    return {"name": name, "verb": config.verb(name), "expected": expected}


def _row(entry: dict[str, str]) -> tuple[str, str, str]:
    return entry["name"], entry["target"], entry["mlperf"]
