"""Phases on a synthetic model of known behaviour: what is reported, and what makes a load invalid."""

import time
import types

import numpy as np
import pytest

from tests.evaluation.test_issuer import Synthetic
from tfperf import result, spec
from tfperf.errors import FailedRequestError, TimedOutError
from tfperf.evaluation import verdicts
from tfperf.evaluation.grid import Combination
from tfperf.evaluation.loads import Cell, Loads, Surroundings


def run(*phases: spec.Phase, model: Synthetic | None = None, instances: int = 1) -> list[result.LoadPhase]:
    models = [model or Finite(0.002) for _ in range(instances)]
    combination = Combination(executable="as_given", batch_size=4, instances=instances)
    cell = Cell(combination=combination, batch_size=4, instances=models, traces=lambda: 0)
    chosen = spec.EvaluateSpec(phases=phases, hang_after_s=0.3)
    loads = Loads(chosen, cell, around=Surroundings(begin_s=time.perf_counter()))
    return [measured.phase for phase in phases for measured in loads.run(phase)]


class Finite(Synthetic):
    def look(self, number: int) -> bool:
        return True


def test_offline_counts_samples_over_the_whole_time_and_sustained_takes_its_share_of_the_peak() -> None:
    warm_up = spec.WarmUp(iterations=5)
    offline, sustained = run(
        warm_up, spec.OfflineLoad(min_duration_s=0.5), spec.Sustained(share_of_peak=0.5, duration_s=0.5)
    )
    assert offline.samples == 4 * offline.requests
    assert offline.metric is not None
    assert offline.metric.value == pytest.approx(offline.samples / offline.duration_s)
    assert sustained.offered_per_s == pytest.approx(0.5 * offline.requests_per_s)


def test_two_instances_answer_about_twice_as_much() -> None:
    one, two = (run(spec.Concurrency(streams=(4,), duration_s=0.5), instances=count)[0] for count in (1, 2))
    assert 1.4 < two.requests_per_s / one.requests_per_s < 2.6


def test_each_number_of_streams_is_a_load() -> None:
    found = run(spec.Concurrency(streams=(1, 2), duration_s=0.1))
    assert [phase.load for phase in found] == ["1 stream", "2 streams"]
    assert all(phase.lag_p99_ns is None and phase.valid for phase in found)


def test_a_load_beyond_the_model_is_not_reached() -> None:
    (phase,) = run(spec.ConstantRate(requests_per_s=(2000.0,), duration_s=0.5), model=Finite(0.02))
    assert not phase.valid
    assert any(reason.startswith("the load was not reached") for reason in phase.reasons)


def test_a_server_beyond_its_bound_is_invalid() -> None:
    load = spec.ServerLoad(target_qps=1500.0, latency_bound_ms=0.5, min_duration_s=0.1, min_queries=700)
    (phase,) = run(load, model=Finite(0.0))
    slow = spec.ServerLoad(target_qps=400.0, latency_bound_ms=0.5, min_duration_s=0.1, min_queries=700)
    (late,) = run(slow, model=Finite(0.001))
    assert phase.requests >= 700
    assert any(reason.startswith("P99 is") for reason in late.reasons)


def test_percentiles_need_their_number_of_requests() -> None:
    (phase,) = run(spec.ConstantRate(requests_per_s=(1000.0,), duration_s=0.5), model=Finite(0.0))
    assert phase.requests == 500
    assert [each.percentile for each in phase.percentiles] == [50.0, 90.0, 95.0]  # 662 for the 99th


@pytest.mark.parametrize(
    ("model", "status"), [(Finite(0.001, fails_at=30), "failed"), (Finite(0.001, hangs_at=30), "hung")]
)
def test_what_was_measured_before_a_failure_is_kept(model: Finite, status: str) -> None:
    (phase,) = run(spec.SingleStreamLoad(min_duration_s=5), model=model)
    model.released.set()
    assert (phase.status, phase.requests, phase.valid) == (status, 30, False)


@pytest.mark.parametrize(
    ("model", "error"), [(Finite(fails_at=2), FailedRequestError), (Finite(hangs_at=2), TimedOutError)]
)
def test_a_warm_up_that_fails_or_hangs_is_told(model: Finite, error: type[Exception]) -> None:
    with pytest.raises(error, match="request of the warm-up"):
        run(spec.WarmUp(iterations=5), spec.OfflineLoad(), model=model)
    model.released.set()


def test_a_warm_up_goes_on_until_the_latency_settles_but_not_for_ever() -> None:
    begin = time.perf_counter()
    run(spec.WarmUp(iterations=1, until_steady=True, most_s=2.0), spec.Concurrency(streams=(1,), duration_s=0.05))
    assert time.perf_counter() - begin < 4


def test_answers_that_are_not_finite_make_a_load_invalid() -> None:
    (phase,) = run(spec.Concurrency(streams=(1,), duration_s=0.1), model=Synthetic(0.001))
    assert phase.not_finite > 0
    assert "hold NaN or an infinity" in phase.reasons[0]


def test_a_leak_is_told() -> None:
    held: list[bytes] = []

    class Leaking(Finite):
        def answer(self, number: int) -> int:
            if len(held) < 40:
                held.append(b"x" * 8_000_000)
            return super().answer(number)

    (leaking,) = run(spec.SingleStreamLoad(min_duration_s=0.1, min_queries=64), model=Leaking(0.001))
    held.clear()
    assert leaking.memory_growth_bytes is not None
    assert leaking.memory_growth_bytes > 300e6
    assert "MB more at the end of the load than at its start: the model or the data" in leaking.notes[0]


@pytest.mark.parametrize(
    ("requests", "late", "surely"),
    [(18, 1, False), (18, 2, True), (100, 3, False), (100, 4, True), (10_000, 110, False), (10_000, 120, True)],
)
def test_a_few_late_requests_say_little_about_the_issuer(requests: int, late: int, surely: bool) -> None:
    lags = np.zeros(requests, np.int64)
    lags[:late] = 5_000_000
    rows = types.SimpleNamespace(issued_ns=lags, due_ns=np.zeros(requests, np.int64))
    assert verdicts.surely_late_ns(rows) == (5e6 if surely else 0)
