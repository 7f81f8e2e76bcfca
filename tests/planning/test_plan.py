"""Plans against queueing theory, and from every kind of run that may be planned from."""

import json
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import pytest

from tests.comparison.written_runs import write_run
from tests.evaluation.made_up import load
from tfperf import manifest, result
from tfperf.analysis import sizing
from tfperf.analysis.sizing import CarriedLoad
from tfperf.errors import UsageError
from tfperf.planning import plan

SERVED_PER_S = 1000.0
RATES = tuple(range(100, 1000, 50))


def mm1_p99_ms(rate: float) -> float:
    """The 99th percentile of the time in an M/M/1 queue, which is exponential with the rate of what is left over."""
    return 1000 * math.log(100) / (SERVED_PER_S - rate)


@pytest.mark.parametrize("bound_ms", [6.0, 10.0, 20.0, 60.0])
def test_the_capacity_is_that_of_a_queue(bound_ms: float) -> None:
    loads = [CarriedLoad(rate=rate, latency=mm1_p99_ms(rate)) for rate in RATES]
    found = sizing.capacity(loads[::-1], bound=bound_ms)
    most = SERVED_PER_S - 1000 * math.log(100) / bound_ms  # where the theory meets the bound
    assert found is not None
    assert found.rate == max(rate for rate in RATES if rate <= most)
    assert found.highest == (most >= max(RATES))


def test_a_load_beyond_one_that_broke_the_bound_does_not_count() -> None:
    loads = [CarriedLoad(rate=rate, latency=latency) for rate, latency in ((1, 5.0), (2, 20.0), (3, 6.0))]
    found = sizing.capacity(loads, bound=10)
    assert found is not None and (found.rate, found.highest) == (1, False)
    assert sizing.capacity(loads, bound=1) is None


def test_the_interval_of_the_latency_is_that_of_the_capacity() -> None:
    loads = [CarriedLoad(rate=rate, latency=rate, low=rate * 0.7, high=rate * 1.3) for rate in (10.0, 20.0, 30.0, 40.0)]
    found = sizing.capacity(loads, bound=30)
    assert found is not None and (found.careful, found.rate, found.hopeful) == (20, 30, 40)


@pytest.mark.parametrize(
    ("rate", "spare", "expected"), [(100, 0, 1), (1000, 0, 10), (1001, 0, 11), (1000, 2, 12), (1, 1, 2)]
)
def test_systems_carry_the_rate_with_some_failed(rate: float, spare: int, expected: int) -> None:
    assert sizing.systems(rate, capacity_rate=100, spare=spare) == expected


def write_evaluation(
    folder: pathlib.Path, *, rates: Sequence[float] = RATES, phase: str = "constant_rate"
) -> pathlib.Path:
    folder.mkdir(parents=True)
    phases = [
        load(
            phase=phase,
            load=f"{rate} requests/s",
            duration_s=10.0,
            requests=int(10 * rate),
            samples=int(10 * rate),
            percentiles=(
                result.Percentile(
                    percentile=99.0,
                    value_ns=1e6 * mm1_p99_ms(rate),
                    low_ns=0.9e6 * mm1_p99_ms(rate),
                    high_ns=1.1e6 * mm1_p99_ms(rate),
                ),
            ),
        )
        for rate in rates
    ]
    watts = result.EnergyDomain(
        domain="meter", status="measured", source="csv", window=phases[0].window, began_s=0, seconds=10, joules=500.0,
        watts=50.0, samples_per_s_per_watt=12.5,
    )  # fmt: skip
    outcome = result.EvaluateResult(
        benchmark="my_model", valid=True, reasons=(), status="success", config={}, environment={}, measured="model",
        phases=tuple(phases), energy=(watts,),
    )  # fmt: skip
    result.write(folder / "result.json", outcome)
    manifest.write(folder, division="internal", code_version="0.1.0 abc")
    return folder


def test_a_plan_from_an_evaluation_says_what_it_rests_on(tmp_path: pathlib.Path) -> None:
    run = write_evaluation(tmp_path / "run")
    (found,) = plan.make([run], rate=5000, p99_ms=14, spare=1)
    assert (found.systems, found.fewest, found.most) == (9, 9, 10)  # 650 requests/s each, 700 and 600 at the ends
    assert plan.text([found], rate=5000, p99_ms=14, spare=1).splitlines() == [
        "9 systems for 5,000 requests/s with P99 within 14 ms, of which 1 may fail.",
        "",
        "system            as_given, batch 1, 1 at once",
        "one system        650 requests/s measured, with P99 of 13.16 ms (95 % interval 11.84 to 14.47)",
        "interval          9 to 10 systems",
        "load              85 % of that for each when all run",
        "after failures    96 % with 1 failed",
        "performance/watt  12.5 samples/s/W (meter, measured)",
    ]
    assert json.loads(json.dumps(plan.as_dict([found], rate=5000, p99_ms=15, spare=1)))["plans"][0]["systems"] == 9


def test_streams_are_told_from_arrivals(tmp_path: pathlib.Path) -> None:
    run = write_evaluation(tmp_path / "run", phase="concurrency")
    (found,) = plan.make([run], rate=5000, p99_ms=15, spare=0)
    assert "Measured with streams that wait for their answers." in found.system.rests_on[0]


def serving(folder: pathlib.Path, scenario: str, rate: float, **edit: Any) -> pathlib.Path:
    metric = result.Measurement(name="result", value=rate, unit="samples/s")
    return write_run(folder, edit={"scenario": scenario, "metric": metric, **edit})


def test_a_server_run_is_one_load(tmp_path: pathlib.Path) -> None:
    probes = (
        result.Probe(target_qps=300.0, valid=True, p99_ns=2e6, duration_s=5.0),
        result.Probe(target_qps=900.0, valid=False, p99_ns=90e6, duration_s=5.0),
    )
    run = serving(tmp_path / "run", "Server", 400.0, search=probes, latency_ns={"p99": 9e6})
    (found,) = plan.make([run], rate=1000, p99_ms=10, spare=1)
    assert found.capacity is not None
    assert (found.capacity.rate, found.systems, found.most) == (400, 4, None)


def test_offline_gives_the_fewest(tmp_path: pathlib.Path) -> None:
    run = serving(tmp_path / "run", "Offline", 400.0)
    found = plan.make([run], rate=1000, p99_ms=10, spare=0)
    assert (found[0].systems, found[0].capacity) == (3, None)
    assert plan.text(found, rate=1000, p99_ms=10, spare=0).startswith("At least 3 systems for 1,000 requests/s.\n")


@pytest.mark.parametrize(
    ("made", "rate", "p99_ms", "message"),
    [
        ("evaluation", 0.0, 15.0, "--rate must be above 0, got 0."),
        ("evaluation", 10.0, float("nan"), "--p99_ms must be above 0, got nan."),
        ("evaluation", 10.0, 1.0, "No measured load kept P99 within 1 ms; the lowest, 100 requests/s, had 5.117 ms."),
        ("streams", 10.0, 15.0, "is SingleStream: one query at a time says nothing about the latency at a rate."),
        ("invalid", 10.0, 15.0, "can't be planned from: it is invalid (too few queries)."),
        ("edited", 10.0, 15.0, "can't be planned from: it is edited (result.json was changed)."),
        ("none", 10.0, 15.0, "is not a run directory."),
    ],
)
def test_what_can_not_be_planned_from_is_refused(
    made: str, rate: float, p99_ms: float, message: str, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "run"
    match made:
        case "evaluation" | "edited":
            write_evaluation(folder)
        case "streams":
            write_run(folder)
        case "invalid":
            serving(folder, "Server", 400.0, valid=False, status="invalid", reasons=("too few queries",))
    if made == "edited":
        text = (folder / "result.json").read_text(encoding="utf-8")
        (folder / "result.json").write_text(text.replace("my_model", "mine"), encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        plan.make([folder], rate=rate, p99_ms=p99_ms, spare=1)
    assert message in str(caught.value)
