"""A series trains with different seeds, and a run's config repeats it."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from tests.system.test_assembly import addresses
from tfperf import benchmarks, config
from tfperf import spec as specs
from tfperf.compliance import rules
from tfperf.errors import UsageError
from tfperf.run import series, train


def load(name: str, *overrides: str) -> specs.TrainSpec:
    return config.load(name, task_of=benchmarks.task, overrides=overrides)


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        ("null", [[], [], []]),
        ("5", [["--set=seed=5"], ["--set=seed=6"], ["--set=seed=7"]]),
        ("2147483647", [["--set=seed=2147483647"], ["--set=seed=0"], ["--set=seed=1"]]),
    ],
)
def test_each_run_of_a_series_has_its_own_seed(seed: str, expected: list[list[str]]) -> None:
    spec = load("resnet50-mini", f"seed={seed}")
    assert [series.seed_of(spec, number) for number in (1, 2, 3)] == expected


@pytest.mark.parametrize("name", [name for name in config.names() if config.verb(name) == "train"])
def test_the_config_of_a_run_repeats_it(name: str, tmp_path: pathlib.Path) -> None:
    given = load(name)
    ran = dataclasses.replace(given, seed=123)
    path = tmp_path / "spec.yaml"
    path.write_text(train.repeating(ran), encoding="utf-8")
    again = load(str(path))
    rules.check_training(again, benchmarks.get(again.benchmark))
    assert again == (given if given.division is specs.Division.CLOSED else ran)
    assert "123" in path.read_text(encoding="utf-8")


# Stands in for `tfperf train`: it writes what a run leaves, as a plan says by the number of the call.
STAND_IN = """
import json, os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
calls = folder / "calls"
number = len(calls.read_text()) if calls.exists() else 0
calls.write_text("x" * (number + 1))
plan = json.loads((folder / "plan.json").read_text())[number]
output = pathlib.Path(next(a.split("=", 1)[1] for a in sys.argv if a.startswith("--output_dir=")))
def interrupted(*_):
    (folder / "ended").write_text("as it should")
    sys.exit(130)
if plan == "wait":
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    (folder / "waiting").touch()
    time.sleep(60)
if plan in (0, 4) and "worker" not in sys.argv[2:3]:
    run_dir = output / f"{folder.name}-{number}"
    run_dir.mkdir(parents=True)
    (run_dir / "mllog.txt").write_text("")
    (run_dir / "result.json").write_text(json.dumps({"valid": plan == 0, "number": number}))
    print(json.dumps({"run_dir": str(run_dir)}))
sys.exit(plan)
"""


def stand_in(folder: pathlib.Path, *plan: int | str, role: str = "") -> list[str]:
    """A command whose calls end with these exit codes; `wait` waits for a signal."""
    folder.mkdir(exist_ok=True)
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    (folder / "calls").unlink(missing_ok=True)
    script = folder / "stand_in.py"
    script.write_text(STAND_IN, encoding="utf-8")
    return [sys.executable, str(script), str(folder), *([role] if role else [])]


def made(
    tmp_path: pathlib.Path, command: list[str], *, runs: int = 3, resume: pathlib.Path | None = None
) -> series.RunSeries:
    spec = load("resnet50-mini", "division=internal")
    benchmark = benchmarks.get(spec.benchmark)
    return series.train(command, spec, benchmark, output_dir=tmp_path / "out", runs=runs, resume=resume)


def test_a_run_that_fails_leaves_the_others_scored(tmp_path: pathlib.Path) -> None:
    found = made(tmp_path, stand_in(tmp_path, 0, 1, 4))
    assert [run["number"] for run in found.runs] == [0, 2]
    assert found.failures == ("Run 2 of 3 failed with exit code 1; its message is above.",)
    assert (found.valid, found.complete, found.interrupted) == (False, False, False)
    assert len(found.verdicts) == 2
    assert series.report(found)["reasons"] == list(found.failures)


@pytest.mark.parametrize(("plan", "calls"), [((1, 1, 0), 2), ((2, 0, 0), 1)])
def test_a_series_that_goes_on_failing_ends(plan: tuple[int, ...], calls: int, tmp_path: pathlib.Path) -> None:
    found = made(tmp_path, stand_in(tmp_path, *plan))
    assert (len(found.failures), found.runs, found.verdicts) == (calls, (), ())


def test_a_series_that_was_cut_off_is_resumed_with_the_finished_runs(tmp_path: pathlib.Path) -> None:
    first = made(tmp_path, stand_in(tmp_path, 0, 130))
    assert (len(first.runs), first.interrupted) == (1, True)
    assert first.directory is not None
    (tmp_path / "second").mkdir()
    whole = made(tmp_path, stand_in(tmp_path / "second", 4, 0), resume=first.directory)
    assert whole.directory == first.directory
    assert [run["number"] for run in whole.runs] == [0, 0, 1]
    assert whole.complete
    assert not whole.valid


def test_a_series_without_a_finished_run_is_resumed(tmp_path: pathlib.Path) -> None:
    first = made(tmp_path, stand_in(tmp_path, 1, 1))
    assert first.directory is not None
    assert made(tmp_path, stand_in(tmp_path, 0, 0, 0), resume=first.directory).valid


def test_a_series_is_not_resumed_with_fewer_runs_than_it_has(tmp_path: pathlib.Path) -> None:
    first = made(tmp_path, stand_in(tmp_path, 0, 0, 0))
    assert first.directory is not None
    with pytest.raises(UsageError, match=r"run 3 has finished\. Pass --runs=3 or more\.$"):
        made(tmp_path, [], runs=2, resume=first.directory)


def test_only_a_series_of_the_same_config_is_resumed(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match="no series of runs is there"):
        made(tmp_path, [], resume=tmp_path)
    (tmp_path / series.STATE).write_text('{"config": "another", "finished": {}}', encoding="utf-8")
    with pytest.raises(UsageError, match="its runs have another config"):
        made(tmp_path, [], resume=tmp_path)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_run_and_its_end_is_waited_for(by: signal.Signals, tmp_path: pathlib.Path) -> None:
    command = [*stand_in(tmp_path, "wait"), f"--output_dir={tmp_path}"]
    program = (
        "import signal, sys; from tfperf.run import run_process\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it\n"
        f"sys.exit(run_process.run({command!r}).exit_code)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", program], env=environment) as process:
        while not (tmp_path / "waiting").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(by)
        assert process.wait(timeout=30) == 130
    assert (tmp_path / "ended").read_text(encoding="utf-8") == "as it should"


@pytest.mark.usefixtures("interruptible")
def test_a_signal_that_kills_a_run_interrupts_the_series_too(tmp_path: pathlib.Path) -> None:
    waits = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    command = [sys.executable, "-c", waits, str(tmp_path / "waiting")]
    program = f"from tfperf.run import run_process; print(run_process.run({command!r}))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    line = [sys.executable, "-c", program]
    with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "waiting").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=30)
    assert printed == f"EndedRun(exit_code={-signal.SIGTERM}, printed='', interrupted=True)\n"


@pytest.mark.parametrize(
    ("first", "second", "failed"), [((0, 0), (0, 0), 0), ((0, 1, 0), (0, 1, 0), 1), ((0, 0), (4, 0), 0)]
)
def test_workers_make_the_runs_of_the_first_and_are_judged_by_exit_codes(
    first: tuple[int, ...], second: tuple[int, ...], failed: int, tmp_path: pathlib.Path
) -> None:
    hosts = addresses(2)
    program = """
        import json, os, pathlib, sys
        from tfperf import benchmarks, config
        from tfperf.run import series
        folder, command, runs = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
        spec = config.load("resnet50-mini", task_of=benchmarks.task, overrides=["division=internal"])
        made = series.train(command, spec, benchmarks.get(spec.benchmark), output_dir=folder / "out", runs=runs)
        print(json.dumps([len(made.runs), len(made.failures), made.directory is None]))
    """
    processes = []
    for index, plan in enumerate((first, second)):
        folder = tmp_path / str(index)
        command = stand_in(folder, *plan, role="worker" if index else "")
        cluster = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(cluster), "PYTHONPATH": os.pathsep.join(sys.path)}
        line = [sys.executable, "-c", textwrap.dedent(program), str(folder), json.dumps(command), str(len(first))]
        processes.append(subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True))
    results = [json.loads(process.communicate(timeout=120)[0].splitlines()[-1]) for process in processes]
    assert results == [[len(first) - failed, failed, False], [0, failed, True]]
