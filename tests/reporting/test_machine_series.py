"""The machine over time, from the raw readings of a run."""

import json

from tfperf import telemetry_log
from tfperf.reporting import machine_series

HEADER = {
    "telemetry": 1,
    "host": "here",
    "boot_id": "x",
    "rate_hz": 1,
    "zones": [{"name": "package-0", "kind": "package", "max_uj": 100_000_000, "reason": ""}],
    "gpus": [{"uuid": "GPU-0", "name": "double"}],
}
WINDOW = {"window": {"name": "training", "begin_ns": 10**9, "end_ns": 3 * 10**9, "samples": 5}}


def reading(second):
    return {
        "at_ns": second * 10**9,
        "time_s": 1e9 + second,
        "cores": [[0.5 * second, 0.5 * second, 0.0], [0.25 * second, 0.75 * second, 0.0]],
        "run_cpu_s": 0.5 * second,
        **({"memory": [75, 100]} if second % 2 == 0 else {}),
        "uj": {"package-0": (90_000_000 + 20_000_000 * second) % 100_000_000},
        "gpus": [{"percent": 50 + second, "watts": 200}],
    }


def lines(seconds):
    return [json.dumps(each) for each in (HEADER, *map(reading, range(seconds + 1)), WINDOW)]


def test_curves_are_means_and_power_is_unwrapped():
    log = telemetry_log.parse("".join(f"{line}\n" for line in lines(4)).encode(), source="log")
    found = machine_series.of_log(log, most=2)
    assert found["seconds"] == [2, 4]
    assert {(each["name"], each["unit"]): each["values"] for each in found["series"]} == {
        ("processors", "%"): [37.5, 37.5],
        ("the run's processes", "%"): [25, 25],
        ("memory", "%"): [25, 25],
        ("GPU 0", "%"): [51.5, 53.5],
        ("package-0", "W"): [20, 20],
        ("GPU 0", "W"): [200, 200],
    }
    assert found["windows"] == [{"name": "training", "from_s": 1, "to_s": 3}]


def test_a_process_that_was_found_late_makes_no_peak():
    rows = [reading(second) for second in range(5)]
    for row, cpu_s, found in zip(rows, (0.0, 0.0, 3.0, 3.0, 4.0), (True, False, True, False, True), strict=True):
        row["run_cpu_s"] = cpu_s
        if found:
            row["run_memory"] = 10
    content = "".join(json.dumps(each) + "\n" for each in (HEADER, *rows)).encode()
    found = machine_series.of_log(telemetry_log.parse(content, source="log"))
    (shares,) = [each["values"] for each in found["series"] if each["name"] == "the run's processes"]
    assert shares == [75, 75, 25, 25]  # of two cores
