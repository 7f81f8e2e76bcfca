"""`tfperf check`, as a user sees it."""

import io
import json
import pathlib
import subprocess
import sys
import time

import pytest
from absl import flags
from absl.testing import flagsaver

from tests import optimizer_values
from tests.compliance.serving_logs import ServedRun
from tfperf import benchmarks, spec
from tfperf.benchmarks.images.sources import ImageNetRecords
from tfperf.cli import check
from tfperf.compliance import checker, mllog
from tfperf.events import Event

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
ACCURACIES = {3: 0.41, 7: 0.68, 11: 0.7601}


def _write(path: pathlib.Path, *, name: str = "resnet50", division: str = "closed", status: str = "success") -> None:
    """The log of a run of eleven epochs."""
    trained = spec.TrainSpec(
        benchmark=name,
        division=spec.Division(division),
        global_batch_size=4096,
        max_epochs=11,
        optimizer=spec.Lars(base_learning_rate=9.0, weight_decay=5e-5),
        data=spec.Data(source=ImageNetRecords()),
        quality_target=None if division == "closed" else 0.75,
    )
    before = [
        *mllog.submission(trained, benchmarks.get(name), platform="box"),
        Event(key="cache_clear", value=True),
        Event(key="init_start"),
        *mllog.hyperparameters(
            trained,
            seed=7,
            optimizer=optimizer_values.logged(trained, decay_steps=99),
            bn_span=64,
            train_examples=1_281_167,
            eval_examples=50_000,
        ),
        Event(key="init_stop"),
        Event(key="run_start"),
    ]
    happened = [(0.0, event) for event in before]
    for epoch, accuracy in ACCURACIES.items():
        at = {"epoch_num": epoch}
        happened.append((60.0 * epoch, Event(key="epoch_start", metadata=at)))
        happened.append((60.0 * epoch, Event(key="eval_start", metadata=at)))
        happened.append((60.0 * epoch, Event(key="eval_accuracy", value=accuracy, metadata=at)))
        happened.append((60.0 * epoch, Event(key="eval_stop", metadata=at)))
        happened.append((60.0 * epoch, Event(key="epoch_stop", metadata=at)))
    happened.append((660.0, Event(key="run_stop", metadata={"status": status})))
    path.parent.mkdir(parents=True, exist_ok=True)
    sink = mllog.MllogSink(path)
    for after_s, event in happened:
        time_s = 1_800_000_000.0 + after_s
        sink.emit(Event(key=event.key, time_s=time_s, value=event.value, metadata=event.metadata))
    sink.close()


def _check(folder: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "tfperf", "check", *arguments]
    root = str(pathlib.Path(__file__).parents[2])
    return subprocess.run(
        program, capture_output=True, text=True, check=False, cwd=folder, env={"PYTHONPATH": root, "PATH": ""}
    )


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    _write(tmp_path / "closed" / "mllog.txt")
    _write(tmp_path / "aborted" / "mllog.txt", status="aborted")
    _write(tmp_path / "mini" / "mllog.txt", name="resnet50_mini", division="open")
    _write(tmp_path / "killed" / "mllog.txt")
    killed = tmp_path / "killed" / "mllog.txt"
    killed.write_text("\n".join(killed.read_text().splitlines()[:40])[:-30])
    return tmp_path


def test_the_report_for_people(folder: pathlib.Path) -> None:
    done = _check(folder, ".")
    assert done.stdout == (GOLDEN / "check.txt").read_text()
    assert (done.stderr, done.returncode) == ("", 6)


def test_the_report_for_programs(folder: pathlib.Path) -> None:
    done = _check(folder, "closed", "killed", "--format=json")
    assert done.stdout == (GOLDEN / "check.json").read_text()
    assert [found["compliant"] for found in json.loads(done.stdout)] == [True, False]
    assert done.returncode == 6


@pytest.mark.parametrize("name", ["closed", "mini", "closed/mllog.txt"])
def test_a_good_log_exits_with_0(folder: pathlib.Path, name: str) -> None:
    assert _check(folder, name).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (),
            "tfperf check: check needs a path: tfperf check PATH..., each a log, a run directory or a folder of "
            "logs.\n",
        ),
        (("no",), "tfperf check: no does not exist. Pass the path of a log, a run directory or a results folder.\n"),
    ],
)
def test_a_path_is_needed(tmp_path: pathlib.Path, arguments: tuple[str, ...], message: str) -> None:
    done = _check(tmp_path, *arguments)
    assert (done.stdout, done.stderr, done.returncode) == ("", message, 2)


def test_it_does_not_import_tensorflow(folder: pathlib.Path) -> None:
    program = (
        "import pathlib, sys; from tfperf.compliance import checker; "
        "checker.check(pathlib.Path('closed')); sys.exit('tensorflow' in sys.modules)"
    )
    root = str(pathlib.Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", program], check=True, cwd=folder, env={"PYTHONPATH": root, "PATH": ""})


def test_an_inference_run_is_reported_beside_those_of_training(folder: pathlib.Path) -> None:
    write = ServedRun(folder=folder)
    write("served")
    write("invalid", changes={"performance": {"result_validity": "INVALID", "result_invalid_reason": "Too short."}})
    done = _check(folder, "closed", "served", "invalid")
    assert done.stdout == (
        "COMPLIANT: closed/mllog.txt\n"
        "  one run, resnet, closed, ruleset 4.0.0, 11.00 minutes, success\n"
        "  Checked by ruleset 4.0.0, the last with resnet.\n"
        "COMPLIANT: served\n"
        "  one inference run, resnet50, closed, round v6.1, 10.01 minutes, success\n"
        "  LoadGen 6.0.17 @ d6147c7eb7.\n"
        "NOT COMPLIANT: invalid\n"
        "  one inference run, resnet50, closed, round v6.1, 10.01 minutes, invalid, structure ok, target reached\n"
        "  - LoadGen calls the performance run INVALID: Too short.\n"
        "  - result.json has result_validity VALID; LoadGen's log says INVALID.\n"
        "  - TEST01: TEST FAIL: Invalid results in invalid/performance/mlperf_log_detail.txt\n"
        "  - TEST04: TEST FAIL: Invalid results in invalid/performance/mlperf_log_detail.txt\n"
        "  LoadGen 6.0.17 @ d6147c7eb7.\n"
        "\n"
        "1 run: 1 compliant\n"
        "2 inference runs: 1 compliant, 1 not compliant\n"
        "Compliant means that the official checker accepts it. Not verified by MLCommons.\n"
    )
    assert (done.stderr, done.returncode) == ("", 6)


def test_an_inference_run_is_checked_without_tensorflow(tmp_path: pathlib.Path) -> None:
    run_dir = ServedRun(folder=tmp_path)()
    program = (
        "import pathlib, sys; from tfperf.compliance import checker; "
        f"(found,) = checker.check(pathlib.Path({str(run_dir)!r})); "
        "sys.exit('tensorflow' in sys.modules or not found.good)"
    )
    root = str(pathlib.Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": root, "PATH": ""})


def test_a_sound_log_that_missed_its_target_is_not_called_broken(tmp_path: pathlib.Path) -> None:
    _write(tmp_path / "mllog.txt", name="resnet50_mini", division="open", status="aborted")
    done = _check(tmp_path, "mllog.txt")
    assert done.returncode == 6
    assert done.stdout.startswith("STRUCTURE OK, TARGET NOT REACHED: mllog.txt\n")
    assert "aborted, structure ok, target not reached\n" in done.stdout


def test_a_long_check_gives_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = io.StringIO()

    def check_all(*_: object, **__: object) -> tuple[()]:
        while "\n" not in printed.getvalue():
            time.sleep(0.01)
        return ()

    monkeypatch.setattr(check, "_SIGN_EVERY_S", 0.01)
    monkeypatch.setattr(sys, "stderr", printed)
    monkeypatch.setattr(checker, "check_all", check_all)
    saved = flagsaver.save_flag_values()
    check.define_flags()
    assert check.main(flags.FLAGS(["tfperf check", "runs"])[1:]) == 0
    flagsaver.restore_flag_values(saved)
    assert printed.getvalue().startswith("tfperf check: still reading after 0 s\n")


def test_a_remark_on_many_logs_is_told_once(tmp_path: pathlib.Path) -> None:
    for index in range(4):
        log = tmp_path / f"result_{index}.txt"
        _write(log)
        log.write_text("".join(line for line in log.read_text().splitlines(True) if '"seed"' not in line))
    done = _check(tmp_path, ".")
    assert "  remark:" not in done.stdout
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("remark on"))
    assert line == (
        "remark on 4 logs: No seed is logged; the package checker requires one in each run. First in result_0.txt."
    )
