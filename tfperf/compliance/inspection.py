"""What a reviewer would notice in a log and the official checker ignores."""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Literal

from tfperf.benchmarks import share_metrics
from tfperf.benchmarks.benchmark import TrainingTask
from tfperf.compliance import official_benchmarks, rulesets
from tfperf.compliance.log import Line, Log
from tfperf.compliance.logged_benchmark import TARGET_KEY, UNIT_MARK, LoggedBenchmark, identify, is_number
from tfperf.compliance.verdict import Violation

_STATISTICS = ("tracked_stats", "train_loss", "throughput")
_TIMED = ("block_start", "block_stop", "epoch_start", "epoch_stop", "eval_start", "eval_stop", "eval_accuracy")


def status(log: Log) -> str:
    """The status in `run_stop`, such as `success` or `aborted`; `incomplete` without `run_start` or `run_stop`."""
    if log.first("run_start") is None or not log.all("run_stop"):
        return "incomplete"
    return str(log.all("run_stop")[-1].metadata.get("status", "unknown"))


def minutes(log: Log) -> float | None:
    """Minutes on the clock, from `run_start` to `run_stop`."""
    if status(log) == "incomplete":
        return None
    return (log.all("run_stop")[-1].time_ms - log.all("run_start")[0].time_ms) / 60_000


def second_run(log: Log) -> Line | None:
    """The line with which a second run begins in a file, as after a restarted run appended to its log."""
    started = progressed = False
    for place, line in enumerate(log.lines):
        if progressed and line.key in ("init_start", "run_start"):
            return _first_of_run(log.lines, place)
        started = started or line.key == "run_start"
        progressed = progressed or (started and line.key in (*_TIMED, "run_stop"))
    return None


def _first_of_run(lines: Sequence[Line], place: int) -> Line:
    """The first of the lines that prepare the run whose `init_start` or `run_start` is at `place`."""
    while place > 0 and lines[place - 1].key not in (*_TIMED, "run_start", "run_stop", *_STATISTICS):
        place -= 1
    return lines[place]


def is_timed_only(log: Log, benchmark: LoggedBenchmark) -> bool:
    """Whether an internal run had no target, so that it could not end with success."""
    internal = log.text("submission_division") == "internal"
    return internal and benchmark.target is None and status(log) == "aborted"


def target(
    log: Log, benchmark: LoggedBenchmark, found: Sequence[Violation]
) -> Literal["reached", "not reached"] | None:
    """Whether a run reached its target, by the violations of its log; None without a target or an end."""
    if status(log) == "incomplete" or (benchmark.target is None and not benchmark.mlperf):
        return None
    missing = any(violation.about == "target" or violation.key == "eval_accuracy" for violation in found)
    missed = status(log) != "success" or missing
    return "not reached" if missed else "reached"


def violations(log: Log, *, benchmark: LoggedBenchmark) -> tuple[Violation, ...]:
    """Why a log does not show a training run that reached its target.

    Args:
        log: the log.
        benchmark: its benchmark, with the quality target where the official checker does not check it.
    """
    return (
        *_unreadable(log),
        *_unfinished(log, benchmark),
        *_clock(log),
        *_no_quality(log, benchmark),
        *_missed(log, benchmark),
    )


def remarks(log: Log, *, task: TrainingTask | None, ruleset: str) -> tuple[Violation, ...]:
    """Broken rules that the official checker does not check.

    Args:
        log: the log.
        task: the benchmark's task, for a log of the closed division.
        ruleset: the ruleset that the log is checked by.
    """
    by_rules = () if task is None else (*_cadence(log, task, ruleset), *_examples(log, task), *_seed(log))
    ordered = (*_intervals(log), *_outside_of_the_clock(log), *_time(log))
    return (*_crowded(log), *ordered, *_from_zero(log), *_cache(log), *by_rules)


def _unreadable(log: Log) -> Iterator[Violation]:
    for number, why in log.damaged:
        cut_off = log.cut_off and number == log.numbers[-1]
        text = "The file ends in the middle of this line." if cut_off else f"This line can't be read: {why}."
        yield Violation(message=text, line=number, about="structure")


def _unfinished(log: Log, benchmark: LoggedBenchmark) -> Iterator[Violation]:
    found = status(log)
    if found == "incomplete":
        started = log.first("run_start")
        since = f"run_start is in line {started.number}" if started else "There is no run_start either"
        text = f"The log has no run_stop: the run was cut off or is still in progress. {since}."
        yield Violation(message=text, key="run_stop", about="structure")
    elif found != "success" and not is_timed_only(log, benchmark):
        line = log.all("run_stop")[-1].number
        text = f"The run ended with status {found!r}, not 'success'."
        yield Violation(message=text, key="run_stop", line=line, about="target")


def _clock(log: Log) -> Iterator[Violation]:
    on_the_clock = minutes(log)
    if on_the_clock is not None and on_the_clock <= 0:
        text = f"run_stop is {-on_the_clock * 60:.3f} s before run_start." if on_the_clock else "The run took no time."
        yield Violation(message=text, key="run_stop", line=log.all("run_stop")[-1].number, about="structure")


def _no_quality(log: Log, benchmark: LoggedBenchmark) -> Iterator[Violation]:
    """Evaluations whose value can't be one of the metric. The official checker looks at those of its benchmarks."""
    if benchmark.mlperf:
        return
    share = benchmark.metric is not None and share_metrics.is_share(benchmark.metric)
    accepted = "a number from 0 to 1" if share else "a number"
    wrong = [
        line for line in log.all("eval_accuracy") if not is_number(line.value) or (share and not _in_range(line.value))
    ]
    for line in wrong:
        text = f"eval_accuracy must be {accepted}, got {line.value!r:.40}."
        yield Violation(message=text, key=line.key, line=line.number)


def _missed(log: Log, benchmark: LoggedBenchmark) -> Iterator[Violation]:
    evaluations = [line for line in log.all("eval_accuracy") if is_number(line.value)]
    if benchmark.target is None or status(log) != "success":
        return
    if not evaluations:
        if benchmark.official_name is None:
            text = "run_stop says success, but there is no evaluation."
            yield Violation(message=text, key="eval_accuracy", about="target")
        return
    last, falls = evaluations[-1], benchmark.mode == "min"
    reached = last.value <= benchmark.target if falls else last.value >= benchmark.target
    if not reached or not math.isfinite(last.value):
        target = f"the target is {'at most ' if falls else ''}{benchmark.target}"
        text = f"run_stop says success, but the last evaluation has {last.value:.4f}; {target}."
        yield Violation(message=text, key="eval_accuracy", line=last.number)


def _in_range(share: float) -> bool:
    return math.isnan(share) or 0 <= share <= 1 + share_metrics.ROUNDING


def _crowded(log: Log) -> Iterator[Violation]:
    for number, key in log.crowded:
        text = f"{key} is lost: another event follows it in the same line, and MLPerf's checker reads only the last."
        yield Violation(message=text, key=key, line=number, about="structure")


def _intervals(log: Log) -> Iterator[Violation]:
    if status(log) == "incomplete":
        return
    for name in ("block", "epoch", "eval"):
        starts, stops = log.all(f"{name}_start"), log.all(f"{name}_stop")
        if len(starts) != len(stops):
            text = f"{len(starts)} {name}_start and {len(stops)} {name}_stop: not every interval is closed."
            yield Violation(message=text, key=f"{name}_start", line=(starts or stops)[-1].number)


def _outside_of_the_clock(log: Log) -> Iterator[Violation]:
    started, stops = log.first("run_start"), log.all("run_stop")
    timed = [line for line in log.lines if line.key in _TIMED]
    early = [line for line in timed if started is not None and line.number < started.number]
    late = [line for line in timed if stops and line.number > stops[-1].number]
    for lines, place in ((early, "before run_start"), (late, "after run_stop")):
        if lines:
            keys = ", ".join(dict.fromkeys(line.key for line in lines))
            yield Violation(message=f"{keys}: {place}.", key=lines[0].key, line=lines[0].number)


def _time(log: Log) -> Iterator[Violation]:
    backwards = [(before, line) for before, line in itertools.pairwise(log.lines) if line.time_ms < before.time_ms]
    if backwards:
        before, line = backwards[0]
        again = f", and in {len(backwards) - 1} further lines" if len(backwards) > 1 else ""
        back_s = (before.time_ms - line.time_ms) / 1e3
        text = f"Time runs backwards: {line.key} is {back_s:.3f} s before the event above it{again}."
        yield Violation(message=text, key=line.key, line=line.number)


def _from_zero(log: Log) -> Iterator[Violation]:
    if _counts_samples(log):
        return
    for key, name in (("block_start", "first_epoch_num"), ("epoch_start", "epoch_num")):
        line = log.first(key)
        if line is not None and line.metadata.get(name) == 0:
            text = f"{key} has {name} 0; the rules number epochs from 1."
            yield Violation(message=text, key=key, line=line.number)


def _counts_samples(log: Log) -> bool:
    """Whether `epoch_num` counts samples: by the benchmark, or because tfperf says so of the run."""
    line = log.first(TARGET_KEY)
    marked = line is not None and line.metadata.get(UNIT_MARK) == "samples"
    return marked or official_benchmarks.named(identify(log).official_name).counts_samples


def _cache(log: Log) -> Iterator[Violation]:
    for line in log.all("cache_clear"):
        if line.value is False:
            yield Violation(message="The caches were not cleared.", key=line.key, line=line.number)


def _cadence(log: Log, task: TrainingTask, ruleset: str) -> Iterator[Violation]:
    if not rulesets.keeps_cadence(ruleset, benchmark=task.submission_benchmark):
        return
    counted = [line for line in log.all("eval_accuracy") if is_number(line.metadata.get("epoch_num"))]
    evaluations = [line for line in counted if _epoch(line)]  # one before the first step is free
    if official_benchmarks.named(task.submission_benchmark).counts_samples:
        yield from _cadence_in_samples(log, task, evaluations)
    else:
        yield from _cadence_in_epochs(log, task, evaluations)


def _interval(log: Log, task: TrainingTask) -> int | None:
    """What the rules require between two evaluations; None if they fix nothing or the log lacks the batch size."""
    every, batch = task.evaluation_interval, _batch_size(log)
    if every is None or isinstance(every, int):
        return every
    return None if batch is None else every(int(batch))


def _batch_size(log: Log) -> float | None:
    line = log.first("global_batch_size")
    return line.value if line is not None and is_number(line.value) and line.value >= 1 else None


def _cadence_in_samples(log: Log, task: TrainingTask, evaluations: Sequence[Line]) -> Iterator[Violation]:
    """Evaluations away from a multiple of the interval. Submissions round each interval to whole batches, and some
    round down."""
    every, batch = _interval(log, task), _batch_size(log)
    if every is None or batch is None:
        return
    wrong = [
        (number, line)
        for number, line in enumerate(evaluations, 1)
        if abs(_epoch(line) - number * every) >= number * batch
    ]
    if wrong:
        number, line = wrong[0]
        text = (
            f"Evaluation {number} is after {_epoch(line):,.0f} samples; the rules require one every {every:,} samples "
            f"at batch size {batch:g}, so after {number * every:,}."
        )
        yield Violation(message=text, key=line.key, line=line.number)


def _cadence_in_epochs(log: Log, task: TrainingTask, evaluations: Sequence[Line]) -> Iterator[Violation]:
    every = _interval(log, task)
    if every is None:
        return
    if evaluations and _epoch(evaluations[0]) > every:
        first = evaluations[0]
        text = f"The first evaluation is after epochs {_epoch(first):g}; the rules require one every {every:g} epochs."
        yield Violation(message=text, key=first.key, line=first.number)
    wrong = [
        (before, line) for before, line in itertools.pairwise(evaluations) if _epoch(line) - _epoch(before) != every
    ]
    if not wrong:
        return
    before, line = wrong[0]
    text = (
        f"Evaluations after epochs {_epoch(before):g} and {_epoch(line):g}; the rules require one every {every:g} "
        f"epochs."
    )
    yield Violation(message=text, key=line.key, line=line.number)


def _examples(log: Log, task: TrainingTask) -> Iterator[Violation]:
    for key, expected in (("train_samples", task.train_examples), ("eval_samples", task.eval_examples)):
        line = log.first(key)
        if line is not None and expected is not None and line.value != expected:
            text = f"{key} is {line.value!r}; the benchmark's data set has {expected}."
            yield Violation(message=text, key=key, line=line.number)


def _seed(log: Log) -> Iterator[Violation]:
    if log.first("seed") is None:
        yield Violation(message="No seed is logged; the package checker requires one in each run.", key="seed")


def repeated_seeds(logs: tuple[Log, ...]) -> tuple[Violation, ...]:
    """Runs of one result without a seed or with the seed of another run, by the official seed checker's rules."""
    runs: dict[tuple[object, ...], list[str]] = collections.defaultdict(list)
    without = [log.path.name for log in logs if not log.all("seed")]
    for log in logs:
        for line in log.all("seed"):
            runs[(line.metadata.get("file"), line.metadata.get("lineno"), line.value)].append(log.path.name)
    missing = [Violation(message=f"No seed is logged in {', '.join(without)}.", key="seed")] if without else []
    repeated = [
        Violation(message=f"Seed {place[2]} is used by {', '.join(names)}; each run needs its own.", key="seed")
        for place, names in runs.items()
        if len(names) > 1
    ]
    return (*missing, *repeated)


def _epoch(line: Line) -> float:
    return float(line.metadata["epoch_num"])
