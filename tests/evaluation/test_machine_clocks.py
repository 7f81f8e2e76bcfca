"""Clocks and temperatures explain what a load did, where the system shows them."""

import pathlib
import time

import numpy as np

from tfperf.evaluation import machine_clocks, verdicts
from tfperf.evaluation.answered import Answered
from tfperf.evaluation.machine_clocks import MachineClocks


def show(root: pathlib.Path, *, khz: tuple[int, ...], milli_celsius: int) -> None:
    for core, clock in enumerate(khz):
        folder = root / "devices" / "system" / "cpu" / f"cpu{core}" / "cpufreq"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "scaling_cur_freq").write_text(f"{clock}\n")
    zone = root / "class" / "thermal" / "thermal_zone0"
    zone.mkdir(parents=True, exist_ok=True)
    (zone / "temp").write_text(f"{milli_celsius}\n")


def test_they_are_read_once_a_second_where_there_are_any(tmp_path: pathlib.Path, monkeypatch) -> None:
    show(tmp_path, khz=(3_000_000, 2_000_000), milli_celsius=60_500)
    clocks = MachineClocks(tmp_path)
    begin_ns = time.perf_counter_ns()
    clocks.look()
    clocks.look()  # too soon
    clock, temperature = clocks.since(begin_ns)
    assert (clock.name, clock.unit, clock.values.tolist()) == ("CPU clock", "MHz", [2500.0])
    assert temperature.values.tolist() == [60.5]
    assert clocks.since(time.perf_counter_ns()) == []
    nothing = MachineClocks(tmp_path / "nowhere")
    nothing.look()
    assert nothing.since(0) == []


def test_a_level_shift_names_the_clock_that_fell_at_that_time(tmp_path: pathlib.Path, monkeypatch) -> None:
    now_ns = 0
    monkeypatch.setattr(machine_clocks.time, "perf_counter_ns", lambda: now_ns)
    clocks, answered = MachineClocks(tmp_path), Answered()
    show(tmp_path, khz=(3_000_000,), milli_celsius=60_000)
    clocks = MachineClocks(tmp_path)
    random = np.random.default_rng(1)
    for second in range(60):
        if second == 35:
            show(tmp_path, khz=(2_700_000,), milli_celsius=60_000)
        for number in range(40):
            begin = second * 1_000_000_000 + number * 25_000_000
            took = int(20e6 * (1.1 if second >= 35 else 1.0) * (1 + 0.01 * random.random()))
            answered.add(begin, begin, begin, begin + took, 0)
        now_ns = (second + 1) * 1_000_000_000
        clocks.look()
    answered.read(ended=True)
    rows = answered.rows()
    found = verdicts.steadiness(rows, machine=clocks.since(int(rows.done_ns.min())))
    assert found.verdict == "LEVEL_SHIFT"
    assert found.because[1].startswith("CPU clock fell 3000 -> 2700 MHz at 3")
    assert len(found.because) == 2
