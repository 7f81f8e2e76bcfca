"""What the head of the best config says: the command, where it is from, what it is worth, what the rules allow."""

import json
import pathlib

import pytest

from tfperf import config, result
from tfperf.tuning import best, kinds, served
from tfperf.tuning.comparison import compare

RULES = (
    "executable: got litert-int8. Accepted in the closed division: another.",
    "min_duration_s: got 10.0. Accepted in the closed division: 600 or more.",
)


def outcome(objective: str, default: list[float | None], ours: list[float | None]) -> result.SweepResult:
    values = {"executable": "litert-int8", "threads": 2}
    trial = result.SweepTrial(
        name="3",
        status="completed",
        reason="",
        values=values,
        seed=None,
        objective=700.0,
        quality=None,
        time_to_target_s=None,
        examples_per_s=None,
        epochs=0,
    )
    return result.SweepResult(
        benchmark="resnet50_mini",
        valid=True,
        reasons=(),
        status="success",
        config={},
        environment={},
        objective=objective,
        direction="max",
        trials=(trial,),
        best="3",
        best_values=values,
        closed_rules=best.rulings(values, RULES),
        comparison=compare(default, ours, direction="max"),
    )


@pytest.mark.parametrize(
    ("name", "objective", "ours", "said"),
    [
        (
            "sweep-resnet50-mini-lr",
            "quality",
            [0.80, 0.82, 0.81],
            "Improvement of quality over 3 new seeds: +0.1, 95 % confidence interval +0.07733 to +0.1227. At least "
            "0.07733 of it is beyond seed noise.",
        ),
        (
            "sweep-resnet50-mini-offline",
            "throughput",
            [0.70, 0.72, 0.72],
            "Improvement of throughput (samples/s) over 3 new runs: +0.003333, 95 % confidence interval -0.02473 to "
            "+0.0314. It can't be told from the noise between runs.",
        ),
        (
            "sweep-resnet50-mini-offline",
            "throughput",
            [0.70, None, 0.72],
            "Over 3 new runs 2 runs with the best values and 3 with the default ones have a throughput (samples/s): no "
            "difference can be told.",
        ),
    ],
)
def test_an_improvement_is_told_with_what_it_is_beyond(
    name: str, objective: str, ours: list[float | None], said: str
) -> None:
    asked = config.load_sweep(name, options_of=kinds.options_of)
    assert best.improvement(outcome(objective, [0.70, 0.72, 0.71], ours), kinds.of(asked.base)) == said


def test_the_head_begins_with_the_command_and_tells_what_the_rules_say(tmp_path: pathlib.Path) -> None:
    asked = config.load_sweep("sweep-resnet50-mini-offline", options_of=kinds.options_of)
    (tmp_path / served.NAME).write_text(json.dumps({"path": "/a b/model.keras", "trusted": False}), encoding="utf-8")
    found = outcome("throughput", [700.0, 701.0], [800.0, 801.0])
    kind = kinds.of(asked.base)
    best.write(
        tmp_path / best.NAME, kind.best(asked.base, found.best_values), outcome=found, kind=kind, violations=RULES
    )
    text = (tmp_path / best.NAME).read_text(encoding="utf-8")
    head = [line for line in text.replace("\n#     ", " ").splitlines() if line.startswith("#")]
    assert head == [
        f"# tfperf infer --config {tmp_path / best.NAME} --weights '/a b/model.keras'",
        "# Found by an internal sweep: trial 3 of 1. The sweep is no MLPerf result; a run of this config is one in the "
        "open division at most.",
        "# Improvement of throughput (samples/s) over 2 new runs: +100, 95 % confidence interval +96.96 to +103. At "
        "least 96.96 of it is beyond the noise between runs.",
        "# Values that were varied, and what the closed division says of them:",
        "#   executable: not allowed. got litert-int8. Accepted in the closed division: another.",
        "#   threads: 2 is allowed",
        "# Not varied, and not allowed in the closed division either:",
        "#   min_duration_s: got 10.0. Accepted in the closed division: 600 or more.",
    ]
    read = config.load_inference(str(tmp_path / best.NAME), options_of=lambda name: kinds.options_of("infer", name))
    assert read == kind.best(asked.base, found.best_values)
