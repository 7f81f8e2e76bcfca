"""Which sweeps may run trials at the same time, or on several hosts."""

import pytest

from tfperf import benchmarks, config
from tfperf.errors import UsageError
from tfperf.tuning import sweep

TRAINING, SERVING = "sweep-resnet50-mini-lr", "sweep-resnet50-mini-offline"
CHIEF = ("KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID")


@pytest.mark.parametrize(
    ("name", "workers", "variables", "message"),
    [
        (SERVING, 2, (), r"--workers must be 1 for a measurement, got 2: "),
        (SERVING, 1, CHIEF, rf"{', '.join(CHIEF)} is set, but a measurement is swept on one host: .* Unset it\."),
        (SERVING, 1, CHIEF[:1], r"KERASTUNER_ORACLE_IP is set, but a measurement is swept on one host: .* Unset it\."),
        (TRAINING, 1, CHIEF[:1], r"KERASTUNER_ORACLE_IP is set and KERASTUNER_ORACLE_PORT, KERASTUNER_TUNER_ID is not"),
        (TRAINING, 2, CHIEF, r"--workers=2 is for a sweep on one host, but KERASTUNER_ORACLE_IP is set\."),
    ],
)
def test_trials_that_would_disturb_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, workers: int, variables: tuple[str, ...], message: str
) -> None:
    for variable in CHIEF:
        monkeypatch.delenv(variable, raising=False)
    for variable in variables:
        monkeypatch.setenv(variable, "1")
    with pytest.raises(UsageError, match=message):
        sweep.check_workers(config.load_sweep(name, task_of=benchmarks.task), workers=workers)
