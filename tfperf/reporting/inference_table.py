"""An inference result as plain text, as the terminal shows it at the end of a run."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

from tfperf import result
from tfperf.reporting import machine_facts, table

_MS = 1e6
_MIB = 2**20
_LENGTH_SIGN = "x"  # between the batch size and the length of a bucket


def infer_table(outcome: result.InferResult, *, run_dir: pathlib.Path) -> str:
    """The verdict and its reasons, what was measured, one line each, then the tables."""
    head = [verdict(outcome), *(f"  - {reason}" for reason in outcome.reasons)]
    blocks = [
        "\n".join(head),
        table.facts([*infer_facts(outcome), ("run directory", str(run_dir))]),
        *(table.columns(headers, rows) for headers, rows in tables(outcome)),
    ]
    return "\n\n".join(blocks)


def verdict(outcome: result.InferResult) -> str:
    """One line: whether the result can be quoted, and as what."""
    what = f"{outcome.division} {outcome.scenario} run of {outcome.benchmark}"
    if outcome.valid:
        return f"VALID {what}, not verified by MLCommons"
    ended = f", {outcome.status}" if outcome.status in ("failed", "incomplete") else ""
    return f"INVALID {what}{ended}, not verified by MLCommons"


def infer_facts(outcome: result.InferResult) -> list[tuple[str, str]]:
    """What was measured, as (label, text). A text may have several lines."""
    return [
        ("metric", _metric(outcome)),
        *_bound(outcome),
        _accuracy(outcome),
        ("executable", _executable(outcome)),
        *((("weights", _lines(outcome.weights)),) if outcome.weights else ()),
        ("division", table.division(outcome)),
        ("closed-eligible", table.eligibility(outcome)),
        *((("audits", _lines(outcome.audits)),) if outcome.audits else ()),
        *((each.name, _amount(each)) for each in outcome.measurements),
        *machine_facts.facts(outcome),
        *((("notes", "\n".join(outcome.notes)),) if outcome.notes else ()),
    ]


def tables(outcome: result.InferResult) -> list[tuple[list[str], list[list[str]]]]:
    """Headers and rows of each table that has rows: latencies, candidates, batches and the search for the rate."""
    found = [_latencies(outcome), _candidates(outcome), _batches(outcome), _search(outcome)]
    return [(headers, rows) for headers, rows in found if rows]


def _metric(outcome: result.InferResult) -> str:
    if outcome.metric is None:
        return table.UNKNOWN
    quoted = f"{_amount(outcome.metric)}, {outcome.metric.name}"
    return quoted if outcome.valid else f"{table.UNKNOWN} ({quoted})"


def _bound(outcome: result.InferResult) -> list[tuple[str, str]]:
    """The latency bound of a Server run."""
    bound_ns = outcome.loadgen.get("effective_target_latency_ns")
    if outcome.scenario != "Server" or bound_ns is None:
        return []
    share = 100 * float(outcome.loadgen.get("effective_target_latency_percentile", 0.99))
    return [("latency bound", f"{share:g} % within {_ms(bound_ns)} ms")]


def _amount(measured: result.Measurement) -> str:
    """The value with its unit. Nanoseconds become milliseconds."""
    if measured.unit == "ns":
        return f"{_ms(measured.value)} ms"
    return f"{table.number(measured.value)} {measured.unit}".rstrip()


def _accuracy(outcome: result.InferResult) -> tuple[str, str]:
    if outcome.accuracy is None:
        return "accuracy", f"{table.UNKNOWN} (not measured)"
    return outcome.accuracy.metric, table.quality(outcome.accuracy)


def _executable(outcome: result.InferResult) -> str:
    sizes = ", ".join(str(size) for size in outcome.batch_sizes)
    named = outcome.executable or table.UNKNOWN
    if not sizes:
        return named
    instances = outcome.instances or 1
    copies = f", {instances} instances (threads: {outcome.threads})" if instances > 1 else ""
    return f"{named}, compiled for batches of {sizes}{copies}"


def _latencies(outcome: result.InferResult) -> tuple[list[str], list[list[str]]]:
    """LoadGen's percentiles beside those that the SUT measured with its own clock."""
    official = {key.removeprefix("p").replace("_", "."): value for key, value in outcome.latency_ns.items()}
    ours = {f"{each.percentile:g}": each for each in outcome.percentiles}
    rows = []
    for name in sorted({*official, *ours}, key=float):
        mine = ours.get(name)
        rows.append(
            [
                f"p{name}",
                _ms(official.get(name)),
                table.UNKNOWN if mine is None else _ms(mine.value_ns),
                _interval(mine),
            ]
        )
    return ["latency", "LoadGen (ms)", "SUT (ms)", "95 % interval (ms)"], rows


def _interval(found: result.Percentile | None) -> str:
    if found is None or found.low_ns is None or found.high_ns is None:
        return f"{table.UNKNOWN} (too few independent samples)" if found is not None else table.UNKNOWN
    return f"{_ms(found.low_ns)} to {_ms(found.high_ns)}"


def _candidates(outcome: result.InferResult) -> tuple[list[str], list[list[str]]]:
    """A column for each batch size or, where samples have lengths, for each length: dozens of sizes have no room."""
    sizes = sorted({size for each in outcome.candidates for size in each.latency_ns}, key=_order)
    lengths = sorted({_order(size)[1] for size in sizes if _LENGTH_SIGN in size})
    headers = [
        "candidate",
        *((f"{length} (ms/sample)" for length in lengths) if lengths else (f"b{size} (ms)" for size in sizes)),
        "agreement",
        "quality",
        "memory (MiB)",
        "status",
        "because",
    ]
    return headers, [_candidate(each, sizes, lengths) for each in outcome.candidates]


def _candidate(each: result.Candidate, sizes: Sequence[str], lengths: Sequence[int]) -> list[str]:
    times = (
        [_least_sample_ns(each.latency_ns, length) for length in lengths]
        if lengths
        else [each.latency_ns.get(size) for size in sizes]
    )
    return [
        each.executable,
        *map(_ms, times),
        table.UNKNOWN if each.agreement is None else f"{each.agreement:.4f}",
        table.UNKNOWN if each.quality is None else f"{each.quality:.4f}",
        table.UNKNOWN if each.memory_bytes is None else table.number(each.memory_bytes / _MIB),
        each.status,
        each.reason,
    ]


def _least_sample_ns(latency_ns: Mapping[str, float], length: int) -> float | None:
    """The time of a sample of this length in its most efficient batch size; None if none was measured."""
    sizes = ((_order(size), time_ns) for size, time_ns in latency_ns.items())
    return min((time_ns / size[0] for size, time_ns in sizes if size[1:] == (length,)), default=None)


def _batches(outcome: result.InferResult) -> tuple[list[str], list[list[str]]]:
    """The executed sizes, padding included; a column for the length if samples have one."""
    total = sum(outcome.batches.values())
    sizes = sorted(outcome.batches, key=_order)
    counts = [[f"{outcome.batches[size]:,}", f"{100 * outcome.batches[size] / total:.1f}"] for size in sizes]
    lengths = ["length"] if any(_LENGTH_SIGN in size for size in sizes) else []
    rows = [[*size.split(_LENGTH_SIGN), *count] for size, count in zip(sizes, counts, strict=True)]
    return ["batch size", *lengths, "batches", "%"], rows


def _order(size: str) -> tuple[int, ...]:
    """Sorts `8` and `8x384` as numbers."""
    return tuple(int(number) for number in size.split(_LENGTH_SIGN))


def _search(outcome: result.InferResult) -> tuple[list[str], list[list[str]]]:
    rows = [
        [
            table.number(probe.target_qps),
            probe.stage,
            "VALID" if probe.valid else "INVALID",
            _ms(probe.p99_ns),
            table.number(probe.duration_s),
            probe.reason.partition(". ")[0],
        ]
        for probe in outcome.search
    ]
    return ["search (samples/s)", "run", "", "p99 (ms)", "seconds", "because"], rows


def _ms(nanoseconds: float | None) -> str:
    return table.UNKNOWN if nanoseconds is None else table.number(nanoseconds / _MS)


def _lines(named: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {text}" for name, text in named.items() if text)
