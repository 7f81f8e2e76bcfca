"""Steady state: the tests behind it against pymannkendall and a published series, the verdicts, and simulated runs."""

import numpy as np
import pytest

from tfperf.analysis import steady_state

# Annual flow of the Nile at Aswan, 1871-1970 (Cobb, Biometrika 65, 1978); its level fell after 1898, the 28th value.
# fmt: off
NILE = np.array([
    1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960, 1180, 799, 958, 1140,
    1100, 1210, 1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694, 940, 833, 701, 916, 692, 1020, 1050, 969,
    831, 726, 456, 824, 702, 1120, 1100, 832, 764, 821, 768, 845, 864, 862, 698, 845, 744, 796, 1040, 759,
    781, 865, 845, 944, 984, 897, 822, 1010, 771, 676, 649, 846, 812, 742, 801, 1040, 860, 874, 848, 890,
    744, 749, 838, 1050, 918, 986, 797, 923, 975, 815, 1020, 906, 901, 1170, 912, 746, 919, 718, 714, 740,
], float)
# fmt: on


def run(kind, *, seed, dependence=0.5, spread=0.01, count=60):
    """Medians of one-second windows of 50 requests of 20 ms, with a tail; the level of a window is AR(1)."""
    random = np.random.default_rng(seed)
    level = random.standard_normal(count)
    for window in range(1, count):
        level[window] = dependence * level[window - 1] + np.sqrt(1 - dependence**2) * level[window]
    level, at = np.exp(spread * level), np.arange(count)
    level *= {
        "steady": np.ones(count),
        "warm-up": 1 + 0.5 * np.exp(-at / 4),
        "drift": 1 + 0.08 * at / (count - 1),
        "shift": 1 + 0.08 * (at >= 35),
    }[kind]
    times = 20 * np.exp(0.15 * random.standard_normal((count, 50))) * level[:, None]
    tail = random.random(times.shape) < 0.015
    times = np.where(tail, 1.5 * times * (1 - random.random(times.shape)) ** -0.4, times)
    return steady_state.Windows(ended_s=at + 1.0, median=np.median(times, axis=1))


def test_mann_kendall_is_that_of_pymannkendall():
    # pymannkendall 1.4.3, hamed_rao_modification_test
    assert steady_state.mann_kendall(NILE) == pytest.approx((-2.8199791956451388, 0.004802676310182719, -2.6))
    walk = np.cumsum(np.random.default_rng(0).normal(size=40))
    assert steady_state.mann_kendall(walk) == pytest.approx((-3.343463721985369, 8.273951142776514e-4, -0.14573132))


def test_pettitt_finds_the_known_shift_of_the_nile():
    before, statistic, p = steady_state.pettitt(NILE)

    def literally(at):
        return np.sign(NILE[:at, None] - NILE[None, at:]).sum()

    assert statistic == max(abs(literally(at)) for at in range(1, len(NILE)))
    assert before == 28
    assert p == pytest.approx(2 * np.exp(-6 * statistic**2 / (100**3 + 100**2)))


@pytest.mark.parametrize(
    ("kind", "expected", "least"),
    [
        ("steady", {"STEADY"}, 0.95),
        ("warm-up", {"STEADY"}, 0.93),
        ("drift", {"DRIFT", "LEVEL_SHIFT"}, 0.95),
        ("shift", {"LEVEL_SHIFT"}, 0.93),
    ],
)
def test_simulated_runs_are_judged_rightly(kind, expected, least):
    verdicts = [steady_state.examine(run(kind, seed=seed)).verdict for seed in range(100)]
    assert sum(verdict in expected for verdict in verdicts) / len(verdicts) >= least


def test_tells_when_and_by_how_much_the_level_shifted_and_what_the_machine_did():
    at_s = np.arange(61.0)
    clock = steady_state.MachineSeries(
        name="SM clock", unit="MHz", at_s=at_s, values=np.where(at_s <= 35, 1410.0, 1180.0)
    )
    memory = steady_state.MachineSeries(name="memory clock", unit="MHz", at_s=at_s, values=np.full(61, 1593.0))
    windows = steady_state.Windows(ended_s=np.arange(60) + 1.0, median=np.where(np.arange(60) < 35, 20.0, 21.6))
    found = steady_state.examine(windows, machine=(clock, memory))

    assert found == steady_state.Steadiness(
        verdict="LEVEL_SHIFT",
        change=pytest.approx(0.08),
        at_s=35.0,
        cropped_s=0.0,
        level=20.0,
        windows=60,
        retraced=0,
        because=("The model became 8.0% slower at 35 s.", "SM clock fell 1410 -> 1180 MHz at 35 s."),
    )


def test_the_warm_up_is_cropped_but_a_fast_start_is_not():
    slow_start = np.concatenate([np.full(10, 30.0), np.full(50, 20.0)])
    at_s = np.arange(60) + 1.0
    found = steady_state.examine(steady_state.Windows(ended_s=at_s, median=slow_start))
    assert (found.verdict, found.cropped_s, found.level, found.windows) == ("STEADY", 10.0, 20.0, 50)

    fast_start = np.concatenate([np.full(20, 20.0), np.full(40, 24.0)])
    found = steady_state.examine(steady_state.Windows(ended_s=at_s, median=fast_start))
    assert (found.verdict, found.at_s, found.cropped_s) == ("LEVEL_SHIFT", 20.0, 0.0)


def test_a_run_that_jumps_between_levels_has_no_steady_state():
    jumping = np.random.default_rng(0).choice([10.0, 20.0, 40.0], size=100)
    found = steady_state.examine(steady_state.Windows(ended_s=np.arange(100) + 1.0, median=jumping))
    assert found.verdict == "NO_STEADY_STATE"


def test_a_window_has_a_second_and_30_executions_and_a_retrace_leaves_it_out():
    ended_ns = np.arange(1, 1001) * 10_000_000
    found = steady_state.windows(ended_ns, np.full(1000, 7.0))
    assert len(found.median) == 9
    assert set(found.median) == {7.0}
    assert len(steady_state.windows(ended_ns * 10, np.ones(1000)).median) == 33
    retraced = steady_state.windows(ended_ns, np.ones(1000), retraced_ns=[2_500_000_000])
    assert (len(retraced.median), retraced.retraced) == (8, 1)
    assert len(steady_state.windows(ended_ns * 1000, np.ones(1000)).median) == 33


def test_too_few_windows_are_too_short():
    found = steady_state.examine(steady_state.windows(np.arange(500) * 10_000_000, np.ones(500)))
    assert (found.verdict, found.level) == ("TOO_SHORT", None)
    assert found.because == (
        "The run has 4 windows of at least 1 s and 30 executions; 20 are needed to tell whether it was steady.",
    )
    assert steady_state.examine(steady_state.windows(np.zeros(0), np.zeros(0))).verdict == "TOO_SHORT"


def test_names_what_is_wrong():
    with pytest.raises(ValueError, match="ended_ns and took must be flat and equally long"):
        steady_state.windows(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="The times of executions must be above 0"):
        steady_state.examine(steady_state.Windows(ended_s=np.arange(30.0), median=np.zeros(30)))
