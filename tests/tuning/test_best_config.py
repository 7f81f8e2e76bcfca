"""What the head of the best config says: the command, where it is from, what it is worth, what the rules allow."""

import dataclasses
import json
import pathlib

import pytest

from tfperf import benchmarks, config, result
from tfperf.tuning import best_config, served_model, workload
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
        closed_rules=best_config.rulings(values, RULES),
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
            "0.07733 of it exceeds seed noise.",
        ),
        (
            "sweep-resnet50-mini-offline",
            "throughput",
            [0.70, 0.72, 0.72],
            "Improvement of throughput (samples/s) over 3 new runs: +0.003333, 95 % confidence interval -0.02473 to "
            "+0.0314. It is not larger than the noise between runs.",
        ),
        (
            "sweep-resnet50-mini-offline",
            "throughput",
            [0.70, None, 0.72],
            "Over 3 new runs, 2 runs with the best values and 3 with the default ones have a throughput (samples/s): "
            "the difference is unknown.",
        ),
    ],
)
def test_an_improvement_is_compared_with_the_noise(
    name: str, objective: str, ours: list[float | None], said: str
) -> None:
    loaded = config.load_sweep(name, task_of=benchmarks.task)
    assert best_config.improvement(outcome(objective, [0.70, 0.72, 0.71], ours), workload.of(loaded.base)) == said


def test_the_default_is_no_improvement_over_itself() -> None:
    loaded = config.load_sweep("sweep-resnet50-mini-lr", task_of=benchmarks.task)
    same = dataclasses.replace(outcome("quality", [0.7], [0.7]), comparison=None)
    same = dataclasses.replace(same, default_values=same.best_values)
    said = best_config.improvement(same, workload.of(loaded.base))
    assert said == "The best values are the default ones, so there is no improvement to measure."


def test_the_head_begins_with_the_command_and_tells_what_the_rules_say(tmp_path: pathlib.Path) -> None:
    loaded = config.load_sweep("sweep-resnet50-mini-offline", task_of=benchmarks.task)
    (tmp_path / served_model.NAME).write_text(
        json.dumps({"path": "/a b/model.keras", "trusted": False}), encoding="utf-8"
    )
    found = outcome("throughput", [700.0, 701.0], [800.0, 801.0])
    serving = workload.of(loaded.base)
    best_config.write(
        tmp_path / best_config.NAME,
        serving.best(loaded.base, found.best_values),
        outcome=found,
        workload=serving,
        violations=RULES,
    )
    text = (tmp_path / best_config.NAME).read_text(encoding="utf-8")
    head = [line for line in text.replace("\n#     ", " ").splitlines() if line.startswith("#")]
    assert head == [
        f"# tfperf infer --config {tmp_path / best_config.NAME} --weights '/a b/model.keras'",
        "# Found by an internal sweep: trial 3 of 1. The sweep is not an MLPerf result; a run of this config can be "
        "one in the open division at most.",
        "# Improvement of throughput (samples/s) over 2 new runs: +100, 95 % confidence interval +96.96 to +103. At "
        "least 96.96 of it exceeds the noise between runs.",
        "# Varied values, and what the closed rules say about them:",
        "#   executable: not allowed. got litert-int8. Accepted in the closed division: another.",
        "#   threads: 2 is allowed",
        "# Not varied, and not allowed in the closed division either:",
        "#   min_duration_s: got 10.0. Accepted in the closed division: 600 or more.",
    ]
    read = config.load_inference(str(tmp_path / best_config.NAME), task_of=benchmarks.task)
    assert read == serving.best(loaded.base, found.best_values)
