"""Two commands run alternating, each in a new process; what was run is kept, whatever happens."""

import os
import pathlib
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from tests.comparison.written_runs import write_run
from tfperf.comparison import compare, confirm, repeats
from tfperf.errors import InterruptedRunError, TfperfError, UsageError
from tfperf.stored import run as stored_run
from tfperf.system import environment

ROOT = pathlib.Path(__file__).parents[2]
# Stands for the tfperf of another installation: writes the run directory that it is asked for.
PROGRAM = """#!{python}
import json, os, pathlib, sys, time
sys.path.insert(0, {root!r})
from tests.comparison.written_runs import write_run
flags = dict(word.lstrip("-").split("=", 1) for word in sys.argv[2:])
folder = pathlib.Path(flags["output_dir"])
number = len(list(folder.glob("20*")))
log = pathlib.Path(flags["log"])
with log.open("a") as file:
    file.write(folder.name + "\\n")
if len(log.read_text().splitlines()) > int(flags.get("hangs_after", 99)):
    time.sleep(60)
if "fails" in flags:
    sys.exit("the model is too large")
at = len(log.read_text().splitlines())
run = write_run(folder / f"20260101T0000{{at:02}}Z-run", latency_ms=float(flags["ms"]), seed=at)
print(json.dumps({{"run_dir": str(run)}}))
"""


@pytest.fixture
def program(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "bin" / "tfperf"
    path.parent.mkdir()
    path.write_text(PROGRAM.format(python=sys.executable, root=str(ROOT)), encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def judge(baseline, candidate, differing=()):
    return compare.compare(baseline, candidate, changes=differing)


def commands(program, tmp_path, *, slow="1.5", more=""):
    return tuple(f"{program} infer --ms={ms} --log={tmp_path / 'log'}{more}" for ms in ("1.0", slow))


def ran(given, tmp_path, *, times, confirmed=0):
    said: list[str] = []
    found = confirm.of_commands(
        given, times=times, confirm=confirmed, folder=tmp_path / "runs", judge=judge, say=said.append
    )
    return found, said


def test_sides_alternate_in_abba_order(program: pathlib.Path, tmp_path: pathlib.Path) -> None:
    found, said = ran(commands(program, tmp_path), tmp_path, times=5)
    order = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert order == [("baseline", "candidate")[side] for side in (0, 1, 1, 0, 0, 1, 1, 0, 0, 1)]
    assert (found.found.verdict, found.interrupted) == ("REGRESSION", False)
    assert {each.judged.method for each in found.found.figures} == {"paired"}
    assert said[0].startswith("baseline   run 1 of 5  ")
    assert f"The runs are in {tmp_path}/runs/baseline and {tmp_path}/runs/candidate." in found.found.notes


def test_a_suspicion_is_confirmed_by_new_runs_alone(program: pathlib.Path, tmp_path: pathlib.Path) -> None:
    found, said = ran(commands(program, tmp_path), tmp_path, times=1, confirmed=3)
    assert "SUSPECT: " in "\n".join(said)
    assert found.found.verdict == "REGRESSION"
    assert all("confirm" in path for path in (*found.found.baseline, *found.found.candidate))
    assert len(found.found.baseline) == 3


def test_without_a_suspicion_nothing_is_confirmed(program: pathlib.Path, tmp_path: pathlib.Path) -> None:
    found, _ = ran(commands(program, tmp_path, slow="1.0"), tmp_path, times=1, confirmed=3)
    assert (found.found.verdict, len(found.found.baseline)) == ("INCONCLUSIVE", 1)


def test_a_run_that_fails_ends_it_with_its_messages(program: pathlib.Path, tmp_path: pathlib.Path) -> None:
    first, second = commands(program, tmp_path)
    with pytest.raises(TfperfError, match=r"left no result. Its last messages, from (?s:.*)the model is too large"):
        ran((first, f"{second} --fails=1"), tmp_path, times=5)
    assert len(list((tmp_path / "runs" / "baseline").glob("20*"))) == 1


def interrupt_when(log: pathlib.Path, lines: int) -> threading.Thread:
    def wait() -> None:
        while not log.exists() or len(log.read_text(encoding="utf-8").splitlines()) < lines:
            time.sleep(0.05)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize(("after", "kept"), [(4, 2), (1, None)])
def test_ctrl_c_compares_what_was_run_and_keeps_it(
    program: pathlib.Path, tmp_path: pathlib.Path, after: int, kept: int | None
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = interrupt_when(tmp_path / "log", after + 1)
    given = commands(program, tmp_path, more=f" --hangs_after={after}")
    try:
        if kept is None:
            with pytest.raises(
                InterruptedRunError, match=r"interrupted before both sides had a run. What was run is in"
            ):
                ran(given, tmp_path, times=5)
        else:
            found, _ = ran(given, tmp_path, times=5)
            assert (found.interrupted, len(found.found.baseline)) == (True, kept)
            assert f"Interrupted: {kept} and {kept} of 5 runs a side were made." in found.found.notes
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)
    assert len(list((tmp_path / "runs" / "baseline").glob("20*"))) == (kept or 1)


def test_a_suspicion_from_directories_is_repeated_only_with_the_same_software(tmp_path: pathlib.Path) -> None:
    runs = [write_run(tmp_path / name, latency_ms=ms, seed=3) for name, ms in (("a", 1.0), ("b", 2.0))]
    found = compare.compare(runs[:1], runs[1:])
    assert found.verdict == "SUSPECT"
    with pytest.raises(
        UsageError, match=r"a can't be repeated with this software: it was measured with code_version 0"
    ):
        confirm.of_suspicion(found, times=3, folder=tmp_path / "runs", judge=judge, say=print)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "'' is no command that makes a run. With --repeats, each side is one command in quotes, such as"),
        ("infer 'a", "can't be split into words: No closing quotation. Check its quotes."),
        ("tfperf check runs", "is no command that makes a run."),
        ("infer --config=a --output_dir=b", "sets --output_dir=b, which compare sets itself. Leave it out."),
        ("infer --format json", "sets --format, which compare sets itself."),
    ],
)
def test_other_commands_are_refused(given: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        repeats.command(given)
    assert message in str(caught.value)


def test_a_command_is_run_by_the_tfperf_that_it_names() -> None:
    ours = (sys.executable, "-m", "tfperf")
    assert repeats.command("infer --config=a") == (*ours, "infer", "--config=a")
    assert repeats.command("tfperf train --config=a") == (*ours, "train", "--config=a")
    assert repeats.command("/other/bin/tfperf infer") == ("/other/bin/tfperf", "infer")
    assert repeats.command("python3 -m tfperf infer --set 'a=b c'") == (
        "python3",
        "-m",
        "tfperf",
        "infer",
        "--set",
        "a=b c",
    )
    assert repeats.command("resnet50-mini") == (*ours, "train", "--config=resnet50-mini")


def test_the_command_line_names_what_is_missing(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "tfperf", "compare", "--repeats=2", "infer", "--", "a", "b"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, "--repeats needs one command in quotes for each side, got 3." in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_repeated_from_its_spec_and_model(tmp_path: pathlib.Path) -> None:
    model = tmp_path / "model.keras"
    model.touch()
    command = ["/bin/tfperf", "infer", "--config", "a", "--device", "cpu", "--set=x=1", "--data_dir=d", "--trust_model"]
    now = {"code_version": environment.code_version(), "packages": environment.packages(), "command": command}
    path = write_run(tmp_path / "run", edit={"environment": now, "weights": {"path": str(model)}})
    with pytest.raises(
        UsageError, match=r"run can't be repeated: it has no spec.yaml. Use --repeats with two commands"
    ):
        confirm.again(stored_run.read(path))
    (path / "spec.yaml").touch()
    given = confirm.again(stored_run.read(path))
    kept = ("--device=cpu", "--data_dir=d", "--trust_model")
    assert given == ("infer", f"--config={path / 'spec.yaml'}", f"--weights={model}", *kept)
    model.unlink()
    with pytest.raises(UsageError, match=r"its model .*model.keras is not here. Use --repeats with two commands"):
        confirm.again(stored_run.read(path))
