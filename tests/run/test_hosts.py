"""Several workers train together, and each ends with what happened to all of them."""

import dataclasses
import json
import pathlib
import signal
import sys
import time

import pytest

from tests.run.started_workers import ENDLESS, ended, start, train, wait_for
from tests.system.test_assembly import assembled, cluster_of, of_each
from tfperf import benchmarks, config
from tfperf.compliance import checker
from tfperf.errors import UsageError
from tfperf.run import prepared
from tfperf.run import train as run
from tfperf.system import caches, devices
from tfperf.system.cluster import Cluster
from tfperf.workspace import Workspace


@pytest.mark.parametrize("chief", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_workers_train_together_and_the_first_writes(chief: bool, tmp_path: pathlib.Path) -> None:
    command = train(tmp_path, "--format=json")
    (first, told, errors), (second, silent, others) = ended(start(command, command, chief=chief)[1])
    assert (first, second) == (0, 0), errors[-2000:] + others[-2000:]
    assert silent == ""
    result = json.loads(told)
    assert (result["environment"]["strategy"], result["environment"]["replicas"]) == ("CollectiveAllReduceStrategy", 2)
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert checker.check(run_dir)[0].status == "success"
    assert (run_dir / "model.keras").is_file()


def test_workers_that_differ_are_named_before_tensorflow_is_imported(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none" / "tensorflow").mkdir(parents=True)
    (tmp_path / "none" / "tensorflow" / "__init__.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "none"), *sys.path])
    hosts, started = start(train(tmp_path), train(tmp_path, "--set=model.blocks=[2]", "--set=seed=5"))
    for code, _, errors in ended(started):
        assert code == 1
        assert errors.endswith(
            "tfperf train: Not all workers run the same thing.\n"
            f"  config.model.blocks: worker 0 has [1], worker 1 ({hosts[1]}) has [2]\n"
            f"  config.seed: worker 0 has None, worker 1 ({hosts[1]}) has 5\n"
        )
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("by", "end", "code", "reason"),
    [
        (signal.SIGTERM, 130, 130, "ended: interrupted"),
        pytest.param(
            signal.SIGKILL,
            -signal.SIGKILL,
            1,
            "was lost: it was killed, hangs or can't be reached. See its own output.",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            signal.SIGSTOP,
            -signal.SIGKILL,
            1,
            "was lost: it was killed, hangs or can't be reached. See its own output.",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_worker_that_ends_in_the_middle_is_named(
    by: signal.Signals, end: int, code: int, reason: str, tmp_path: pathlib.Path
) -> None:
    command = train(tmp_path, *ENDLESS)
    hosts, (first, second) = start(command, command)
    wait_for("eval_accuracy", tmp_path, first)
    second.send_signal(by)
    since = time.monotonic()
    ((found, _, errors),) = ended([first])
    assert time.monotonic() - since < 60  # seconds on an idle machine
    if end == -signal.SIGKILL:  # a stopped worker doesn't end by itself
        second.kill()
    assert ended([second])[0][0] == end
    assert (found, errors.splitlines()[-1]) == (code, f"tfperf train: worker 1 ({hosts[1]}) {reason}")
    assert "Traceback" not in errors
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert checker.check(run_dir)[0].status == "aborted"
    outcome = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))
    assert (outcome["valid"], outcome["reasons"]) == (False, [f"worker 1 ({hosts[1]}) {reason}"])


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_workers_that_are_all_cancelled_end_aborted(tmp_path: pathlib.Path) -> None:
    command = train(tmp_path, *ENDLESS)
    _, started = start(command, command)
    wait_for("eval_accuracy", tmp_path, started[0])
    for process in reversed(started):
        process.send_signal(signal.SIGTERM)
    assert [code for code, _, _ in ended(started)] == [130, 130]
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert checker.check(run_dir)[0].status == "aborted"


@pytest.mark.parametrize("seed", [None, 5])
def test_no_worker_starts_its_devices_before_all_have_imported_tensorflow(
    seed: int | None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = config.load("resnet50-mini", task_of=benchmarks.task)
    spec = dataclasses.replace(spec, seed=seed)
    imported: list[int] = []
    begun: list[int] = []

    def strategy_for(*_: object, **__: object) -> None:
        begun.append(len(imported))
        raise UsageError("no devices")

    monkeypatch.setattr(devices, "strategy_for", strategy_for)

    def work(cluster: Cluster) -> None:
        with assembled(cluster) as together:
            time.sleep(0.3 * cluster.index)
            imported.append(cluster.index)
            prepared.prepare(spec, benchmarks.get(spec.benchmark), Workspace(output_dir=tmp_path, name="a"), together)

    of_each(cluster_of(2), work)
    assert begun == [2, 2]


@pytest.mark.parametrize(("dropped", "cleared"), [((True, True), True), ((True, False), False)])
def test_the_caches_are_cleared_if_all_workers_cleared_theirs(
    dropped: tuple[bool, bool], cleared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = iter(dropped)
    monkeypatch.setattr(caches, "drop", lambda: next(outcomes))

    def work(cluster: Cluster) -> bool:
        with assembled(cluster) as together:
            return run._cleared_by_all(together)

    assert of_each(cluster_of(2), work) == [cleared] * 2


def test_the_corrupt_examples_of_all_workers_are_reported_once() -> None:
    found = (("a.JPEG: cut", "b.JPEG: empty"), ("b.JPEG: empty", "c.JPEG: cut"))

    def work(cluster: Cluster) -> tuple[str, ...]:
        with assembled(cluster) as together:
            return run._skipped_by_all(together, skipped=found[cluster.index])

    assert of_each(cluster_of(2), work) == [("a.JPEG: cut", "b.JPEG: empty", "c.JPEG: cut")] * 2
