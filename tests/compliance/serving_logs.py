"""Run directories of inference with logs as LoadGen 6.0.17 writes them."""

import dataclasses
import functools
import json
import pathlib
import struct
import types
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tfperf import benchmarks, config, loadgen_log, manifest, result, spec
from tfperf.benchmarks.benchmark import OpenSamples
from tfperf.benchmarks.images.sources import ImageNetRecords
from tfperf.compliance import audits

EVAL_SAMPLES = 50_000
SEEDS = {
    "effective_qsl_rng_seed": 2085463073848966840,
    "effective_sample_index_rng_seed": 2747215439041700203,
    "effective_schedule_rng_seed": 16159082839903944936,
}
SHARED_LINES = {
    "loadgen_version": "6.0.17 @ d6147c7eb7",
    "effective_target_latency_ns": 0,
    "effective_min_duration_ms": 600_000,
    "effective_samples_per_query": 1,
    **SEEDS,
    "effective_accuracy_log_sampling_target": 0,
    "effective_performance_issue_unique": False,
    "effective_performance_issue_same": False,
    "effective_performance_sample_count": 1024,
    "effective_accuracy_sample_count": EVAL_SAMPLES,
}
PERFORMANCE_LINES = {
    "power_begin": "11-21-2026 22:00:00.500",
    "power_end": "11-21-2026 22:10:01.100",
    "result_validity": "VALID",
    "early_stopping_met": True,
    "num_errors": 0,  # the last line, which accuracy mode does not write
}
# What LoadGen 6.0.17 logs of each scenario: its name, the samples of a query, its metric.
SCENARIO_LINES = {
    "singlestream": ("SingleStream", {"early_stopping_latency_ss": 5_100_300}),
    "multistream": ("MultiStream", {"effective_samples_per_query": 8, "early_stopping_latency_ms": 40_011_039}),
    "server": ("Server", {"effective_target_latency_ns": 15_000_000, "result_completed_samples_per_sec": 308.631}),
    "offline": ("Offline", {"effective_samples_per_query": 24_576, "result_samples_per_second": 40.364}),
}
SCENARIOS = {
    "singlestream": spec.SingleStream(),
    "multistream": spec.MultiStream(),
    "server": spec.Server(target_qps=300.0),
    "offline": spec.Offline(),
}
Lines = Mapping[str, object]


def write_detail_log(log_dir: pathlib.Path, lines: Lines) -> None:
    """A detail log as LoadGen writes it; a line whose value is None is left out, one whose key is an error is one."""
    log_dir.mkdir(parents=True, exist_ok=True)
    with (log_dir / loadgen_log.DETAIL).open("w", encoding="utf-8") as log:
        for key, value in lines.items():
            entry = {"key": key, "value": value, "time_ms": 0.1, "namespace": "mlperf::logging"}
            metadata = {"is_error": key.startswith("error_"), "is_warning": False, "file": "a.cc", "line_no": 1}
            if value is not None:
                log.write(f":::MLLOG {json.dumps({**entry, 'event_type': 'POINT_IN_TIME', 'metadata': metadata})}\n")
    (log_dir / loadgen_log.SUMMARY).write_text("MLPerf Results Summary\n", encoding="utf-8")


def write_responses(log_dir: pathlib.Path, responses: Iterable[tuple[int, float]]) -> None:
    """An accuracy log of float32 class numbers, as LoadGen writes it."""
    log_dir.mkdir(parents=True, exist_ok=True)
    (log_dir / loadgen_log.ACCURACY).write_text(_responses_text(tuple(responses)), encoding="utf-8")


@functools.cache
def _responses_text(responses: tuple[tuple[int, float], ...]) -> str:
    rows = (
        f'{{ "seq_id" : {place}, "qsl_idx" : {number}, "data" : "{struct.pack("<f", answer).hex().upper()}" }}'
        for place, (number, answer) in enumerate(responses)
    )
    return "[\n" + ",\n".join(rows) + "\n]\n"


@functools.cache
def _answers(samples: int) -> tuple[tuple[int, float], ...]:
    """Right for 77 samples in 100."""
    return tuple((number, (number + (number % 100 >= 77)) % 1000) for number in range(samples))


@functools.cache
def _labels_text(samples: int) -> str:
    return "".join(f"ILSVRC2012_val_{number + 1:08d}.JPEG {number % 1000}\n" for number in range(samples))


def labelled(labels: Sequence[int]) -> OpenSamples:
    """Samples of which nothing but the names and the labels is there."""
    return OpenSamples(
        total=len(labels),
        load=lambda indices: (),
        labels=lambda: np.array(labels),
        names=lambda: tuple(f"ILSVRC2012_val_{number + 1:08d}.JPEG" for number in range(len(labels))),
        fingerprint="",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServedRun:
    """Writes run directories of inference: whole, closed and good, but for what is changed."""

    folder: pathlib.Path
    samples: int = EVAL_SAMPLES

    def __call__(
        self,
        name: str = "run",
        *,
        scenario: str = "offline",
        benchmark: str = "resnet50",
        division: str = "closed",
        changes: Mapping[str, Lines] = types.MappingProxyType({}),
        outcome: Lines = types.MappingProxyType({}),
        asked: Lines = types.MappingProxyType({}),
    ) -> pathlib.Path:
        """Writes a run directory.

        Args:
            name: of the directory.
            scenario: its key.
            benchmark: its name.
            division: its division.
            changes: `performance`, `accuracy`, `TEST01` or `TEST04` -> lines of the detail log to put in place.
            outcome: fields of the result to put in place.
            asked: fields of the spec to put in place.
        """
        run_dir = self.folder / name
        loadgen_name, own = SCENARIO_LINES[scenario]
        shared = {**SHARED_LINES, "effective_scenario": loadgen_name, **own}
        measured = {**shared, "effective_test_mode": "PerformanceOnly", **PERFORMANCE_LINES}
        logs = {
            "performance": measured,
            "accuracy": {**shared, "effective_test_mode": "AccuracyOnly", "power_end": "11-21-2026 22:10:30.000"},
            "TEST01": {**measured, "effective_accuracy_log_sampling_target": 4096},
            "TEST04": {**measured, "effective_performance_issue_same": True},
        }
        for role, lines in logs.items():
            log_dir = run_dir / role / "performance" if role.startswith("TEST") else run_dir / role
            write_detail_log(log_dir, {**lines, **changes.get(role, {})})
        answers = _answers(self.samples)
        write_responses(run_dir / "accuracy", answers)
        write_responses(run_dir / "TEST01" / "performance", answers[:400:7])
        for role in ("performance", "TEST04/performance"):
            write_responses(run_dir / role, ())
        (run_dir / "accuracy" / "val_map.txt").write_text(_labels_text(self.samples), encoding="utf-8")
        for test in audits.NAMES:
            samples = labelled([number % 1000 for number in range(self.samples)])
            audits.verify(test, run_dir, task=benchmarks.task("resnet50", "infer"), samples=samples)
        inference = spec.InferSpec(
            benchmark=benchmark,
            division=spec.Division(division),
            scenario=SCENARIOS[scenario],
            data=spec.Data(source=ImageNetRecords()),
            **asked,
        )
        result.write(run_dir / "result.json", served_result(inference, measured=measured, **outcome))
        (run_dir / "spec.yaml").write_text(config.dump(inference), encoding="utf-8")
        self.seal(run_dir, division=division)
        return run_dir

    def seal(self, run_dir: pathlib.Path, *, division: str = "closed") -> None:
        """Writes the manifest anew."""
        manifest.write(run_dir, division=division, code_version="test")


def served_result(inference: spec.InferSpec, *, measured: Lines, **changes: object) -> result.InferResult:
    """The result of a good run."""
    metric = loadgen_log.metric(loadgen_log.LoadgenLog(values=measured, errors=(), warnings=(), ended=True))
    fields: dict[str, object] = {
        "benchmark": inference.benchmark,
        "division": str(inference.division),
        "valid": True,
        "reasons": (),
        "closed_eligible": True,
        "closed_ineligible_because": (),
        "status": "success",
        "config": config.as_dict(inference),
        "environment": {"operating_system": "Linux", "packages": {"tensorflow": "2.21.0"}},
        "scenario": str(measured["effective_scenario"]),
        "metric": metric,
        "loadgen": {"result_validity": "VALID"},
        "latency_ns": {},
        "accuracy": result.Quality(metric="accuracy", value=0.77, target=0.756954, reached=True),
        "executable": "graph-float32",
    }
    return result.InferResult(**{**fields, **changes})
