"""One keras-tuner process of a sweep: `python -m tfperf.tuning.member PROJECT PLACE PARENT_PID`.

With `KERASTUNER_ORACLE_IP`, `KERASTUNER_ORACLE_PORT` and `KERASTUNER_TUNER_ID` in its environment it is one of several,
on this host or others, as keras-tuner describes: the one whose id holds `chief` hands out the values, the others try
them. Without them it does both.
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

from tfperf import spec
from tfperf.tuning import attempt, kinds, lifeline, objective, project, search_space
from tfperf.tuning import trial as trials
from tfperf.tuning.project import Project

_NO_LIMIT = 10**9
_IDLE_S = 0.2


class _Tuner(keras_tuner.engine.base_tuner.BaseTuner):  # type: ignore[misc]
    """Keras-tuner's loop around trials that run in processes of their own."""

    def __init__(self, opened: Project, oracle: keras_tuner.Oracle) -> None:
        folder = opened.path / project.TUNER
        before = (folder / "oracle.json").is_file()
        self._opened = opened
        super().__init__(oracle, directory=str(opened.path), project_name=project.TUNER)
        reloaded = pathlib.Path(self._get_tuner_fname()).is_file()
        if before and not reloaded and not self._is_worker():  # cut off early, or by other members than now
            self.oracle.reload()

    def pre_create_trial(self) -> None:
        """Waits a moment: keras-tuner asks again at once while there is nothing to try."""
        time.sleep(_IDLE_S)

    def run_trial(self, trial: Any, *_: Any, **__: Any) -> dict[str, float]:
        """Runs a trial with what was chosen for it; a failure is keras-tuner's to record as well."""
        asked = self._opened.asked
        ended = attempt.run(
            self._opened.path / trials.FOLDER / trial.trial_id,
            kinds.of(asked.base).trial(self._opened, trial.trial_id, trial.hyperparameters.values),
            limit_s=asked.trial_limit_s,
        )
        if ended.score is None:
            raise keras_tuner.errors.FailedTrialError(ended.reason)
        return {asked.objective: ended.score}

    def get_state(self) -> dict[str, Any]:
        """What keras-tuner writes for this tuner: that it is of an internal sweep."""
        return dict(search_space.STAMP)


class _Grid(keras_tuner.oracles.GridSearchOracle):  # type: ignore[misc]
    """Keras-tuner's grid search, which in 1.4.8 does not save where it is in the grid and so can't go on."""

    def set_state(self, state: dict[str, Any]) -> None:
        """Finds the place in the grid from the trials that have begun."""
        super().set_state(state)
        in_order = functools.cmp_to_key(
            lambda one, other: self._compare(*(self.trials[name].hyperparameters.values for name in (one, other)))
        )
        for name in sorted(self.start_order, key=in_order):
            self._ordered_ids.insert(name)
        self._populate_next = list(self.start_order)


def oracle(asked: spec.SweepSpec) -> keras_tuner.Oracle:
    """Keras-tuner's search for what is asked."""
    shared = {
        "objective": keras_tuner.Objective(asked.objective, objective.DIRECTIONS[asked.objective]),
        "hyperparameters": search_space.parameters(asked.space),
        "seed": asked.seed,
        "max_consecutive_failed_trials": _NO_LIMIT,  # a failed trial never ends the sweep
    }
    if asked.search == "hyperband":
        assert isinstance(asked.base, spec.TrainSpec)  # as SweepSpec sees to
        found = keras_tuner.oracles.HyperbandOracle(max_epochs=asked.base.max_epochs, **shared)
        found.max_trials = asked.max_trials
        return found
    kinds = {
        "random": keras_tuner.oracles.RandomSearchOracle,
        "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
        "grid": _Grid,
    }
    return kinds[asked.search](max_trials=asked.max_trials, **shared)


def main(path: pathlib.Path, place: str) -> None:
    """Takes part in the sweep until keras-tuner says that it is over."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    opened = project.read(path, place=project.place_from(json.loads(place)))
    tuner = _Tuner(opened, oracle(opened.asked))
    tuner.search(verbose=0)


if __name__ == "__main__":
    lifeline.hold(int(sys.argv[3]))
    try:
        main(pathlib.Path(sys.argv[1]), sys.argv[2])
    except KeyboardInterrupt:
        sys.stdout.flush()
        os._exit(130)  # threads of gRPC would be waited for
