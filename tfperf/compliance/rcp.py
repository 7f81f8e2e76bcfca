"""Scores as MLPerf computes them, and whether training converged no faster than the reference."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tfperf import json_text
from tfperf.compliance import official, official_benchmarks
from tfperf.compliance.log import Log
from tfperf.compliance.logged_benchmark import is_number

# Lines of `package_checker_params`, in the folder of a result or in that of its system.
_PARAMETERS = "package_checker_params"
_SCALING = "scaling.json"
# No benchmark trains for so many epochs, and all that count samples take far more.
_MOST_EPOCHS = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Convergence:
    """How fast the runs of a result converged, compared with the reference convergence points (RCP).

    Attributes:
        passed: the official verdict; None if MLPerf has no reference or if the check could not be made.
        message: the verdict in a sentence.
        scaling: the factor on the score for converging faster than the mean of the reference.
    """

    passed: bool | None
    message: str
    scaling: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameters:
    """What a submission asks of the official package checker.

    Attributes:
        rcp_bypass: whether a failed comparison with the reference is accepted.
        seed_bypass: whether repeated seeds are accepted.
        ignored: lines that the official checker does not read as they were meant.
    """

    rcp_bypass: bool = False
    seed_bypass: bool = False
    ignored: tuple[str, ...] = ()


def parameters(folder: pathlib.Path) -> Parameters:
    """Reads `package_checker_params` of a result and of its system."""
    paths = (folder.parent / _PARAMETERS, folder / _PARAMETERS)
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths if path.is_file()]
    lines = [line for text in texts for line in text.splitlines(keepends=True)]
    names = ("rcp-bypass", "seed-checker-bypass")
    # The official checker compares whole lines, with their ends.
    ignored = tuple(line.strip() for line in lines if line.strip() in names and line not in names)
    return Parameters(rcp_bypass=names[0] in lines, seed_bypass=names[1] in lines, ignored=ignored)


def scaling_in(folder: pathlib.Path) -> float | None:
    """The factor on the score in `scaling.json`, which a review added; None without that file.

    Raises:
        ValueError: the file holds no such factor.
    """
    path = folder / _SCALING
    if not path.is_file():
        return None
    try:
        factor = float(json_text.parse(path.read_text(encoding="utf-8"))["scaling_factor"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no scaling_factor: {error}.") from error
    if not (math.isfinite(factor) and factor > 0):
        raise ValueError(f"{path} holds the scaling_factor {factor}; it must be a positive number.")
    return factor


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


def check_convergence(logs: Sequence[Log], *, ruleset: str, benchmark: str, bypass: bool = False) -> Convergence:
    """Runs the official RCP check on the runs of a result with the pruned references, like the package checker.

    Args:
        logs: all `result_*.txt` in one folder.
        ruleset: the ruleset, such as `4.0.0`.
        benchmark: its name in MLPerf.
        bypass: whether a failed comparison is accepted, as `package_checker_params` may ask.
    """
    # It imports SciPy, which takes longer than checking a log.
    from mlperf_logging.rcp_checker import rcp_checker

    references = pathlib.Path(rcp_checker.__file__).parent / f"training_{ruleset}" / f"rcps_{benchmark}.json"
    if not references.is_file():
        return Convergence(passed=None, message=f"Ruleset {ruleset} has no reference convergence for {benchmark}.")
    folder, by_samples = str(logs[0].path.parent), _counts_only_train_samples(logs, benchmark)
    try:
        with official.quiet():
            points = rcp_checker.RCP_Checker("training", ruleset, benchmark, verbose=False).pruned_rcp_data
            _, converged, _ = rcp_checker.get_submission_epochs([str(log.path) for log in logs], ruleset, by_samples)
            passed, reason, scaling = rcp_checker.check_directory(
                folder,
                "training",
                ruleset,
                verbose=False,
                bert_train_samples=by_samples,
                rcp_pass="pruned_rcps",
                rcp_bypass=bypass,
            )
    except Exception as error:  # it does not validate the logs, and knows fewer benchmarks than it has references for
        what = f"{type(error).__name__}: {error}"
        stopped = f"The convergence was not checked: the official RCP check stopped with {what}."
        return Convergence(passed=None, message=stopped)
    message = _message(
        logs,
        points=list(points.values()),
        benchmark=benchmark,
        reason=reason,
        passed=bool(passed),
        converged=converged,
    )
    because = " The logs count samples in train_samples, and not in epoch_num." if by_samples else ""
    return Convergence(passed=bool(passed), message=message + because, scaling=float(scaling))


def _counts_only_train_samples(logs: Sequence[Log], benchmark: str) -> bool:
    """Whether `epoch_num` of BERT's logs can't be a number of samples, because it is less than one batch."""
    batch_size = _batch_size(logs)
    if benchmark != "bert" or batch_size is None or any(log.first("train_samples") is None for log in logs):
        return False
    epochs = [line.metadata.get("epoch_num") for log in logs for line in log.all("eval_accuracy")]
    numbers = [epoch for epoch in epochs if is_number(epoch)]
    return bool(numbers) and max(numbers) < batch_size


def _message(
    logs: Sequence[Log],
    *,
    points: Sequence[Mapping[str, Any]],
    benchmark: str,
    reason: str,
    passed: bool,
    converged: Sequence[float] | None,
) -> str:
    batch_size = _batch_size(logs)
    if batch_size is None or not converged or not points:
        return f"The official RCP check says: {reason}."
    least_size, largest_size = points[0]["BS"], points[-1]["BS"]
    mean = score(converged, benchmark=benchmark)
    accepted = " The submission asks the official checker to accept this." if "bypass" in reason else ""
    if batch_size > largest_size:
        return (
            f"MLPerf has no reference convergence at batch size {batch_size:g}: its largest is {largest_size:g}. A "
            f"reference at this batch size has to be submitted.{accepted}"
        )
    least, reference = _expected(points, batch_size)
    took, expected = (_amount(count, benchmark=benchmark) for count in (mean, least))
    at = f"at batch size {batch_size:g}"
    if passed and not accepted:
        return f"Converges in {took} {at}, the reference in {_amount(reference, benchmark=benchmark)}."
    if batch_size < least_size:
        return (
            f"MLPerf has no reference convergence {at}: its smallest is {least_size:g}, where at least about "
            f"{expected} are expected, and these runs took {took}. Either a reference at this batch size has "
            f"to be submitted, or the data or the model is not the benchmark's.{accepted}"
        )
    return (
        f"Converges faster than the reference: {took} {at}, where at least about {expected} are expected. The data or "
        f"the model is not the benchmark's.{accepted}"
    )


def _amount(count: float, *, benchmark: str) -> str:
    """An amount of training: samples where the benchmark counts them, and where it is too large for epochs."""
    if official_benchmarks.named(benchmark).counts_samples or count >= _MOST_EPOCHS:
        return f"{count:,.0f} samples"
    text = f"{count:,.1f}"
    return f"{text} epoch" if text == "1.0" else f"{text} epochs"


def _expected(points: Sequence[Mapping[str, Any]], batch_size: float) -> tuple[float, float]:
    """The least and the mean number of epochs of the reference, interpolated between two of its batch sizes.

    The official check interpolates mean and deviation and derives the least from them. The result differs by
    hundredths of an epoch.
    """
    at = max(batch_size, points[0]["BS"])
    low = max((point for point in points if point["BS"] <= at), key=lambda point: float(point["BS"]))
    high = min((point for point in points if point["BS"] >= at), key=lambda point: float(point["BS"]))
    share = 0.0 if low is high else (at - low["BS"]) / (high["BS"] - low["BS"])
    least, mean = (low[name] + share * (high[name] - low[name]) for name in ("Min Epochs", "RCP Mean"))
    return float(least), float(mean)


def _batch_size(logs: Sequence[Log]) -> float | None:
    sizes = {line.value for log in logs for line in log.all("global_batch_size")}
    size = sizes.pop() if len(sizes) == 1 else None
    return float(size) if isinstance(size, (int, float)) else None
