"""Keras-tuner proposes values inside the space, by each of its searches."""

import dataclasses
import pathlib

import pytest

from tfperf import benchmarks, config, spec
from tfperf.tuning import workload

pytestmark = pytest.mark.filterwarnings("ignore:currentThread:DeprecationWarning", "ignore:getName:DeprecationWarning")


def loaded(search: str) -> spec.SweepSpec:
    loaded = config.load_sweep(
        "sweep-resnet50-mini-lr",
        task_of=benchmarks.task,
        overrides=(
            f"search={search}",
            "space={optimizer.sgd.base_learning_rate: {log_uniform: [1e-3, 1]}, global_batch_size: {choice: [32, 64]}, "
            "steps_per_execution: {integers: [1, 8, 2]}, optimizer.sgd.decay_steps: {choice: [null, 100]}}",
        ),
    )
    return dataclasses.replace(loaded, max_trials=6)


@pytest.mark.parametrize("search", ["random", "bayesian", "hyperband", "grid"])
def test_every_search_proposes_values_that_the_spec_takes(search: str, tmp_path: pathlib.Path) -> None:
    from tfperf.tuning import search_space, tuner_process

    sweep = loaded(search)
    oracle = tuner_process.oracle(sweep)
    oracle.verbose = 0
    oracle._set_project_dir(str(tmp_path), "sweep")
    seen = []
    while (trial := oracle.create_trial("tuner0")).status == "RUNNING":
        values = search_space.decoded(sweep.space, trial.hyperparameters.values)
        workload.of(sweep.base).best(sweep.base, values)
        seen.append(tuple(values.values()))
        if search == "hyperband":
            assert 1 <= trial.hyperparameters.values["tuner/epochs"] <= config.value_of(sweep.base, "max_epochs")
        oracle.update_trial(trial.trial_id, {"quality": len(seen) / 10})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    assert 1 < len(seen) <= 6
    assert len(set(seen)) > 1
    for rate, batch, steps, decay in seen:
        assert (1e-3 <= rate <= 1, batch in (32, 64), steps in (1, 3, 5, 7), decay in (None, 100)) == (True,) * 4
    assert '"value": "internal"' in (tmp_path / "sweep" / "oracle.json").read_text(encoding="utf-8")
    assert all('"internal"' in path.read_text(encoding="utf-8") for path in tmp_path.rglob("trial.json"))


@pytest.mark.parametrize("search", ["random", "bayesian", "hyperband", "grid"])
def test_every_search_continues_after_an_interruption_with_the_interrupted_trial(
    search: str, tmp_path: pathlib.Path
) -> None:
    from tfperf.tuning import tuner_process

    first = tuner_process.oracle(loaded(search))
    tried = propose(first, tmp_path, up_to=2)
    interrupted = first.create_trial("tuner0")
    again = tuner_process.oracle(loaded(search))
    again.verbose = 0
    again._set_project_dir(str(tmp_path), "sweep")
    again.reload()
    rest = propose(again, tmp_path)
    assert rest[0] == (interrupted.trial_id, interrupted.hyperparameters.values)
    names = [name for name, _ in (*tried, *rest)]
    assert names == sorted(set(names))
    assert len(names) == len(again.trials) > 3
    if search == "grid":
        assert len({str(values) for _, values in (*tried, *rest)}) == 6


def propose(oracle, folder: pathlib.Path, *, up_to: int = 100) -> list[tuple[str, dict[str, object]]]:  # type: ignore[no-untyped-def]
    """Lets the search propose trials that end well, until it is over or there are enough."""
    oracle.verbose = 0
    oracle._set_project_dir(str(folder), "sweep")
    seen: list[tuple[str, dict[str, object]]] = []
    while len(seen) < up_to and (trial := oracle.create_trial("tuner0")).status == "RUNNING":
        seen.append((trial.trial_id, trial.hyperparameters.values))
        oracle.update_trial(trial.trial_id, {"quality": 0.1})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return seen
