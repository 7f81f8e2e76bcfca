"""Each load of an evaluation has its own energy and use of the machine."""

import numpy as np
import pytest

import tfperf
from tests.evaluation.made_up import load
from tests.telemetry.test_powercap import AMD, tree
from tfperf import spec, telemetry_log
from tfperf.analysis.bottleneck import PeakShares
from tfperf.evaluation import observed


def test_each_load_has_its_window(tmp_path):
    telemetry = spec.TelemetrySpec(rate_hz=10, idle_s=0.1, powercap=str(tree(tmp_path / "powercap", AMD)))
    phases = (spec.WarmUp(iterations=2), spec.Concurrency(streams=(1, 2), duration_s=0.3))
    found = tfperf.evaluate(
        lambda inputs: inputs * 2,
        np.ones((8, 4), "float32"),
        config=spec.EvaluateSpec(phases=phases, telemetry=telemetry),
        workspace=tfperf.Workspace(output_dir=tmp_path / "runs", name="test"),
    )
    packages = [each for each in found.result.energy if each.domain == "package"]
    assert [each.status for each in packages] == ["measured", "measured"]
    assert [each.samples for each in packages] == [phase.samples for phase in found.result.phases]
    assert [each.seconds for each in packages] == pytest.approx([phase.duration_s for phase in found.result.phases])
    assert packages[0].window == "concurrency, 1 stream, as_given, batch 1"
    assert [each.window for each in found.result.use] == [each.window for each in packages]
    drams = [each for each in found.result.energy if each.domain == "dram"]
    assert {each.reason for each in drams} == {"the processors here count no energy of their memory"}
    assert "dram: unavailable: the processors here count no energy of their memory" in str(found)
    log = telemetry_log.read(found.run_dir / telemetry_log.NAME)
    assert [each.name for each in log.windows] == ["idle", *(each.window for each in packages)]


@pytest.mark.parametrize(
    ("mean_ns", "queue_ns", "service_ns", "verdict", "shares"),
    [
        (1000.0, 100.0, 850.0, "inconclusive", "sent late 5%, queue 10%, model 85%"),
        (1000.0, 100.0, 100.0, "load generator", "sent late 80%, queue 10%, model 10%"),
        (900.0, 100.0, 900.0, "inconclusive", "sent late 0%, queue 10%, model 90%"),  # LoadGen's own clock
    ],
)
def test_the_mean_delay_of_the_issuer_decides_and_not_its_percentile(mean_ns, queue_ns, service_ns, verdict, shares):
    sent = load(mean_ns=mean_ns, queue_ns=queue_ns, service_ns=service_ns, lag_p99_ns=2000.0)
    found = observed._limit(sent, None)
    assert found.verdict == verdict
    assert found.evidence[1].endswith(shares)


@pytest.mark.parametrize(
    ("phase", "busy", "peak", "verdict"),
    [
        ("concurrency", None, PeakShares(arithmetic=0.6, copying=0.1), "compute"),
        ("offline", 0.9, PeakShares(arithmetic=0.1, copying=0.7), "memory"),
        ("offline", 0.2, PeakShares(arithmetic=0.6, copying=0.1), "dispatch"),
        ("concurrency", None, "nobody can tell", "inconclusive"),
    ],
)
def test_a_load_that_the_model_took_is_compared_with_the_peak(phase, busy, peak, verdict):
    class Known:
        def of(self, load):
            return peak

    found = observed._limit(load(phase=phase, busy=busy, queue_ns=0.0, service_ns=900.0), Known())
    assert found.verdict == verdict
    assert ("nobody can tell" in found.evidence) == (peak == "nobody can tell")
