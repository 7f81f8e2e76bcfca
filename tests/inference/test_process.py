import dataclasses
import functools
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tests.inference import null_models
from tfperf import loadgen_log
from tfperf.errors import UsageError
from tfperf.inference import conf, process, supervisor
from tfperf.inference.executable import Bucket
from tfperf.inference.job import Job, LoadgenOutcome, RunProgress, ScenarioName, Settings
from tfperf.system import memory

ROOT = pathlib.Path(__file__).parent.parent.parent
SCENARIOS: tuple[ScenarioName, ...] = ("SingleStream", "MultiStream", "Server", "Offline")
SOON_S = 15.0


def settings(scenario: ScenarioName = "SingleStream", **changes: Any) -> Settings:
    """A short run with samples that take at least 0.1 ms."""
    values: dict[str, Any] = {
        "mode": "performance",
        "min_duration_s": 0.5,
        "min_queries": 700,
        "performance_samples": 16,
        "target_qps": 2000.0 if scenario == "Server" else None,
        "expected_latency_ns": 20_000.0,
        **changes,
    }
    return Settings(loadgen_model="resnet50", scenario=scenario, **values)


def run(
    log_dir: pathlib.Path,
    opened: Callable[[], Any],
    *,
    given: Settings | None = None,
    on_progress: Callable[[RunProgress], None] = lambda progress: None,
    **job: Any,
) -> LoadgenOutcome:
    """Runs a job and looks that its end came soon."""
    start = time.perf_counter()
    outcome = process.run(
        Job(settings=given or settings(), open=opened, log_dir=log_dir, **job), on_progress=on_progress
    )
    assert time.perf_counter() - start < SOON_S
    return outcome


def null(**executable: Any) -> Callable[[], Any]:
    return functools.partial(null_models.served, **{"sleep_s": 1e-4, **executable})


def broken(fault: Callable[[np.ndarray], np.ndarray], scenario: ScenarioName = "SingleStream") -> Callable[[], Any]:
    """Breaks in the 1000th query; where it depends on the time how many executions there are, earlier."""
    after = 1000 if scenario == "SingleStream" else 100
    return null(breaks=fault, after=after, sleep_s=0.0 if scenario == "SingleStream" else 1e-4)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_run_ends_valid(scenario: ScenarioName, tmp_path: pathlib.Path) -> None:
    seen: list[RunProgress] = []
    # A busy machine answers late, and disturbs what Offline expects: its 88 batches take long enough in any case.
    given = settings(scenario, latency_bound_ns=10**9 if scenario == "Server" else None)
    opened = null(sleep_s=6e-3 if scenario == "Offline" else 1e-4)
    outcome = run(tmp_path / "run", opened, given=given, on_progress=seen.append)
    assert (outcome.status, outcome.failure, outcome.retraces) == ("ended", "", 0)
    assert outcome.notes == ()
    log = loadgen_log.read(outcome.log_dir)
    assert (log.values["result_validity"], log.errors, log.ended) == ("VALID", (), True)
    assert sorted(outcome.execution_ns) == list(map(Bucket, (1, 2, 4, 8)))
    assert outcome.length_shares == {None: 1.0}
    assert outcome.processor == ("cpu", "a machine for nothing")
    assert outcome.measured_s >= 0.45
    samples = outcome.recording.counter("samples")
    assert {progress.phase for progress in seen} >= {"measuring"}
    assert seen[-1].samples == samples >= 700
    assert 0 < seen[-1].elapsed_s < SOON_S
    assert (seen[-1].p99_ns is None) == (scenario == "Offline")
    if sys.platform == "linux":
        assert outcome.memory_start_bytes and outcome.memory_end_bytes


def test_a_run_with_more_queries_than_rows_is_archived(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_ROWS", 1024)
    outcome = run(tmp_path / "run", null(sleep_s=3e-4), given=settings(min_duration_s=1.0, min_queries=1500))
    assert outcome.status == "ended"
    archive, queries = outcome.archive, outcome.recording.counter("completed")
    assert archive is not None and queries >= 1500
    assert archive.queries.seen == archive.executions.seen == queries
    assert archive.executed == {(1, 0): queries - archive.executions.lost}
    assert len(archive.query("latency_ns")) == queries - archive.queries.lost
    assert outcome.measured_s >= 0.95
    if not archive.lost:  # on a machine that can read them in time
        latencies = archive.query("latency_ns")
        values = loadgen_log.read(outcome.log_dir).values
        assert archive.slowest_ns[-1] == latencies.max()
        assert np.median(latencies) == pytest.approx(values["result_50.00_percentile_latency_ns"], rel=0.3)


def test_the_latency_bound_is_that_of_mlperf_conf(tmp_path: pathlib.Path) -> None:
    outcome = run(tmp_path / "run", null(), given=settings("Server"))
    assert (outcome.status, outcome.settings.latency_bound_ns) == ("ended", 15_000_000)


def test_offline_with_a_model_that_takes_no_time_takes_about_min_duration_s(tmp_path: pathlib.Path) -> None:
    given = settings("Offline", min_duration_s=1.0)
    outcome = run(tmp_path / "run", null(sleep_s=0.0), given=given)
    assert outcome.status == "ended"
    assert outcome.measured_s < 10.0  # by the model's time alone, 2 s took 38


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_in_accuracy_mode_every_sample_is_answered_with_its_response(
    scenario: ScenarioName, tmp_path: pathlib.Path
) -> None:
    outcome = run(tmp_path / "run", null(), given=settings(scenario, mode="accuracy"))
    assert (outcome.status, outcome.failure) == ("ended", "")
    rows = json.loads((outcome.log_dir / loadgen_log.ACCURACY).read_text())
    answers = {row["qsl_idx"]: np.frombuffer(bytes.fromhex(row["data"]), np.float32).tolist() for row in rows}
    assert answers == {index: [index] for index in range(null_models.TOTAL)}


def test_the_warm_up_says_what_loadgen_has_to_expect(tmp_path: pathlib.Path) -> None:
    given = settings(min_duration_s=0.1, expected_latency_ns=None)
    outcome = run(tmp_path / "run", null(sleep_s=1e-3), given=given)
    assert outcome.status == "ended"
    assert outcome.settings.expected_latency_ns == pytest.approx(min(outcome.execution_ns.values()) / 10, rel=1e-6)
    assert outcome.settings.expected_latency_ns > 0.1e6


@pytest.mark.parametrize(
    ("fault", "scenario", "words"),
    [
        *((null_models.raises, scenario, "RuntimeError: the model broke") for scenario in SCENARIOS),
        (null_models.not_finite, "SingleStream", "ValueError: the model's output is not finite"),
        (null_models.not_finite, "Server", "ValueError: the model's output is not finite"),
        (null_models.loses_rows, "SingleStream", "ValueError: The model must give "),
        (null_models.loses_rows, "Offline", "ValueError: The model must give "),
    ],
)
def test_an_exception_is_a_failure_with_its_traceback(
    fault: Callable[[np.ndarray], np.ndarray], scenario: ScenarioName, words: str, tmp_path: pathlib.Path
) -> None:
    outcome = run(tmp_path / "run", broken(fault, scenario), given=settings(scenario, min_queries=300))
    assert outcome.status == "failed"
    assert "Traceback (most recent call last)" in outcome.failure
    assert words in outcome.failure.splitlines()[-1]
    assert outcome.recording.counter("failed") == 1
    assert outcome.recording.counter("samples") >= 99
    assert (outcome.log_dir / loadgen_log.DETAIL).stat().st_size


def test_a_long_run_that_failed_ends_soon_and_is_not_stuck(tmp_path: pathlib.Path) -> None:
    given = settings(min_duration_s=60.0, expected_latency_ns=1e6)
    outcome = run(tmp_path / "run", broken(null_models.raises), given=given, stuck_after_s=1.0)
    assert outcome.status == "failed"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_query_that_is_never_answered_ends_the_run_as_stuck(scenario: ScenarioName, tmp_path: pathlib.Path) -> None:
    outcome = run(tmp_path / "run", broken(null_models.blocks, scenario), given=settings(scenario), stuck_after_s=0.6)
    assert outcome.status == "stuck"
    assert "queries were not answered, and nothing happened for 0.6 s" in outcome.failure
    assert "in blocks" in outcome.failure  # where it stood
    assert outcome.recording.counter("completed") < outcome.recording.counter("issued")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize(
    ("fault", "status"), [(null_models.computes_for_long_once, "ended"), (null_models.blocks, "stuck")]
)
def test_a_query_that_computes_much_longer_than_the_warm_up_is_not_stuck(
    fault: Callable[[np.ndarray], np.ndarray], status: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_LEAST_STUCK_S", 1.5)
    assert run(tmp_path / "run", broken(fault)).status == status


def test_opening_that_never_ends_is_stuck(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_STANDSTILL_S", 3.0)
    monkeypatch.setattr(supervisor, "_LEAST_STUCK_S", 0.5)  # is over long before; no query waits
    outcome = run(tmp_path / "run", null_models.never_opens)
    assert outcome.status == "stuck"
    assert outcome.failure.startswith("nothing happened for 3 s while opening. Its stack at that time:")
    assert "in never_opens" in outcome.failure


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param(
            null_models.is_killed,
            "the serving process was killed by SIGKILL. The system does this when memory runs out; see",
            id="SIGKILL",
        ),
        pytest.param(null_models.crashes, "the serving process was killed by SIGSEGV.", id="SIGSEGV"),
    ],
)
def test_a_child_that_dies_of_a_signal_is_named_with_it(
    fault: Callable[[np.ndarray], np.ndarray], words: str, tmp_path: pathlib.Path
) -> None:
    outcome = run(tmp_path / "run", broken(fault))
    assert outcome.status == "killed"
    assert outcome.failure.startswith(words)
    assert ("in crashes" in outcome.failure) == (fault is null_models.crashes)
    assert outcome.recording.counter("completed") > 100


def test_a_child_that_dies_is_named_soon_though_one_that_it_forked_lives_on(tmp_path: pathlib.Path) -> None:
    outcome = run(tmp_path / "run", broken(null_models.forks_and_is_killed), stuck_after_s=60.0)
    assert outcome.status == "killed"
    assert outcome.failure.startswith("the serving process was killed by SIGKILL.")


def test_a_server_run_ends_when_too_many_queries_are_late(tmp_path: pathlib.Path) -> None:
    given = settings("Server", min_duration_s=60.0, target_qps=1000.0, latency_bound_ns=5_000_000)
    outcome = run(tmp_path / "run", null(sleep_s=0.02), given=given, most_late=200)
    assert outcome.status == "abandoned"
    assert "queries exceeded the latency bound; at most 200 may" in outcome.failure
    assert outcome.measured_s < 30


def test_memory_beyond_the_limit_ends_the_run(tmp_path: pathlib.Path) -> None:
    given = settings(min_duration_s=60.0)
    outcome = run(tmp_path / "run", broken(null_models.leaks), given=given, memory_limit_bytes=2**28)
    assert outcome.status == "leaked"
    assert "more than the limit of 268 MB" in outcome.failure


def test_memory_that_grows_during_the_measurement_is_a_leak(tmp_path: pathlib.Path) -> None:
    given = settings(min_duration_s=1.5, min_queries=1700)  # of which 700 take 2 ms or more, and 1 MiB each
    outcome = run(tmp_path / "run", broken(null_models.leaks), given=given)
    assert outcome.status == "leaked"
    assert "the serving process grew from" in outcome.failure
    assert loadgen_log.read(outcome.log_dir).ended


def test_an_accuracy_run_may_grow_since_it_reads_the_samples_meanwhile(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_GROWTH_BYTES", -(2.0**40))
    monkeypatch.setattr(supervisor, "_GROWTH_SHARE", -(2.0**40))
    assert run(tmp_path / "performance", null()).status == "leaked"
    assert run(tmp_path / "accuracy", null(), given=settings(mode="accuracy")).status == "ended"


@pytest.mark.parametrize(
    ("opened", "words"),
    [
        pytest.param(null_models.cannot_open, "RuntimeError: the weights are gone", id="open"),
        pytest.param(null_models.served_without_samples, "OSError: sample 3 is not on this disk", id="load"),
    ],
)
def test_what_fails_before_the_measurement_is_a_failure(
    opened: Callable[[], Any], words: str, tmp_path: pathlib.Path
) -> None:
    outcome = run(tmp_path / "run", opened)
    assert outcome.status == "failed"
    assert words == outcome.failure.splitlines()[-1]


def test_more_samples_than_there_are_is_an_error_without_a_traceback(tmp_path: pathlib.Path) -> None:
    outcome = run(tmp_path / "run", null(), given=settings(performance_samples=41))
    assert outcome.status == "failed"
    assert outcome.failure == "performance_samples must be at most the 40 samples of the data set, got 41."


def test_settings_that_loadgen_did_not_keep_are_reported(tmp_path: pathlib.Path) -> None:
    given = settings()
    outcome = run(tmp_path / "run", null(), given=given)
    assert conf.differences(given, outcome.log_dir, total=null_models.TOTAL) == ()
    other = dataclasses.replace(given, min_duration_s=60.0, expected_latency_ns=1e6)
    assert conf.differences(other, outcome.log_dir, total=50_000) == (
        "LoadGen's effective_min_duration_ms is 500, expected 60000",
        "LoadGen's effective_accuracy_sample_count is 40, expected 50000",
        "LoadGen's qsl_reported_total_count is 40, expected 50000",
        "LoadGen's requested_min_duration_ms is 500, expected 60000",
        "LoadGen's requested_single_stream_expected_latency_ns is 20000, expected 1000000",
    )


@pytest.mark.parametrize("scenario", ["SingleStream", "MultiStream"])
def test_an_expected_latency_that_loadgen_writes_with_six_digits_counts_as_equal(
    scenario: ScenarioName, tmp_path: pathlib.Path
) -> None:
    given = settings(scenario, min_duration_s=0.05, expected_latency_ns=53_920_467.3)
    outcome = run(tmp_path / "run", null(), given=given)
    assert (outcome.status, outcome.failure) == ("ended", "")


def test_tracing_during_the_measurement_is_counted(tmp_path: pathlib.Path) -> None:
    outcome = run(tmp_path / "run", null(form="retracing", after=100))
    assert (outcome.status, outcome.retraces) == ("ended", 1)


def test_the_child_gets_its_environment_and_nothing_heavy_and_writes_to_its_own_log(tmp_path: pathlib.Path) -> None:
    note = tmp_path / "note"
    opened = functools.partial(null_models.served_with_note, note)
    outcome = run(tmp_path / "run", opened, environment={"TFPERF_NOTE": "by the job"})
    assert outcome.status == "ended"
    assert note.read_text().endswith(" by the job []")
    assert (tmp_path / "run" / process.CHILD_LOG).read_text() == "opened\n"


def test_an_audit_config_is_that_of_the_job_and_not_of_the_working_directory(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pathlib.Path("audit.config").write_text("*.*.performance_issue_same = 1\n")
    without = run(tmp_path / "without", null())
    assert loadgen_log.read(without.log_dir).values["effective_performance_issue_same"] is False
    pathlib.Path("audit.config").unlink()
    audit = "*.*.performance_issue_same = 1\n*.*.performance_issue_same_index = 3\n"
    audited = run(pathlib.Path("audited"), null(), given=settings(audit_config=audit))
    assert audited.status == "ended"
    assert loadgen_log.read(audited.log_dir).values["effective_performance_issue_same_index"] == 3


@pytest.mark.parametrize(("reading_s", "taken_s"), [(0.5, 0.5), (-0.02, 0.0)])
def test_processor_time_of_others_is_read_at_the_start_and_after_the_end(
    reading_s: float, taken_s: float, tmp_path: pathlib.Path
) -> None:
    readings: list[tuple[float, Sequence[int]]] = []

    def other_cpu_s(pids: Sequence[int]) -> float:
        readings.append((time.perf_counter(), pids))
        return 10.0 + len(readings) * reading_s

    job = Job(settings=settings(min_duration_s=1.0), open=null(), log_dir=tmp_path / "run")
    outcome = process.run(job, other_cpu_s=other_cpu_s)
    (began, pids), (ended, others) = readings
    assert outcome.other_cpu_s == pytest.approx(taken_s * outcome.measured_s / (ended - began), rel=0.01)
    assert pids == others and pids[0] == os.getpid() and len(set(pids)) == 2


def test_one_reading_of_processor_time_tells_nothing(tmp_path: pathlib.Path) -> None:
    readings = itertools.chain([10.0], itertools.repeat(None))
    job = Job(settings=settings(min_duration_s=1.0), open=null(), log_dir=tmp_path / "run")
    assert process.run(job, other_cpu_s=lambda pids: next(readings)).other_cpu_s is None


def test_an_exception_while_progress_is_shown_ends_the_child(tmp_path: pathlib.Path) -> None:
    note = tmp_path / "note"

    def on_progress(progress: RunProgress) -> None:
        if progress.phase == "measuring":
            raise ZeroDivisionError("a bug in the display")

    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "run", functools.partial(null_models.served_with_note, note), on_progress=on_progress)
    assert gone(int(note.read_text().split()[0]))


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        pytest.param(memory, "available_bytes", 2, id="before the first progress"),
        pytest.param(conf, "differences", 1, id="after the last"),
    ],
)
def test_ctrl_c_at_any_time_is_an_outcome(
    owner: Any, name: str, call: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the signal came within that call."""
    function, calls = getattr(owner, name), itertools.count(1)

    def interrupted(*arguments: Any, **named: Any) -> Any:
        if next(calls) == call:
            raise KeyboardInterrupt
        return function(*arguments, **named)

    monkeypatch.setattr(owner, name, interrupted)
    outcome = run(tmp_path / "run", null())
    assert (outcome.status, outcome.failure) == ("interrupted", "interrupted")


@pytest.mark.usefixtures("interruptible")
def test_interrupting_the_parent_ends_the_run_at_once(tmp_path: pathlib.Path) -> None:
    parent = started_parent(tmp_path)
    sent = time.perf_counter()
    parent.send_signal(signal.SIGINT)
    output, _ = parent.communicate(timeout=SOON_S)
    assert time.perf_counter() - sent < 10  # takes 0.3 s on an idle machine; LoadGen alone would go on for a minute
    status, failure, completed = json.loads(output)
    assert (status, failure) == ("interrupted", "interrupted")
    assert completed > 0
    assert gone(child_of(tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="a process outlives its parent elsewhere")
def test_a_killed_parent_takes_the_child_with_it(tmp_path: pathlib.Path) -> None:
    parent = started_parent(tmp_path)
    parent.kill()
    parent.communicate(timeout=SOON_S)
    deadline = time.perf_counter() + SOON_S
    while not gone(child_of(tmp_path)):
        assert time.perf_counter() < deadline


def test_a_job_that_can_not_be_sent_says_what_to_do(tmp_path: pathlib.Path) -> None:
    job = Job(settings=settings(), open=lambda: null_models.served(), log_dir=tmp_path / "run")
    with pytest.raises(TypeError, match="must be a function of a module, or a partial of one; not a lambda"):
        process.run(job)


def test_a_function_of_main_says_what_to_do(tmp_path: pathlib.Path) -> None:
    program = _PARENT.replace("opened = ", "def here(path): pass\nopened = ").replace(
        "null_models.served_with_note", "here"
    )
    output = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    status, failure, _ = json.loads(output.splitlines()[-1])
    assert status == "failed"
    assert "must be a function of a module that can be imported, or a partial of one; not of __main__." in failure


def test_a_server_rate_beyond_memory_is_refused_before_anything_starts(tmp_path: pathlib.Path) -> None:
    job = Job(settings=settings("Server", target_qps=1e12), open=null(), log_dir=tmp_path / "run")
    with pytest.raises(UsageError, match="The rate needs too much memory"):
        process.run(job)
    assert not (tmp_path / "run").exists()


# Runs a job of a minute and prints its outcome; `started_parent` waits until it measures.
_PARENT = """
import functools, json, pathlib, sys
from tests.inference import null_models
from tfperf.inference import process
from tfperf.inference.job import Job, Settings
folder = pathlib.Path(sys.argv[1])
settings = Settings(
    loadgen_model="resnet50", scenario="SingleStream", mode="performance", min_duration_s=60, performance_samples=16,
    min_queries=1, expected_latency_ns=1_000_000,
)
opened = functools.partial(null_models.served_with_note, folder / "note")
job = Job(settings=settings, open=opened, log_dir=folder / "run")
def on_progress(progress):
    if progress.samples:
        (folder / "measuring").touch()
outcome = process.run(job, on_progress=on_progress)
print(json.dumps([outcome.status, outcome.failure, outcome.recording.counter("completed")]))
"""


def started_parent(folder: pathlib.Path) -> subprocess.Popen[str]:
    """A process that runs a long job, once the job measures."""
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    deadline = time.perf_counter() + SOON_S
    while not (folder / "measuring").exists():
        assert time.perf_counter() < deadline and parent.poll() is None
    return parent


def child_of(folder: pathlib.Path) -> int:
    return int((folder / "note").read_text().split()[0])


def gone(pid: int) -> bool:
    """Whether a process has ended, waited for or not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True
