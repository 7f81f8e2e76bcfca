"""The search for the highest Server rate, on queues that are simulated."""

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest

from tfperf.errors import DamagedDataError, UsageError
from tfperf.inference import peak
from tfperf.result import Probe

MS = 1e6
FULL_QUERIES = 50_000


@dataclasses.dataclass(kw_only=True)
class Simulated:
    """A model behind a queue: it takes all that wait, at most `largest_batch`, in fixed_ms + each_ms * batch.

    Attributes:
        disturbed: share of all runs that a neighbour makes fail.
        seed: of the arrivals and the disturbances; each run draws anew.
    """

    fixed_ms: float = 8.0
    each_ms: float = 2.0
    largest_batch: int = 16
    bound_ms: float = 100.0
    disturbed: float = 0.0
    seed: int = 0
    runs: list[tuple[str, float]] = dataclasses.field(default_factory=list)

    @property
    def terms(self) -> peak.Terms:
        return peak.Terms(
            offline_qps=1e3 * self.largest_batch / (self.fixed_ms + self.each_ms * self.largest_batch),
            batch1_latency_ns=(self.fixed_ms + self.each_ms) * MS,
            bound_ns=self.bound_ms * MS,
        )

    def latencies_ms(self, rate: float, *, duration_s: float, seed: int) -> np.ndarray:
        draw = np.random.default_rng([seed, int(rate * 1e6)])
        arrivals = np.cumsum(draw.exponential(1e3 / rate, max(int(rate * duration_s), 1))).tolist()
        latencies, first, free_at = [], 0, 0.0
        while first < len(arrivals):
            begin = max(free_at, arrivals[first])
            last = first
            while last < len(arrivals) and last - first < self.largest_batch and arrivals[last] <= begin:
                last += 1
            free_at = begin + self.fixed_ms + self.each_ms * (last - first)
            latencies += [free_at - arrival for arrival in arrivals[first:last]]
            first = last
        return np.array(latencies)

    def probe(self, rate: float) -> Probe:
        self.runs.append(("short", rate))
        duration_s = peak.probe_duration_s(rate, self.terms)
        return self._disturbed(self._outcome(rate, duration_s=duration_s, seed=self.seed + len(self.runs)))

    def confirm(self, rate: float) -> Probe:
        self.runs.append(("full", rate))
        return self._disturbed(self._outcome(rate, duration_s=FULL_QUERIES / rate, seed=self.seed + len(self.runs)))

    def true_peak(self) -> float:
        """The highest rate whose 99th percentile is within the bound in a long run."""
        low, high = 0.01 * self.terms.offline_qps, 1.2 * self.terms.offline_qps
        while high / low > 1.005:
            middle = (low * high) ** 0.5
            late = self.latencies_ms(middle, duration_s=FULL_QUERIES / middle, seed=99) > self.bound_ms
            low, high = (middle, high) if late.mean() <= 0.01 else (low, middle)
        return low

    def _disturbed(self, outcome: Probe) -> Probe:
        if np.random.default_rng([self.seed, len(self.runs)]).random() >= self.disturbed:
            return outcome
        return dataclasses.replace(outcome, valid=False, p99_ns=10 * self.bound_ms * MS)

    def _outcome(self, rate: float, *, duration_s: float, seed: int) -> Probe:
        latencies = self.latencies_ms(rate, duration_s=duration_s, seed=seed)
        late = int((latencies > self.bound_ms).sum())
        # Early stopping asks for about this many: 459, 662, 838, ... of LoadGen's table, a little above.
        needed = 459 + 101 * late + 100 * late**0.5
        return Probe(
            target_qps=rate,
            valid=len(latencies) >= needed,
            p99_ns=float(np.percentile(latencies, 99)) * MS,
            duration_s=duration_s,
        )


def step_at(capacity: float, *, bound_ms: float = 100.0) -> Callable[[float], Probe]:
    """Runs that pass up to a rate and are given up above it."""
    return lambda rate: Probe(
        target_qps=rate, valid=rate <= capacity, p99_ns=0.5 * bound_ms * MS if rate <= capacity else None, duration_s=2
    )


TERMS = peak.Terms(offline_qps=1000.0, batch1_latency_ns=10 * MS, bound_ns=100 * MS)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("server", "least", "shorts", "fulls"),
    [
        pytest.param(dict(bound_ms=100.0), 0.92, 16, 3, id="wide bound"),
        pytest.param(dict(bound_ms=40.0), 0.92, 22, 4, id="bound of one large batch"),
        # The 99th percentile hardly depends on the rate here, so it says little of it.
        pytest.param(dict(bound_ms=25.0), 0.88, 24, 6, id="narrow bound"),
        pytest.param(dict(largest_batch=1, fixed_ms=0.0, each_ms=5.0, bound_ms=50.0), 0.92, 22, 4, id="no batching"),
        pytest.param(dict(fixed_ms=0.3, each_ms=0.1, bound_ms=15.0), 0.95, 12, 3, id="fast model"),
    ],
)
def test_finds_the_peak_of_a_queue_with_few_runs(server, least, shorts, fulls, seed, tmp_path):
    simulated = Simulated(seed=1000 * seed, **server)
    found = peak.find(
        simulated.probe, simulated.confirm, terms=simulated.terms, state=tmp_path / "search.json", key="k"
    )
    assert least <= found.target_qps / simulated.true_peak() <= 1.03
    stages = [stage for stage, _ in simulated.runs]
    assert stages.count("short") <= shorts
    assert stages.count("full") <= fulls
    assert_proven(found)


@pytest.mark.parametrize("capacity", [30.0, 333.0, 640.0, 799.0, 801.0, 950.0, 1234.0, 3000.0])
def test_finds_a_step_within_the_resolution(capacity, tmp_path):
    found = peak.find(step_at(capacity), step_at(capacity), terms=TERMS, state=tmp_path / "search.json", key="k")
    assert capacity / peak.RESOLUTION <= found.target_qps <= capacity
    assert_proven(found)


def test_takes_eight_short_runs_where_the_peak_is_near_the_offline_rate(tmp_path):
    found = peak.find(step_at(900), step_at(900), terms=TERMS, state=tmp_path / "search.json", key="k")
    assert len(found.probes) <= 8


@pytest.mark.parametrize("bound_ms", [40.0, 100.0])
def test_bears_runs_that_a_neighbour_disturbs(bound_ms, tmp_path):
    true_peak, low = Simulated(bound_ms=bound_ms).true_peak(), 0
    for seed in range(15):
        simulated = Simulated(seed=1000 * seed + 7, disturbed=0.1, bound_ms=bound_ms)
        found = peak.find(
            simulated.probe, simulated.confirm, terms=simulated.terms, state=tmp_path / f"{seed}.json", key="k"
        )
        assert found.target_qps >= 0.85 * true_peak
        assert_proven(found)
        low += found.target_qps < 0.9 * true_peak
    assert low <= 1


def test_one_disturbed_run_in_ten_rarely_lowers_the_answer_by_a_tenth(tmp_path):
    draw = np.random.default_rng(11)
    shares = []
    for number in range(400):
        capacity = float(draw.uniform(300, 1300))

        def run(rate: float, capacity: float = capacity) -> Probe:
            outcome = step_at(capacity)(rate)
            return dataclasses.replace(outcome, valid=False, p99_ns=None) if draw.random() < 0.1 else outcome

        found = peak.find(run, run, terms=TERMS, state=tmp_path / f"{number}.json", key="k")
        assert_proven(found)
        shares.append(found.target_qps / capacity)
    assert max(shares) <= 1
    assert sum(share < 0.9 for share in shares) <= 4


def test_one_more_full_run_halves_the_way_back_of_a_long_back_off(tmp_path):
    found = peak.find(step_at(900), step_at(800), terms=TERMS, state=tmp_path / "search.json", key="k")
    fulls = [(probe.target_qps, probe.valid) for probe in found.probes if probe.stage == "full"]
    assert found.target_qps == max(rate for rate, valid in fulls if valid)
    assert found.target_qps > 800 / 1.06
    assert_proven(found)


def test_goes_up_again_where_the_first_failure_does_not_repeat(tmp_path):
    runs = 0

    def probe(rate: float) -> Probe:
        nonlocal runs
        runs += 1
        return dataclasses.replace(step_at(950)(rate), **({"valid": False, "p99_ns": None} if runs == 1 else {}))

    found = peak.find(probe, step_at(950), terms=TERMS, state=tmp_path / "search.json", key="k")
    assert 950 / peak.RESOLUTION <= found.target_qps <= 950


def test_follows_a_server_that_gets_faster(tmp_path):
    runs = 0

    def capacity() -> float:
        return 600 + 40 * runs

    def probe(rate: float) -> Probe:
        nonlocal runs
        runs += 1
        return step_at(min(capacity(), 900))(rate)

    found = peak.find(probe, step_at(900), terms=TERMS, state=tmp_path / "search.json", key="k")
    assert 900 / peak.PROVEN_WITHIN <= found.target_qps <= 900
    assert_proven(found)


def test_backs_off_until_a_full_run_passes(tmp_path):
    found = peak.find(step_at(900), step_at(840), terms=TERMS, state=tmp_path / "search.json", key="k")
    assert 840 / 1.1 <= found.target_qps <= 840
    fulls = [probe for probe in found.probes if probe.stage == "full"]
    assert fulls[-1].valid
    assert_proven(found)


def test_takes_the_next_lower_rate_after_one_flaky_full_run(tmp_path):
    fulls = 0

    def confirm(rate: float) -> Probe:
        nonlocal fulls
        fulls += 1
        return dataclasses.replace(step_at(900)(rate), valid=fulls > 1)

    found = peak.find(step_at(900), confirm, terms=TERMS, state=tmp_path / "search.json", key="k")
    assert 0.9 * 900 <= found.target_qps <= 900
    assert fulls == 2


def test_never_ends_with_a_rate_that_no_full_run_confirmed(tmp_path):
    def confirm(rate: float) -> Probe:
        return Probe(target_qps=rate, valid=False, p99_ns=120 * MS, duration_s=600, reason="2 % were late")

    with pytest.raises(
        peak.NoValidRateError, match=r"the full runs at .* all failed \(the last: 2 % were late\)"
    ) as no:
        peak.find(step_at(900), confirm, terms=TERMS, state=tmp_path / "search.json", key="k")
    rates = [probe.target_qps for probe in no.value.probes if probe.stage == "full"]
    assert rates == sorted(rates, reverse=True)
    assert len(rates) == 5


def test_leaves_to_the_full_run_what_a_short_one_is_too_short_to_prove(tmp_path):
    def probe(rate: float) -> Probe:
        return dataclasses.replace(step_at(900)(rate), valid=False)

    found = peak.find(probe, step_at(900), terms=TERMS, state=tmp_path / "search.json", key="k")
    assert 900 / peak.RESOLUTION <= found.target_qps <= 900


def test_explains_a_bound_that_no_rate_keeps(tmp_path):
    simulated = Simulated(bound_ms=9.0)
    with pytest.raises(peak.NoValidRateError) as impossible:
        peak.find(simulated.probe, simulated.confirm, terms=simulated.terms, state=tmp_path / "search.json", key="k")
    assert str(impossible.value).startswith(
        "No rate keeps the latency bound of 9 ms: one sample alone takes 10 ms in this executable, and at 1 "
        "queries/s, where hardly any query waits, the 99th percentile was 1"
    )
    assert simulated.runs == [("short", 1.0)] * 3


def test_finds_the_floor_where_the_first_measurement_was_too_good(tmp_path):
    nothing = step_at(0)
    with pytest.raises(
        peak.NoValidRateError, match=r"one sample alone takes 10 ms .* the run was abandoned"
    ) as impossible:
        peak.find(nothing, nothing, terms=TERMS, state=tmp_path / "search.json", key="k")
    assert impossible.value.probes[-1].target_qps == pytest.approx(1.0)
    assert len(impossible.value.probes) <= 8


def test_says_so_where_every_rate_passes(tmp_path):
    with pytest.raises(peak.NoValidRateError, match="one of the two measurements is wrong"):
        peak.find(step_at(1e12), step_at(1e12), terms=TERMS, state=tmp_path / "search.json", key="k")


def test_ends_where_runs_contradict_each_other_for_ever(tmp_path):
    draw = np.random.default_rng(3)

    def probe(rate: float) -> Probe:
        valid = bool(draw.random() < 0.5)
        return Probe(target_qps=rate, valid=valid, p99_ns=(99 if valid else 101) * MS, duration_s=2)

    def confirm(rate: float) -> Probe:
        return Probe(target_qps=rate, valid=bool(draw.random() < 0.5), p99_ns=None, duration_s=600)

    for attempt in range(20):
        try:
            found = peak.find(probe, confirm, terms=TERMS, state=tmp_path / f"{attempt}.json", key="k")
        except peak.NoValidRateError:
            continue
        assert_proven(found)


@pytest.mark.parametrize("capacity", [30.0, 640.0, 900.0, 1234.0])
def test_goes_on_after_any_run_to_the_same_end(capacity, tmp_path):
    whole = peak.find(step_at(capacity), step_at(0.95 * capacity), terms=TERMS, state=tmp_path / "whole", key="k")
    written = json.loads((tmp_path / "whole").read_text())
    remeasured = dataclasses.replace(TERMS, offline_qps=1.02 * TERMS.offline_qps)
    for done in range(1, len(whole.probes) + 1):
        state = tmp_path / f"after-{done}"
        state.write_text(json.dumps({**written, "probes": written["probes"][:done]}))
        again = peak.find(step_at(capacity), step_at(0.95 * capacity), terms=remeasured, state=state, key="k")
        assert again == whole


def test_keeps_every_run_that_came_before_a_failure(tmp_path):
    state = tmp_path / "search.json"
    runs = 0

    def probe(rate: float) -> Probe:
        nonlocal runs
        runs += 1
        if runs == 4:
            raise KeyboardInterrupt
        return step_at(900)(rate)

    with pytest.raises(KeyboardInterrupt):
        peak.find(probe, step_at(900), terms=TERMS, state=state, key="k")
    assert len(peak.load_probes(state, key="k")) == 3
    found = peak.find(probe, step_at(900), terms=TERMS, state=state, key="k")
    assert found.probes[:3] == peak.load_probes(state, key="k")[:3]
    assert [path.name for path in tmp_path.iterdir()] == ["search.json"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"schema": 1, "key": "k", "pro',
        "[]",
        '{"schema": 2, "key": "k", "probes": []}',
        '{"schema": 1, "key": "k", "probes": [7]}',
        '{"schema": 1, "key": "k", "probes": [{"target_qps": 1.0}]}',
        '{"schema": 1, "key": "k", "probes": [{"target_qps": -1, "valid": true, "p99_ns": 1, "duration_s": 2}]}',
        '{"schema": 1, "key": "k", "probes": [{"target_qps": NaN, "valid": true, "p99_ns": 1, "duration_s": 2}]}',
        '{"schema": 1, "key": "k", "probes": [{"target_qps": "9", "valid": true, "p99_ns": 1, "duration_s": 2}]}',
    ],
)
def test_refuses_a_damaged_file(content, tmp_path):
    state = tmp_path / "search.json"
    state.write_text(content)
    with pytest.raises(DamagedDataError, match=r"search.json is damaged: .* Delete it to start again\."):
        peak.find(step_at(900), step_at(900), terms=TERMS, state=state, key="k")


def test_refuses_the_file_of_another_search(tmp_path):
    state = tmp_path / "search.json"
    peak.find(step_at(900), step_at(900), terms=TERMS, state=state, key="bound 100 ms")
    with pytest.raises(UsageError, match="is for 'bound 100 ms', and this one is for 'bound 15 ms'"):
        peak.find(step_at(900), step_at(900), terms=TERMS, state=state, key="bound 15 ms")


@pytest.mark.parametrize(
    ("rate", "bound_ms", "seconds"),
    [
        pytest.param(10_000.0, 15.0, 4.0, id="4 s at least"),
        pytest.param(500.0, 20.0, 10.0, id="5000 queries"),
        pytest.param(10_000.0, 130.0, 13.0, id="100 times the bound"),
        pytest.param(40.0, 15.0, 20.0, id="20 s at most"),
        pytest.param(10.0, 15.0, 80.0, id="800 queries"),
        pytest.param(0.1, 15.0, 600.0, id="600 s at most"),
        pytest.param(0.1, 5.0, 20.0, id="a bound that can't be kept"),
    ],
)
def test_makes_a_short_run_long_enough(rate, bound_ms, seconds):
    terms = dataclasses.replace(TERMS, bound_ns=bound_ms * MS)
    assert peak.probe_duration_s(rate, terms) == pytest.approx(seconds)


@pytest.mark.parametrize("stage", ["short", "full"])
@pytest.mark.parametrize("bound_ms", [15.0, 100.0])
def test_gives_up_no_run_that_is_valid(bound_ms, stage):
    simulated = Simulated(bound_ms=bound_ms)
    rate = simulated.true_peak()
    duration_s = peak.probe_duration_s(rate, simulated.terms)
    runs = [simulated.latencies_ms(rate, duration_s=duration_s, seed=seed) for seed in range(20)]
    late = [int((latencies > bound_ms).sum()) for latencies in runs]
    most = peak.most_late(rate * duration_s, stage=stage)
    in_time = [count for count in late if count <= 0.01 * rate * duration_s]
    assert in_time and max(in_time) < most
    overloaded = simulated.latencies_ms(1.5 * simulated.terms.offline_qps, duration_s=duration_s, seed=5)
    assert (overloaded > bound_ms).sum() > most


@pytest.mark.parametrize("name", ["offline_qps", "batch1_latency_ns", "bound_ns"])
def test_refuses_terms_that_were_not_measured(name):
    with pytest.raises(ValueError, match=f"{name} must be a number above 0, got nan"):
        dataclasses.replace(TERMS, **{name: float("nan")})


def assert_proven(found: peak.Peak) -> None:
    """A full run passed at the rate, and one full run or three short ones failed within 15 % above it."""
    at = [probe for probe in found.probes if probe.target_qps == found.target_qps and probe.stage == "full"]
    assert at and all(probe.valid for probe in at)
    above = {
        probe.target_qps
        for probe in found.probes
        if not probe.valid and found.target_qps < probe.target_qps <= found.target_qps * peak.PROVEN_WITHIN * (1 + 1e-9)
    }
    failed = [
        rate
        for rate in above
        if any(probe.stage == "full" for probe in found.probes if probe.target_qps == rate)
        or sum(not probe.valid for probe in found.probes if probe.target_qps == rate) >= 3
    ]
    assert failed
