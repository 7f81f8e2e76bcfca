"""Logs as a run of ResNet-50 writes them."""

import pathlib
from collections.abc import Callable

import pytest

from tests import optimizer_values
from tests.compliance.serving_logs import ServedRun
from tfperf import benchmarks, spec
from tfperf.benchmarks.images.sources import ImageNetRecords
from tfperf.compliance import mllog
from tfperf.events import Event

START_S = 1_800_000_000.0
TRAIN_EXAMPLES, EVAL_EXAMPLES = 1_281_167, 50_000

LARS = spec.Lars(base_learning_rate=9.0, warmup_epochs=3, weight_decay=5e-5)
SGD = spec.Sgd(base_learning_rate=1.6, warmup_epochs=5, weight_decay=5e-5)


def closed_spec(**changes: object) -> spec.TrainSpec:
    """A run that follows every rule of the closed division."""
    fields: dict[str, object] = {
        "benchmark": "resnet50",
        "division": spec.Division.CLOSED,
        "global_batch_size": 4096,
        "max_epochs": 43,
        "optimizer": LARS,
        "data": spec.Data(source=ImageNetRecords()),
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
            optimizer=optimizer_values.logged(asked),
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


@pytest.fixture
def served_run(tmp_path: pathlib.Path) -> ServedRun:
    """Writes the run directories of inference runs."""
    return ServedRun(folder=tmp_path)
