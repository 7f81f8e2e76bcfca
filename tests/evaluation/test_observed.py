"""Each load of an evaluation has its own energy and use of the machine."""

import numpy as np
import pytest

import tfperf
from tests.telemetry.test_powercap import AMD, tree
from tfperf import spec, telemetry_log


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
