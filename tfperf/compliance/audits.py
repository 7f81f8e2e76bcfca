"""The compliance tests of MLPerf Inference's closed division: TEST01 and TEST04.

Each is one more performance run under an `audit.config` that LoadGen reads. TEST01 logs some of the responses, which
must agree with the accuracy run: a system may not answer differently when time counts. TEST04 repeats one sample, which
must not be faster than all samples: a system may not remember answers. What is compared, the tolerances and the files
follow `compliance/TEST01/run_verification.py` and `compliance/TEST04/run_verification.py` in mlcommons/inference.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from tfperf import loadgen_log
from tfperf.benchmarks.benchmark import InferenceTask, OpenSamples
from tfperf.compliance import audit_baseline
from tfperf.compliance.audit_baseline import BaselineComparison, Responses
from tfperf.errors import TfperfError

NAMES = ("TEST01", "TEST04")
ACCURACY_FILE = "verify_accuracy.txt"
PERFORMANCE_FILE = "verify_performance.txt"
PASS = "TEST PASS"
FAIL = "TEST FAIL"

# compliance/TEST01/*/audit.config
_TEST01 = """\
*.*.mode = 2
*.*.accuracy_log_rng_seed = 720381539243781796
*.*.accuracy_log_sampling_target = {responses}
"""
# compliance/TEST04/audit.config
_TEST04 = """\
*.{scenario}.mode = 2
*.{scenario}.performance_issue_unique = 0
*.{scenario}.performance_issue_same = 1
*.{scenario}.performance_issue_same_index = 3
"""
_SCENARIOS = ("MultiStream", "Offline", "SingleStream", "Server")

_TOLERANCE = 0.10
_TOLERANCE_OF_SHORT = 0.20  # the operating system shows in short latencies
_SHORT = {"SingleStream": 200_000, "MultiStream": 1_600_000}
_NS_PER_S = 1e9

Score = Callable[[Responses], float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditVerdict:
    """The verdict of a compliance test.

    Attributes:
        name: the test.
        performance: the text of `verify_performance.txt`.
        accuracy: the text of `verify_accuracy.txt`; None if the test compares no responses.
        baseline: the comparison by accuracy; None if the bits agree or nothing could be compared.
    """

    name: str
    performance: str
    accuracy: str | None = None
    baseline: BaselineComparison | None = None

    @property
    def passed(self) -> bool:
        """Whether every part passed."""
        return not self.failures

    @property
    def failures(self) -> tuple[str, ...]:
        """The lines about failures."""
        accuracy = () if self.accuracy is None or self._agrees else (self.accuracy, self._baseline_line)
        texts = "\n".join((*accuracy, self.performance))
        return tuple(line for line in texts.splitlines() if line.startswith(FAIL))

    @property
    def lines(self) -> tuple[str, ...]:
        """The comparisons and their results."""
        texts = f"{self.accuracy or ''}\n{self._baseline_line}\n{self.performance}"
        return tuple(line for line in texts.splitlines() if line)

    @property
    def summary(self) -> str:
        """One line: whether the test passed, the way in which the responses agree, and what was compared."""
        way = " by accuracy, not bit for bit" if self.baseline is not None and self.baseline.passed else ""
        return f"{'passed' if self.passed else 'FAILED'}{way}: {'; '.join(self.lines)}"

    @property
    def _agrees(self) -> bool:
        by_bits = self.accuracy is not None and PASS in self.accuracy.splitlines()
        return by_bits or (self.baseline is not None and self.baseline.passed)

    @property
    def _baseline_line(self) -> str:
        if self.baseline is None:
            return ""
        return f"{PASS if self.baseline.passed else FAIL}: {self.baseline}"


def audit_config(name: str, task: InferenceTask) -> str:
    """The content of the test's `audit.config` for a benchmark.

    Raises:
        TfperfError: the benchmark does not have this test.
    """
    if name not in task.audits:
        accepted = ", ".join(task.audits) or "none"
        raise TfperfError(f"{name} is not a compliance test of {task.submission_benchmark}. Accepted: {accepted}.")
    if name == "TEST01":
        return _TEST01.format(responses=task.audited_responses)
    return "".join(_TEST04.format(scenario=scenario) for scenario in _SCENARIOS)


def verify(name: str, run_dir: pathlib.Path, *, task: InferenceTask, samples: OpenSamples) -> AuditVerdict:
    """Compares a test with the runs that it confirms, and writes the evidence.

    Args:
        name: the test.
        run_dir: holds LoadGen's logs in `performance/`, `accuracy/` and `<name>/performance/`. Gets
            `<name>/verify_*.txt` and, where responses differ in bits, the files of the comparison by accuracy in
            `<name>/accuracy/`.
        task: how the benchmark is scored.
        samples: the evaluation set.

    Raises:
        TfperfError: the test is not one of `NAMES`.
    """
    verdict = _compare(
        name,
        run_dir,
        score=lambda responses: task.scoring.score(responses, samples),
        tolerance=audit_baseline.tolerance(task),
    )
    if verdict.accuracy is not None:
        (run_dir / name / ACCURACY_FILE).write_text(verdict.accuracy, encoding="utf-8")
    if verdict.baseline is not None and not verdict.baseline.problem:
        audit_baseline.write(run_dir / name, run_dir / "accuracy", task=task, samples=samples)
    (run_dir / name / PERFORMANCE_FILE).write_text(verdict.performance, encoding="utf-8")
    return verdict


def recheck(name: str, run_dir: pathlib.Path, *, task: InferenceTask) -> AuditVerdict:
    """The verdict that the files of a run directory support, without the data set and without writing anything.

    Where only the data set has the right answers, a comparison by accuracy that the run made can't be repeated. The
    verdict then leaves the responses out.
    """
    recompute = task.scoring.recompute
    verdict = _compare(
        name,
        run_dir,
        score=None if recompute is None else lambda responses: recompute(run_dir / "accuracy", responses),
        tolerance=audit_baseline.tolerance(task),
    )
    compared = all((run_dir / name / "accuracy" / file).is_file() for file in audit_baseline.FILES)
    return dataclasses.replace(verdict, accuracy=None) if recompute is None and compared else verdict


def files(verdict: AuditVerdict) -> tuple[str, ...]:
    """The files that a submission holds as evidence of a verdict, beside LoadGen's logs."""
    accuracy = (ACCURACY_FILE,) if verdict.name == "TEST01" else ()
    by_accuracy = verdict.baseline is not None and verdict.baseline.passed
    baseline = tuple(f"accuracy/{name}" for name in audit_baseline.FILES) if by_accuracy else ()
    return (*accuracy, PERFORMANCE_FILE, *baseline)


def _compare(name: str, run_dir: pathlib.Path, *, score: Score | None, tolerance: float) -> AuditVerdict:
    if name not in NAMES:
        raise TfperfError(f"{name} can't be verified. Accepted: {', '.join(NAMES)}.")
    performance_dir, test_dir = run_dir / "performance", run_dir / name / "performance"
    if name == "TEST04":
        return AuditVerdict(name=name, performance=_compared_speed(performance_dir, test_dir, _not_faster))
    accuracy, baseline = _compared_responses(run_dir / "accuracy", test_dir, score=score, tolerance=tolerance)
    performance = _compared_speed(performance_dir, test_dir, _as_fast)
    return AuditVerdict(name=name, accuracy=accuracy, baseline=baseline, performance=performance)


def _compared_responses(
    accuracy_dir: pathlib.Path, test_dir: pathlib.Path, *, score: Score | None, tolerance: float
) -> tuple[str, BaselineComparison | None]:
    """The text of `verify_accuracy.txt`, and the comparison by accuracy where the bits differ."""
    lines = ["Verifying accuracy. This might take a while..."]
    try:
        logged, sampled = _responses(accuracy_dir), _responses(test_dir)
    except TfperfError as error:
        return _text(*lines, f"{FAIL}: {error}"), None
    lines += ["Reading accuracy mode results...", "Reading performance mode results..."]
    counts = _counts(logged, sampled)
    known, different = counts["num_perf_log_qsl_idx_match"], counts["num_perf_log_data_mismatch"]
    count_lines = [f"{name} = {count}" for name, count in counts.items()]
    text = _text(*lines, *count_lines, PASS if known and not different else FAIL, "")
    if score is None or not different:
        return text, None
    try:
        answered, tested = loadgen_log.first_answers(logged), loadgen_log.first_answers(sampled)
    except ValueError as error:
        return _text(*lines, f"{FAIL}: {error}"), None
    return text, audit_baseline.compare(answered, tested, score=score, tolerance=tolerance)


def _counts(logged: Sequence[tuple[int, str]], sampled: Sequence[tuple[int, str]]) -> dict[str, int]:
    """Compares every bit of the responses; the official script only compares their first number."""
    expected: dict[int, str] = {}
    for number, data in logged:
        expected.setdefault(number, data)
    known = [(number, data) for number, data in sampled if number in expected]
    return {
        "num_acc_log_entries": len(logged),
        "num_acc_log_duplicate_keys": len(logged) - len(expected),
        "num_acc_log_data_mismatch": sum(expected[number] != data for number, data in logged),
        "num_perf_log_entries": len(sampled),
        "num_perf_log_qsl_idx_match": len(known),
        "num_perf_log_data_mismatch": sum(expected[number] != data for number, data in known),
        "num_missing_qsl_idxs": len(sampled) - len(known),
    }


def _responses(log_dir: pathlib.Path) -> tuple[tuple[int, str], ...]:
    try:
        return loadgen_log.responses(log_dir)
    except (OSError, ValueError) as error:
        raise TfperfError(str(error)) from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Scored:
    """A performance run; `score` is nanoseconds in SingleStream and MultiStream, otherwise samples a second."""

    scenario: str
    score: float
    latency_bound_ns: Any

    @property
    def rate(self) -> float:
        """A number that is higher when the run is faster, in every scenario."""
        return _NS_PER_S / self.score if self.scenario in _SHORT and self.score else self.score


def _compared_speed(
    performance_dir: pathlib.Path, test_dir: pathlib.Path, judge: Callable[[_Scored, _Scored, float], Sequence[str]]
) -> str:
    """The text of `verify_performance.txt`; `judge` gets both runs and the tolerance."""
    head = "Verifying performance."
    try:
        reference, test = _scored(performance_dir), _scored(test_dir)
        _require_same_load(reference, test)
    except TfperfError as error:
        return _text(head, f"{FAIL}: {error}")
    short = reference.score <= _SHORT.get(reference.scenario, 0)
    return _text(head, *judge(reference, test, _TOLERANCE_OF_SHORT if short else _TOLERANCE))


def _as_fast(reference: _Scored, test: _Scored, tolerance: float) -> Sequence[str]:
    close = reference.score * (1 - tolerance) <= test.score <= reference.score * (1 + tolerance)
    return f"Reference score = {reference.score}", f"Test score = {test.score}", _passed(close)


def _not_faster(reference: _Scored, test: _Scored, tolerance: float) -> Sequence[str]:
    # The official script compares its limit for short latencies, in ns, with a rate, and so allows 20 % for all
    # latencies. The test's README says 10 %, which tfperf applies.
    slower = test.rate < reference.rate * (1 + tolerance)
    return f"reference score = {reference.rate}", f"test score = {test.rate}", _passed(slower)


def _passed(passed: bool) -> str:
    return PASS if passed else f"{FAIL}: Test score invalid"


def _scored(log_dir: pathlib.Path) -> _Scored:
    path = log_dir / loadgen_log.DETAIL
    try:
        log = loadgen_log.read(log_dir)
    except OSError as error:
        raise TfperfError(f"{path} can't be read: {error}") from error
    metric = loadgen_log.metric(log)
    if metric is None or log.values.get("result_validity") != "VALID":
        raise TfperfError(f"Invalid results in {path}")
    bound = log.values.get("effective_target_latency_ns")
    return _Scored(scenario=str(log.values["effective_scenario"]), score=metric.value, latency_bound_ns=bound)


def _require_same_load(reference: _Scored, test: _Scored) -> None:
    if reference.scenario != test.scenario:
        raise TfperfError("Test and reference scenarios do not match!")
    if reference.scenario == "Server" and reference.latency_bound_ns != test.latency_bound_ns:
        raise TfperfError("Server target latency mismatch")


def _text(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)
