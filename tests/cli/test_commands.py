"""The command line as a user meets it: exit codes, messages, what is on stdout, and what a killed run leaves."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tfperf.cli import main
from tfperf.compliance import checker

TINY = (
    "--config=resnet50-mini",
    "--set=global_batch_size=16",
    "--set=data.source.shapes={train_examples: 64, eval_examples: 40}",
    "--set=model={image_size: 32, blocks: [1], width: 4}",
    "--set=division=internal",
    "--set=quality_target=0.0",
)
ENDLESS = ("--set=quality_target=1.01", "--set=max_epochs=100000")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Drawn once for all runs of this module."""
    directory = tmp_path_factory.mktemp("data")
    done = tfperf("prepare", "shapes", f"--data_dir={directory}", "--train_examples=64", "--eval_examples=40")
    assert done.returncode == 0, done.stderr
    return directory


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tfperf", *arguments]


def tfperf(*arguments: str, cwd: pathlib.Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command(*arguments), capture_output=True, text=True, env=environment, cwd=cwd)


def train(output_dir: pathlib.Path, data_dir: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return tfperf("train", *TINY, f"--data_dir={data_dir}", f"--output_dir={output_dir}", *arguments)


def test_json_is_the_result_and_the_run_dir_and_nothing_else(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    done = train(tmp_path, data_dir, "--format=json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    run_dir = pathlib.Path(printed.pop("run_dir"))
    assert printed == json.loads((run_dir / "result.json").read_text(encoding="utf-8"))
    promised = {"schema", "kind", "benchmark", "division", "valid", "reasons", "status", "config", "environment"}
    promised |= {"measurements", "time_to_train_s", "quality", "epochs", "examples_per_s"}
    assert promised <= set(printed)


def test_a_missed_target_is_exit_code_4_and_an_aborted_log(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    done = train(tmp_path, data_dir, "--set=quality_target=1.01", "--set=max_epochs=1")
    assert done.returncode == 4
    assert done.stdout.startswith("INVALID internal run of resnet50_mini, target missed")
    (run_dir,) = tmp_path.iterdir()
    assert checker.check(run_dir)[0].status == "aborted"


@pytest.mark.slow
def test_runs_are_scored_together(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    options = ("--runs=3", "--profile", "--set=division=open", "--set=seed=5", "--format=json")
    done = train(tmp_path, data_dir, *options)
    assert done.returncode == 0, done.stderr
    series = json.loads(done.stdout)
    assert [run["config"]["seed"] for run in series["runs"]] == [5, 6, 7]
    assert all(list(pathlib.Path(run["run_dir"]).glob("plugins/profile/*/*.xplane.pb")) for run in series["runs"])
    (score,) = (verdict for verdict in series["verdicts"] if verdict["kind"] == "train_result")
    assert score["minutes"] == pytest.approx(sorted(run["run_s"] / 60 for run in series["runs"])[1], abs=1e-3)
    results = pathlib.Path(series["run_dir"]) / "results"
    assert sorted(path.name for path in results.rglob("result_*.txt")) == [f"result_{i}.txt" for i in range(3)]


# A log grows by these; a run is killed as soon as it holds the text.
@pytest.mark.parametrize(
    "mark",
    [
        "run_start",
        "eval_accuracy",
        *(pytest.param(mark, marks=pytest.mark.slow) for mark in ("init_start", "global_batch_size", "epoch_stop")),
    ],
)
def test_a_killed_run_reads_as_incomplete(mark: str, tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    with _running(tmp_path, data_dir, until=mark) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (run_dir,) = tmp_path.iterdir()
    verdicts = checker.check(run_dir)
    assert [verdict.status for verdict in verdicts] == ["incomplete"]
    assert not verdicts[0].good
    assert not (run_dir / "result.json").exists()


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("by", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_run_ends_aborted_with_exit_code_130(
    by: signal.Signals, tmp_path: pathlib.Path, data_dir: pathlib.Path
) -> None:
    with _running(tmp_path, data_dir, until="eval_accuracy") as process:
        process.send_signal(by)
        assert process.wait(timeout=60) == 130
    (run_dir,) = tmp_path.iterdir()
    assert checker.check(run_dir)[0].status == "aborted"
    outcome = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))
    assert (outcome["valid"], outcome["reasons"]) == (False, ["interrupted"])


class _running:
    """An endless run whose log holds `until`; killed on the way out."""

    def __init__(self, output_dir: pathlib.Path, data_dir: pathlib.Path, *, until: str) -> None:
        self._output_dir = output_dir
        self._until = f'"key": "{until}"'
        self._command = command("train", *TINY, *ENDLESS, f"--data_dir={data_dir}", f"--output_dir={output_dir}")

    def __enter__(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(
            self._command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not any(self._until in log.read_text(encoding="utf-8") for log in self._logs()):
            assert self._process.poll() is None, "the run ended before it was to be killed"
            time.sleep(0.01)
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def _logs(self) -> Iterator[pathlib.Path]:
        return self._output_dir.glob("*/mllog.txt")


@pytest.mark.parametrize("dry", [("--dry_run",), ()], ids=["dry run", "run"])
def test_a_malformed_cluster_is_exit_code_2_and_a_message(
    dry: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    text = '{"cluster": {"worker": "127.0.0.1:23451"}, "task": {"type": "worker", "index": 0}}'
    monkeypatch.setenv("TF_CONFIG", text)
    done = train(tmp_path, tmp_path, *dry)
    accepted = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    reason = 'worker must be a list of "host:port", got "127.0.0.1:23451"'
    assert done.stderr == f"tfperf train: TF_CONFIG must look like {accepted}, got {text} ({reason}).\n"
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("trian",), "tfperf: unknown verb 'trian'. Did you mean train? Accepted: train, infer,"),
        (
            ("fly",),
            "tfperf: unknown verb 'fly'. Accepted: train, infer, evaluate, sweep, check, compare, history, ",
        ),
        (("train",), "tfperf train: --config is missing. Accepted: bert-mini, bert-mini-squad, bert-squad, "),
        (("infer",), "tfperf infer: --config is missing. Accepted: bert-mini-multistream, bert-mini-offline, "),
        (("sweep",), "tfperf sweep: --config is missing. Accepted: sweep-resnet50-mini-lr, sweep-"),
        (("train", "--config=resnet50-mini", "extra"), "tfperf train: train takes no arguments, got extra."),
        (("train", "--confg=x"), "tfperf train: Unknown command line flag 'confg'. Did you mean: config ?"),
        (("train", "--config=resnet50-mini", "--format=xml"), "value should be one of <text|json>"),
        (("train", "--config=resnet50-mini", "--device=npu"), "--device must be auto, cpu, cpu:N, gpu, gpu:N or tpu"),
        (
            ("train", "--config=resnet50-mini", "--set=division=closed"),
            "is not an MLPerf benchmark and can't run closed",
        ),
        (("train", "--config=nothing"), "tfperf train: Unknown config 'nothing'."),
        (
            ("infer", "--config=resnet50-mini-offline", "--set=executable=litert-int8", "--profile", "--dry_run"),
            "tfperf infer: --profile: executable litert-int8 runs in LiteRT, and TensorBoard has profiles of ",
        ),
        (
            ("sweep", "--config=sweep-resnet50-mini-lr", "--profile"),
            "tfperf sweep: Unknown command line flag 'profile'",
        ),
        (("check",), "tfperf check: check needs a path"),
        (("check", "/nowhere"), "/nowhere"),
        (("compare",), "tfperf compare: compare needs two sides, got nothing. Write tfperf compare BASELINE... -- "),
        (("compare", "/nowhere", "--", "/none"), "tfperf compare: /nowhere is not a run directory."),
        (("list", "all"), "tfperf list: list takes no arguments, got all."),
    ],
)
def test_a_mistake_is_exit_code_2_and_a_message(arguments: tuple[str, ...], message: str) -> None:
    done = tfperf(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config=resnet50-photos",), "data_dir"),
        (("--config=resnet50-photos", "--data_dir=/nowhere"), "/nowhere"),
        (("--config=resnet50-mini", "--device=gpu:9"), "--device gpu:9 needs 9 GPUs, TensorFlow sees "),
        (("--config=resnet50-mini", "--device=tpu"), "--device tpu: no TPU can be reached"),
    ],
)
def test_what_is_not_there_is_exit_code_2_and_leaves_nothing(
    arguments: tuple[str, ...], message: str, tmp_path: pathlib.Path
) -> None:
    done = tfperf("train", f"--output_dir={tmp_path}", *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_dry_run_tells_what_would_run_and_runs_nothing(tmp_path: pathlib.Path) -> None:
    done = tfperf("train", "--config=resnet50-mini", "--dry_run", "--format=json", f"--output_dir={tmp_path}")
    plan = json.loads(done.stdout)
    assert (done.returncode, plan["benchmark"], plan["closed_eligible"]) == (0, "resnet50_mini", False)
    assert plan["config"]["global_batch_size"] == 64
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", main.VERBS)
def test_help_of_a_verb_names_its_flags(verb: str) -> None:
    done = tfperf(verb, "--help")
    assert done.returncode == 0
    assert ("--port" if verb == "serve-metrics" else "--format") in done.stdout


def test_help_names_every_verb_and_list_every_config() -> None:
    helped, listed = tfperf("--help"), tfperf("list", "--format=json")
    assert all(verb in helped.stdout for verb in main.VERBS)
    found = json.loads(listed.stdout)
    assert {entry["name"] for entry in found["benchmarks"]} >= {"resnet50", "resnet50_mini"}
    assert {entry["name"] for entry in found["configs"]} >= {"resnet50-mini", "resnet50-photos"}
