"""Writes events as MLLOG lines, and makes the events that MLPerf requires at the beginning of a log."""

from __future__ import annotations

import json
import logging
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from tfperf import benchmarks
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark, quality_of
from tfperf.compliance.logged_benchmark import MLPERF_MARK, TARGET_KEY, UNIT_MARK
from tfperf.errors import UsageError
from tfperf.events import Event

_PACKAGE_PARENT = pathlib.Path(__file__).parents[2]


class MllogSink:
    """Writes every event to an MLLOG file.

    `emit` returns once the operating system has the line, so a killed run leaves a readable log. NaN and infinity are
    written the way mlperf_logging writes and reads them.

    Args:
        path: the file, which must not exist.

    Raises:
        UsageError: the file exists.
    """

    def __init__(self, path: pathlib.Path) -> None:
        from mlperf_logging.mllog import mllog

        try:
            self._file = path.open("x", encoding="utf-8")
        except FileExistsError as error:
            raise UsageError(f"{path} exists. A log is never overwritten: choose another output directory.") from error
        self._lines = _KeptLines()
        self._mllogger = mllog.MLLogger(logger=self._lines, root_dir=re.escape(str(_PACKAGE_PARENT)))

    def emit(self, event: Event) -> None:
        """Writes one line.

        Raises:
            TypeError: the event holds something other than plain Python values.
            OSError: the line could not be written.
        """
        _require_plain(event)
        log = {"start": self._mllogger.start, "stop": self._mllogger.end}.get(
            event.key.rpartition("_")[2], self._mllogger.event
        )
        log(key=event.key, value=event.value, metadata=dict(event.metadata), time_ms=int(event.time_s * 1e3))
        self._file.write("".join(f"{line}\n" for line in self._lines.take()))
        self._file.flush()

    def flush(self) -> None:
        """Makes the log durable."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Makes the log durable and closes it."""
        if self._file.closed:
            return
        try:
            self.flush()
        finally:
            self._file.close()


class _KeptLines(logging.Logger):
    """Keeps what mlperf_logging logs, even after `logging.disable`, so that a failure to write it is raised."""

    def __init__(self) -> None:
        super().__init__("tfperf.mllog")
        self._kept: list[str] = []

    def isEnabledFor(self, level: int) -> bool:
        """Always."""
        return True

    def handle(self, record: logging.LogRecord) -> None:
        """Keeps the line."""
        self._kept.append(record.getMessage())

    def take(self) -> list[str]:
        """What was kept since the last call."""
        taken, self._kept = self._kept, []
        return taken


def submission(spec: specs.TrainSpec, benchmark: Benchmark, *, platform: str) -> tuple[Event, ...]:
    """The first events of a log: who runs which benchmark, and where.

    A benchmark that is not MLPerf's is logged under its own name. Every log holds the target, with the benchmark and
    the ruleset that `tfperf check` checks it by.

    Args:
        spec: the spec of the run.
        benchmark: the benchmark that the spec names.
        platform: the system's name.
    """
    task = benchmarks.training_task(benchmark)
    quality = quality_of(task, spec)
    name = task.submission_benchmark if benchmarks.is_mlperf(benchmark) else benchmark.name
    return (
        Event(key="submission_benchmark", value=name),
        Event(key="submission_division", value=str(spec.division)),
        Event(key="submission_org", value=spec.submission.org),
        Event(key="submission_platform", value=platform),
        Event(key="submission_status", value=spec.submission.status),
        Event(
            key=TARGET_KEY,
            value=quality.value,
            metadata={
                "metric": quality.metric,
                "checked_as": task.submission_benchmark,
                "ruleset": task.ruleset,
                MLPERF_MARK: benchmarks.is_mlperf(benchmark),
                **({} if spec.evaluation.every_samples is None else {UNIT_MARK: "samples"}),
            },
        ),
    )


def hyperparameters(
    spec: specs.TrainSpec,
    *,
    seed: int,
    optimizer: Mapping[str, Any],
    bn_span: int | None,
    train_examples: int,
    eval_examples: int,
) -> tuple[Event, ...]:
    """The events that MLPerf requires between `init_start` and `init_stop`.

    Args:
        spec: the spec of the run.
        seed: the seed, drawn or given.
        optimizer: the hyper-parameters of the optimizer that was built, by MLLOG key.
        bn_span: examples over which batch normalisation takes its statistics: the batch of one replica. None where the
            model has no batch normalisation.
        train_examples: examples in the training set.
        eval_examples: examples in the evaluation set.
    """
    values: dict[str, Any] = {
        "seed": seed,
        "global_batch_size": spec.global_batch_size,
        "train_samples": train_examples,
        "eval_samples": eval_examples,
        "gradient_accumulation_steps": spec.gradient_accumulation_steps,
        **({} if bn_span is None else {"model_bn_span": bn_span}),
        **optimizer,
    }
    return tuple(Event(key=key, value=value) for key, value in values.items())


def _require_plain(event: Event) -> None:
    # mlperf_logging silently drops an event that it can't encode.
    try:
        json.dumps([event.value, dict(event.metadata)])
    except TypeError as error:
        raise TypeError(
            f"The event {event.key} holds {event.value!r} with metadata {dict(event.metadata)!r}: {error}. "
            "Accepted: str, bool, int, float, None, and lists and dicts of them. Convert with float() or int()."
        ) from error
