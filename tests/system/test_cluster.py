"""Several workers run one thing, or none."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.system.test_assembly import addresses
from tfperf.compliance import checker
from tfperf.errors import UsageError
from tfperf.system import cluster

TINY = (
    "--config=resnet50-mini",
    "--set=global_batch_size=16",
    "--set=data.source.shapes={train_examples: 64, eval_examples: 40}",
    "--set=model={image_size: 32, blocks: [1], width: 4}",
    "--set=division=internal",
    "--set=quality_target=0.0",
)


def start(*commands: list[str]) -> tuple[tuple[str, ...], list[subprocess.Popen[str]]]:
    """Starts one command as each worker of a cluster on this machine; their addresses, and the processes."""
    hosts = addresses(len(commands))
    started = []
    for index, command in enumerate(commands):
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(config), "PYTHONPATH": os.pathsep.join(sys.path)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=environment, **pipes))
    return hosts, started


def ended(started: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of each worker, once all have ended."""
    outputs = [process.communicate(timeout=240) for process in started]
    return [(process.returncode, *output) for process, output in zip(started, outputs, strict=True)]


def workers(*commands: list[str]) -> list[tuple[int, str, str]]:
    """Runs one command as each worker of a cluster on this machine; exit code, stdout and stderr of each."""
    return ended(start(*commands)[1])


def train(folder: pathlib.Path, *arguments: str) -> list[str]:
    where = [f"--data_dir={folder / 'data'}", f"--output_dir={folder / 'runs'}"]
    return [sys.executable, "-m", "tfperf", "train", *TINY, *where, *arguments]


def test_two_workers_train_together_and_the_first_writes(tmp_path: pathlib.Path) -> None:
    command = train(tmp_path, "--format=json")
    (first, told, errors), (second, silent, others) = ended(start(command, command)[1])
    assert (first, second) == (0, 0), errors[-2000:] + others[-2000:]
    assert silent == ""
    assert json.loads(told)["environment"]["replicas"] == 2
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert checker.check(run_dir)[0].status == "success"
    assert (run_dir / "model.keras").is_file()


def test_workers_that_differ_are_named_before_the_clock_starts(tmp_path: pathlib.Path) -> None:
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
    command = train(tmp_path, "--set=quality_target=1.01", "--set=max_epochs=100000")
    hosts, (first, second) = start(command, command)
    _wait_for("eval_accuracy", tmp_path, first)
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
    command = train(tmp_path, "--set=quality_target=1.01", "--set=max_epochs=100000")
    _, started = start(command, command)
    _wait_for("eval_accuracy", tmp_path, started[0])
    for process in reversed(started):
        process.send_signal(signal.SIGTERM)
    assert [code for code, _, _ in ended(started)] == [130, 130]
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert checker.check(run_dir)[0].status == "aborted"


def _wait_for(key: str, folder: pathlib.Path, process: subprocess.Popen[str]) -> None:
    """Waits until the log of the run holds the key."""
    while not any(f'"key": "{key}"' in log.read_text(encoding="utf-8") for log in folder.glob("runs/*/mllog.txt")):
        assert process.poll() is None, process.communicate()[1][-2000:]
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "TF_CONFIG must be an object, got []"),
        ("[" * 100_000, "maximum recursion depth"),
        ('{"cluster": {"worker": ["a:1"]}}', "'task' is missing"),
        ('{"cluster": ["a:1"], "task": {"type": "worker", "index": 0}}', 'cluster must be an object, got ["a:1"]'),
        ('{"cluster": {"worker": ["a:1"]}, "task": 0}', "task must be an object, got 0"),
        ('{"cluster": {}, "task": {"type": "worker", "index": 0}}', "'worker' is missing"),
        ('{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}', "'worker' is missing"),
        (
            '{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}',
            'worker must be a list of "host:port", got "a:1"',
        ),
        *(
            (
                '{"cluster": {"worker": ["a:1", ' + address + ']}, "task": {"type": "worker", "index": 0}}',
                f'worker must be a list of "host:port", got {address} in it',
            )
            for address in ("2", '"a"', '":1"', '"a:0"', '"a:70000"', '"a:1:2"', '"a b:1"', "null", '"http://a:1"')
        ),
        (
            '{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}',
            "a:1 stands for more than one worker",
        ),
        (
            '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
            "cluster names ps, only workers and a chief take part",
        ),
        (
            '{"cluster": {"chief": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}',
            "chief has 2 addresses, one is accepted",
        ),
        *(
            (
                '{"cluster": {"worker": ["a:1"]}, "task": ' + task + "}",
                f"task {task} is not one of 1 workers",
            )
            for task in (
                '{"type": "ps", "index": 0}',
                '{"type": "chief", "index": 0}',
                '{"type": "worker", "index": 1}',
                '{"type": "worker", "index": -1}',
                '{"type": ["worker"], "index": 0}',
            )
        ),
        *(
            (
                '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": ' + index + "}}",
                f"the task's index must be a number, got {index}",
            )
            for index in ("true", "0.5", '"one"', "null")
        ),
    ],
)
def test_a_cluster_that_can_not_be_read_is_refused(text: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    accepted = r'TF_CONFIG must look like \{"cluster": \{"worker": \["host:port", ...\]\}'
    with pytest.raises(UsageError, match=accepted) as refused:
        cluster.from_environment()
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("task", "index"), [(("chief", 0), 0), (("worker", 0), 1), (("worker", 1), 2)], ids=lambda value: str(value)
)
def test_a_chief_is_worker_0(task: tuple[str, int], index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = {"chief": ["[::1]:1"], "worker": ["10.0.0.2:2222", "c.example:3"]}
    config = {"cluster": hosts, "task": dict(zip(("type", "index"), task, strict=True))}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    found = cluster.from_environment()
    assert found.addresses == ("[::1]:1", "10.0.0.2:2222", "c.example:3")
    assert (found.workers, found.index, found.is_chief) == (3, index, index == 0)
    assert found.name(1) == "worker 1 (10.0.0.2:2222)"


def test_without_tf_config_there_is_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert cluster.from_environment() == cluster.Cluster()
    assert (cluster.from_environment().workers, cluster.from_environment().is_chief) == (1, True)
