"""A training run records its machine: the energy of exactly the time on the clock, or why there is none."""

import dataclasses

import pytest

from tests.run.test_train import tiny, train
from tests.telemetry.test_powercap import AMD, tree
from tfperf import result, spec, telemetry_log
from tfperf.errors import UsageError
from tfperf.reporting import table
from tfperf.reporting.plugin import page
from tfperf.reporting.plugin.directories import FoundRun
from tfperf.telemetry import observation


def observed(tmp_path, **telemetry):
    asked = spec.TelemetrySpec(**{"rate_hz": 10.0, "idle_s": 0.1, **telemetry})
    return train(tiny(telemetry=asked), tmp_path / "runs", tmp_path / "data")


def test_without_counters_every_view_says_why(tmp_path):
    outcome, run_dir = observed(tmp_path, powercap=str(tmp_path / "none"))
    reason = f"this machine has no {tmp_path / 'none'}: a virtual machine, a container without it, or a processor "
    packages = [each for each in outcome.energy if each.domain in ("package", "dram")]
    assert {(each.status, each.joules, each.window) for each in packages} == {("unavailable", None, "training")}
    assert all(each.reason.startswith(reason) for each in packages)
    assert packages[0].seconds == pytest.approx(outcome.run_s, abs=1e-3)
    assert f"package, dram: unavailable: {reason}" in table.train_table(outcome, run_dir=run_dir)
    assert f"package, dram: unavailable: {reason}" in outcome._repr_html_()
    shown = page.details(FoundRun(path=str(run_dir), name="run"))
    assert f"package, dram: unavailable: {reason}" in dict(shown["facts"])["energy"]
    assert result.read(run_dir / "result.json") == outcome
    (used,) = outcome.use
    assert used.readings >= 1  # a window this short, on a busy machine
    (limit,) = outcome.bottlenecks
    assert limit.verdict in ("input", "inconclusive")
    assert limit.evidence[0].startswith("input took ")
    assert used.run_cpu_percent > 0


def test_joules_to_train_can_be_recomputed_from_the_log(tmp_path):
    root = tree(tmp_path / "powercap", AMD)
    outcome, run_dir = observed(tmp_path, powercap=str(root))
    package = outcome.energy[0]
    assert (package.domain, package.status, package.joules) == ("package", "measured", 0.0)
    log = telemetry_log.read(run_dir / telemetry_log.NAME)
    assert [each.name for each in log.windows] == ["idle", "training"]
    assert {"idle", "begin of training", "end of training"} <= {row.get("mark") for row in log.rows}
    again = observation.of_log(log, log.windows[1:], spec=spec.TelemetrySpec(), meter_file=None)
    assert observation.together([again]).energy == outcome.energy


def test_a_meter_that_cannot_be_read_is_refused_before_the_run(tmp_path):
    with pytest.raises(UsageError, match="Start the meter's program before the run"):
        observed(tmp_path, power_source=f"csv:{tmp_path}/none.csv")
    assert not (tmp_path / "runs").exists()


def test_nothing_is_recorded_at_rate_0(tmp_path):
    outcome, run_dir = observed(tmp_path, rate_hz=0.0)
    assert (outcome.energy, outcome.use) == ((), ())
    assert not (run_dir / telemetry_log.NAME).exists()


def test_the_energy_of_a_failed_run_of_several_workers_is_unknown(tmp_path):
    from tfperf.run import observed as observed_runs
    from tfperf.telemetry.components import EnergyComponent
    from tfperf.telemetry.observation import WindowObservation
    from tfperf.telemetry_log import Window

    part = EnergyComponent(
        host_id="a", host="a", component="package-0", kind="package", status="measured", source="RAPL", joules=5.0
    )
    window = Window(name="training", begin_ns=0, end_ns=10**9)
    own = [WindowObservation(window=window, began_s=1e9, components=(part,), use=None, host_id="a")]
    assert observed_runs.by_one(own, workers=1).energy[0].joules == 5.0
    (package,) = observed_runs.by_one(own, workers=2).energy
    assert (package.status, package.joules) == ("unavailable", None)
    assert dataclasses.replace(package).reason.startswith("the run failed before the workers told each other")
