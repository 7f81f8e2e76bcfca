"""Scores as MLPerf computes them, and whether training converged no faster than the reference."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tfperf.compliance import official, official_benchmarks
from tfperf.compliance.log import Log


@dataclasses.dataclass(frozen=True, kw_only=True)
class Convergence:
    """How fast the runs of a result converged, compared with the reference convergence points (RCP).

    Attributes:
        passed: the official verdict; None if MLPerf has no reference.
        message: the verdict in a sentence.
        scaling: the factor on the score for converging faster than the mean of the reference.
    """

    passed: bool | None
    message: str
    scaling: float = 1.0


def score(minutes: Sequence[float], *, benchmark: str | None = None) -> float:
    """The mean without the fastest and the slowest run. A run that failed counts as `math.inf`.

    Raises:
        ValueError: fewer than three runs.
    """
    dropped = dropped_at_each_end(benchmark)
    if len(minutes) <= 2 * dropped:
        raise ValueError(f"A score needs {2 * dropped + 1} runs or more, got {len(minutes)}.")
    kept = sorted(minutes)[dropped : len(minutes) - dropped]
    return sum(kept) / len(kept)


def dropped_at_each_end(benchmark: str | None) -> int:
    """How many of the fastest runs, and of the slowest, a score leaves out."""
    return official_benchmarks.named(benchmark).dropped_at_each_end


def check_convergence(logs: Sequence[Log], *, ruleset: str, benchmark: str) -> Convergence:
    """Runs the official RCP check on the runs of a result with the pruned references, like the package checker.

    Args:
        logs: all `result_*.txt` in one folder.
        ruleset: the ruleset, such as `4.0.0`.
        benchmark: its name in MLPerf.
    """
    # It imports SciPy, which takes longer than checking a log.
    from mlperf_logging.rcp_checker import rcp_checker

    references = pathlib.Path(rcp_checker.__file__).parent / f"training_{ruleset}" / f"rcps_{benchmark}.json"
    if not references.is_file():
        return Convergence(passed=None, message=f"Ruleset {ruleset} has no reference convergence for {benchmark}.")
    folder = str(logs[0].path.parent)
    try:
        with official.quiet():
            points = rcp_checker.RCP_Checker("training", ruleset, benchmark, verbose=False).pruned_rcp_data
            passed, reason, scaling = rcp_checker.check_directory(
                folder, "training", ruleset, verbose=False, bert_train_samples=False, rcp_pass="pruned_rcps"
            )
    except Exception as error:  # it does not validate the logs
        stopped = f"The official RCP check stopped: {type(error).__name__}: {error}."
        return Convergence(passed=False, message=stopped)
    message = _message(logs, points=list(points.values()), benchmark=benchmark, reason=reason, passed=passed)
    return Convergence(passed=bool(passed), message=message, scaling=float(scaling))


def converged_at(log: Log) -> float:
    """The `epoch_num` at which the run reached its target; `math.inf` where it did not."""
    stops, evaluations = log.all("run_stop"), log.all("eval_accuracy")
    if not stops or stops[-1].metadata.get("status") != "success" or not evaluations:
        return math.inf
    epoch = evaluations[-1].metadata.get("epoch_num")
    return float(epoch) if isinstance(epoch, (int, float)) else math.inf


def _message(
    logs: Sequence[Log], *, points: Sequence[Mapping[str, Any]], benchmark: str, reason: str, passed: bool
) -> str:
    batch_size = _batch_size(logs)
    mean = score([converged_at(log) for log in logs], benchmark=benchmark)
    expected = None if batch_size is None else _expected(points, batch_size)
    if batch_size is None or expected is None or not math.isfinite(mean):
        return f"The official RCP check says: {reason}."
    unit, digits = ("samples", 0) if official_benchmarks.named(benchmark).counts_samples else ("epochs", 1)
    took, least, reference = (f"{number:,.{digits}f}" for number in (mean, *expected))
    if passed:
        return f"Converges in {took} {unit} at batch size {batch_size:g}, the reference in {reference}."
    return (
        f"Converges faster than the reference: {took} {unit} at batch size {batch_size:g}, where at least about "
        f"{least} are expected. The data or the model is not the benchmark's."
    )


def _expected(points: Sequence[Mapping[str, Any]], batch_size: float) -> tuple[float, float] | None:
    """The least and the mean number of epochs of the reference, interpolated between two of its batch sizes.

    The official check interpolates mean and deviation and derives the least from them. The result differs by
    hundredths of an epoch.
    """
    smallest, largest = points[0], points[-1]
    if batch_size > largest["BS"]:
        return None
    at = max(batch_size, smallest["BS"])
    low = max((point for point in points if point["BS"] <= at), key=lambda point: float(point["BS"]))
    high = min((point for point in points if point["BS"] >= at), key=lambda point: float(point["BS"]))
    share = 0.0 if low is high else (at - low["BS"]) / (high["BS"] - low["BS"])
    least, mean = (low[name] + share * (high[name] - low[name]) for name in ("Min Epochs", "RCP Mean"))
    return float(least), float(mean)


def _batch_size(logs: Sequence[Log]) -> float | None:
    sizes = {line.value for log in logs for line in log.all("global_batch_size")}
    size = sizes.pop() if len(sizes) == 1 else None
    return float(size) if isinstance(size, (int, float)) else None
