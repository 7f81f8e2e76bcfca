"""Logs as a run of ResNet-50 writes them."""

import dataclasses
import json
import pathlib
import struct
import types
from collections.abc import Callable, Iterable, Mapping

import pytest

from tfperf import benchmarks, config, loadgen_log, manifest, result, spec
from tfperf.compliance import audits, mllog
from tfperf.events import Event

START_S = 1_800_000_000.0
TRAIN_EXAMPLES, EVAL_EXAMPLES = 1_281_167, 50_000

LARS = spec.Lars(base_learning_rate=9.0, warmup_epochs=3, weight_decay=5e-5)
SGD = spec.Sgd(base_learning_rate=1.6, warmup_epochs=5, weight_decay=5e-5)


def closed_spec(**changes: object) -> spec.TrainSpec:
    """A run that keeps every rule of the closed division."""
    fields: dict[str, object] = {
        "benchmark": "resnet50",
        "division": spec.Division.CLOSED,
        "global_batch_size": 4096,
        "max_epochs": 43,
        "optimizer": LARS,
        "data": spec.Data(source=spec.TfRecords()),
        "evaluation": spec.Evaluation(every_epochs=4, offset=3),
    }
    return spec.TrainSpec(**{**fields, **changes})


def events(asked: spec.TrainSpec, *, seed: int, converges_at: int, status: str, epoch_s: float) -> list[Event]:
    """The events of a whole run, epoch times and all."""
    benchmark = benchmarks.get(asked.benchmark)
    before = [
        *mllog.submission(asked, benchmark, platform="a system"),
        Event(key="cache_clear", value=True),
        Event(key="init_start"),
        *mllog.hyperparameters(
            asked,
            seed=seed,
            decay_steps=20626,
            bn_span=256,
            train_examples=TRAIN_EXAMPLES,
            eval_examples=EVAL_EXAMPLES,
        ),
        Event(key="init_stop"),
        Event(key="run_start"),
    ]
    at_start = [Event(key=event.key, time_s=START_S, value=event.value, metadata=event.metadata) for event in before]
    return [*at_start, *_training(asked, converges_at=converges_at, status=status, epoch_s=epoch_s)]


def _training(asked: spec.TrainSpec, *, converges_at: int, status: str, epoch_s: float) -> list[Event]:
    happened: list[Event] = []
    first = 1
    for epoch in range(1, converges_at + 1):
        time_s = START_S + epoch * epoch_s
        if epoch == first:
            count = min(asked.evaluation.every_epochs, converges_at - first + 1)
            block = {"first_epoch_num": first, "epoch_count": count}
            happened.append(Event(key="block_start", time_s=time_s - epoch_s, metadata=block))
        if not asked.evaluation.due(epoch, max_epochs=converges_at):
            continue
        accuracy = 0.7612 if epoch == converges_at and status == "success" else 0.5
        at = {"epoch_num": epoch}
        happened += [
            Event(key="eval_start", time_s=time_s, metadata=at),
            Event(key="eval_accuracy", time_s=time_s, value=accuracy, metadata=at),
            Event(key="eval_stop", time_s=time_s, metadata=at),
            Event(key="block_stop", time_s=time_s, metadata=block),
        ]
        first = epoch + 1
    return [*happened, Event(key="run_stop", time_s=happened[-1].time_s, metadata={"status": status})]


WriteLog = Callable[..., pathlib.Path]


@pytest.fixture
def write_log(tmp_path: pathlib.Path) -> WriteLog:
    """Writes the log of a run and returns its path."""

    def write(
        path: pathlib.Path = pathlib.Path("mllog.txt"),
        *,
        asked: spec.TrainSpec | None = None,
        seed: int = 1,
        converges_at: int = 35,
        status: str = "success",
        epoch_s: float = 27.0,
        change: Callable[[Event], Event | None] = lambda event: event,
    ) -> pathlib.Path:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        sink = mllog.MllogSink(target)
        happened = events(asked or closed_spec(), seed=seed, converges_at=converges_at, status=status, epoch_s=epoch_s)
        for event in happened:
            changed = change(event)
            if changed is not None:
                sink.emit(changed)
        sink.close()
        return target

    return write


@pytest.fixture
def asked() -> Callable[..., spec.TrainSpec]:
    """Makes the spec of a closed run, with changes."""
    return closed_spec


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
    "effective_accuracy_sample_count": EVAL_EXAMPLES,
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
    rows = (
        f'{{ "seq_id" : {place}, "qsl_idx" : {number}, "data" : "{struct.pack("<f", answer).hex().upper()}" }}'
        for place, (number, answer) in enumerate(responses)
    )
    log_dir.mkdir(parents=True, exist_ok=True)
    (log_dir / loadgen_log.ACCURACY).write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServedRun:
    """Writes run directories of inference: whole, closed and good, but for what is changed."""

    folder: pathlib.Path
    samples: int = EVAL_EXAMPLES

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
        answers = [(number, (number + (number % 100 >= 77)) % 1000) for number in range(self.samples)]
        write_responses(run_dir / "accuracy", answers)
        write_responses(run_dir / "TEST01" / "performance", answers[:400:7])
        for role in ("performance", "TEST04/performance"):
            write_responses(run_dir / role, ())
        labels = "".join(f"ILSVRC2012_val_{number + 1:08d}.JPEG {number % 1000}\n" for number in range(self.samples))
        (run_dir / "accuracy" / "val_map.txt").write_text(labels, encoding="utf-8")
        for test in audits.NAMES:
            audits.verify(
                test,
                performance_dir=run_dir / "performance",
                accuracy_dir=run_dir / "accuracy",
                audit_dir=run_dir / test,
            )
        inference = spec.InferSpec(
            benchmark=benchmark,
            division=spec.Division(division),
            scenario=SCENARIOS[scenario],
            data=spec.Data(source=spec.TfRecords()),
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


@pytest.fixture
def served_run(tmp_path: pathlib.Path) -> ServedRun:
    """Writes the run directories of inference runs."""
    return ServedRun(folder=tmp_path)
