"""Energy, use and bottlenecks in `result.json`."""

import dataclasses
import json

import pytest

from tfperf import result

MEASURED = result.EnergyDomain(
    domain="package",
    status="measured",
    source="RAPL",
    window="training",
    began_s=1e9,
    seconds=10.0,
    joules=500.0,
    watts=50.0,
    samples=100,
    joules_per_sample=5.0,
)
UNAVAILABLE = result.EnergyDomain(
    domain="dram", status="unavailable", reason="no counter", window="training", began_s=1e9, seconds=10.0
)
GPU = result.GpuUse(uuid="GPU-0", name="double", percent=87.0, throttled_by=("power cap",))
USE = result.MachineUse(window="training", host="here", began_s=1e9, seconds=10.0, readings=10, cores=2, gpus=(GPU,))
LIMIT = result.Bottleneck(window="training", verdict="input", evidence=("40 % of the time",))


def outcome() -> result.TrainResult:
    return result.TrainResult(
        benchmark="custom",
        division="internal",
        valid=True,
        reasons=(),
        closed_eligible=False,
        closed_ineligible_because=(),
        status="success",
        config={},
        environment={},
        time_to_train_s=10.0,
        run_s=10.0,
        quality=result.Quality(metric="accuracy", value=0.9, target=0.8, reached=True),
        epochs=1,
        examples_per_s=10.0,
        energy=(MEASURED, UNAVAILABLE),
        use=(USE,),
        bottlenecks=(LIMIT,),
    )


def test_is_read_back_as_written(tmp_path):
    path = tmp_path / "result.json"
    result.write(path, outcome())
    assert result.read(path) == outcome()
    written = json.loads(path.read_text())["energy"]
    assert [(each["domain"], each["status"], each["joules"]) for each in written] == [
        ("package", "measured", 500.0),
        ("dram", "unavailable", None),
    ]


def test_a_result_of_an_earlier_version_has_none(tmp_path):
    fields = result.as_dict(outcome())
    for name in ("energy", "use", "bottlenecks"):
        del fields[name]
    found = result.parse(json.dumps(fields), source="result.json")
    assert isinstance(found, result.TrainResult)
    assert (found.energy, found.use, found.bottlenecks) == ((), (), ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joules": None}, "package is measured with joules=None."),
        ({"status": "unavailable"}, "package is unavailable with joules=500.0."),
        ({"status": "estimated"}, "package is estimated with the reason ''."),
        ({"reason": "guessed"}, "package is measured with the reason 'guessed'."),
    ],
)
def test_a_status_fits_its_number(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(MEASURED, **change)
