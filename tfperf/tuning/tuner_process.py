"""One keras-tuner process of a sweep: `python -m tfperf.tuning.tuner_process PROJECT PLACE PARENT_PID`.

Alone, it both chooses the values and tries them. With `KERASTUNER_ORACLE_IP`, `KERASTUNER_ORACLE_PORT` and
`KERASTUNER_TUNER_ID` in its environment it is one of several, on this host or others, as keras-tuner documents: the one
whose id contains `chief` chooses the values and the others try them.
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import signal
import sys
import time
from typing import Any

import keras_tuner

from tfperf import spec as specs
from tfperf.tuning import objective, parent_watch, search_space, trial_process, workload
from tfperf.tuning import project as projects
from tfperf.tuning import trial as trials
from tfperf.tuning.project import Project

_NO_LIMIT = 10**9
_IDLE_S = 0.2


class _Tuner(keras_tuner.engine.base_tuner.BaseTuner):  # type: ignore[misc]
    """Keras-tuner's loop, with each trial in its own process."""

    def __init__(self, project: Project, oracle: keras_tuner.Oracle) -> None:
        folder = project.path / projects.TUNER
        before = (folder / "oracle.json").is_file()
        self._project = project
        super().__init__(oracle, directory=str(project.path), project_name=projects.TUNER)
        reloaded = pathlib.Path(self._get_tuner_fname()).is_file()
        if before and not reloaded and not self._is_worker():  # interrupted early, or started with other workers
            self.oracle.reload()

    def pre_create_trial(self) -> None:
        """Waits a moment: without it keras-tuner polls in a busy loop while there is nothing to try."""
        time.sleep(_IDLE_S)

    def run_trial(self, trial: Any, *_: Any, **__: Any) -> dict[str, float]:
        """Runs a trial with the chosen values. Keras-tuner records a failure, too."""
        spec = self._project.spec
        ended = trial_process.run(
            self._project.path / trials.FOLDER / trial.trial_id,
            workload.of(spec.base).trial(self._project, trial.trial_id, trial.hyperparameters.values),
            limit_s=spec.trial_limit_s,
        )
        if ended.score is None:
            raise keras_tuner.errors.FailedTrialError(ended.reason)
        return {spec.objective: ended.score}

    def get_state(self) -> dict[str, Any]:
        """What keras-tuner writes for this tuner: the stamp of an internal sweep."""
        return dict(search_space.STAMP)


class _Grid(keras_tuner.oracles.GridSearchOracle):  # type: ignore[misc]
    """Keras-tuner's grid search, made resumable: 1.4.8 does not save its position in the grid."""

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores the position in the grid from the trials that have begun."""
        super().set_state(state)
        in_order = functools.cmp_to_key(
            lambda one, other: self._compare(*(self.trials[name].hyperparameters.values for name in (one, other)))
        )
        for name in sorted(self.start_order, key=in_order):
            self._ordered_ids.insert(name)
        self._populate_next = list(self.start_order)


def oracle(spec: specs.SweepSpec) -> keras_tuner.Oracle:
    """Keras-tuner's search for this sweep."""
    shared = {
        "objective": keras_tuner.Objective(spec.objective, objective.DIRECTIONS[spec.objective]),
        "hyperparameters": search_space.parameters(spec.space),
        "seed": spec.seed,
        "max_consecutive_failed_trials": _NO_LIMIT,  # a failed trial never ends the sweep
    }
    if spec.search == "hyperband":
        assert isinstance(spec.base, specs.TrainSpec)  # SweepSpec checks this
        found = keras_tuner.oracles.HyperbandOracle(max_epochs=spec.base.max_epochs, **shared)
        found.max_trials = spec.most_trials
        return found
    oracles = {
        "random": keras_tuner.oracles.RandomSearchOracle,
        "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
        "grid": _Grid,
    }
    return oracles[spec.search](max_trials=spec.most_trials, **shared)


def main(path: pathlib.Path, workspace: str) -> None:
    """Takes part in the sweep until keras-tuner says that it is over."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    project = projects.read(path, workspace=projects.workspace_from(json.loads(workspace)))
    tuner = _Tuner(project, oracle(project.spec))
    tuner.search(verbose=0)


if __name__ == "__main__":
    parent_watch.end_with(int(sys.argv[3]))
    try:
        main(pathlib.Path(sys.argv[1]), sys.argv[2])
    except KeyboardInterrupt:
        sys.stdout.flush()
        os._exit(130)  # a normal exit would wait for the threads of gRPC
