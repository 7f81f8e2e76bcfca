"""The table of trials: the values, the objective with its unit, what else its kind tells, and how each ended."""

import io
import pathlib
import re
import time

import pytest

from tfperf import benchmarks, config
from tfperf.tuning import objective, trials_table
from tfperf.tuning import trial as trials
from tfperf.tuning.trial import Trial


def test_trials_that_train(tmp_path: pathlib.Path) -> None:
    loaded = config.load_sweep("sweep-resnet50-mini-lr", task_of=benchmarks.task)
    values = {"optimizer.sgd.base_learning_rate": 0.0123456, "global_batch_size": 64}
    found = [
        Trial(name="0", values=values, status="completed", objective=0.5, quality=0.5, epochs=4, max_epochs=4),
        Trial(name="1", values=values, status="completed", objective=0.75, quality=0.75, epochs=4, max_epochs=4),
        Trial(name="2", values=values, status="stopped", reason="hopeless", quality=0.1, epochs=1, max_epochs=4),
    ]
    assert trials_table.text(found, spec=loaded, project=tmp_path).splitlines() == [
        "internal sweep, trial 3 of at most 12",
        "   trial  base_learning_rate  global_batch_size  quality  epochs  status",
        "       0             0.01235                 64      0.5  4/4     completed",
        "*      1             0.01235                 64     0.75  4/4     completed",
        "       2             0.01235                 64      0.1  1/4     stopped: hopeless",
    ]


def test_trials_that_serve(tmp_path: pathlib.Path) -> None:
    loaded = config.load_sweep("sweep-resnet50-mini-offline", task_of=benchmarks.task)
    found = [
        Trial(
            name="0",
            values={"batch_sizes": [1, 16], "instances": 2},
            status="completed",
            objective=4321.0,
            quality=0.8779,
            executable="litert-float32",
        ),
        Trial(name="1", values={"batch_sizes": [64], "instances": 1}, status="failed", reason="out of memory"),
    ]
    assert trials_table.text(found, spec=loaded, project=tmp_path).splitlines() == [
        "internal sweep, trial 2 of at most 8",
        "   trial  batch_sizes  instances  throughput (samples/s)  accuracy  executable      status",
        "*      0  [1, 16]              2                   4,321    0.8779  litert-float32  completed",
        "       1  [64]                 1                      --        --  --              failed: out of memory",
    ]


def test_a_log_file_tells_after_a_silence_what_is_running(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = config.load_sweep("sweep-resnet50-mini-offline", task_of=benchmarks.task)
    values = {"batch_sizes": [1, 16], "instances": 2}
    (tmp_path / trials.FOLDER / "0").mkdir(parents=True)
    stream = io.StringIO()
    shown = trials_table.LiveTable(stream, spec=loaded, project=tmp_path, interactive=False)
    trials.write(tmp_path / trials.FOLDER / "0", Trial(name="0", values=values, started_s=time.time() - 65))
    shown.draw()
    assert stream.getvalue() == ""
    monkeypatch.setattr(trials_table, "_SILENCE_S", 0.0)
    shown.draw()
    assert re.fullmatch(r"trial 0: batch_sizes=\[1, 16\], instances=2: running 1:\d\d\n", stream.getvalue())


def test_the_best_has_the_least_where_less_is_better() -> None:
    found = [Trial(name=str(ms), values={}, status="completed", objective=float(ms)) for ms in (3, 2, 5)]
    least, most = (objective.best_of(found, objective=each) for each in ("latency", "throughput"))
    assert (least, most) == (found[1], found[2])
    assert objective.best_of([Trial(name="0", values={}, status="failed")], objective="latency") is None
