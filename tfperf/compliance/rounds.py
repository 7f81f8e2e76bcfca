"""The rounds of MLPerf Inference, identified by LoadGen's seeds for samples and arrival times."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfperf.benchmarks.benchmark import InferenceTask

_SEEDS = ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Round:
    """A round and the seeds in its `mlperf.conf`.

    Attributes:
        name: the submission checker's name, such as `v6.1`.
        seeds: `qsl_rng_seed`, `sample_index_rng_seed` and `schedule_rng_seed`.
    """

    name: str
    seeds: tuple[int, int, int]


# "seeds" of each version in MODEL_CONFIG of mlcommons/inference: tools/submission/submission_checker/constants.py, and
# before v5.0 tools/submission/submission_checker.py at the tags v4.0 (v0.5 to v3.1), v4.1 (v4.0) and v5.0 (v4.1).
CURRENT = Round(name="v6.1", seeds=(2085463073848966840, 2747215439041700203, 16159082839903944936))
ROUNDS = (
    Round(name="v0.5", seeds=(3133965575612453542, 665484352860916858, 3622009729038561421)),
    Round(name="v0.7", seeds=(12786827339337101903, 12640797754436136668, 3135815929913719677)),
    Round(name="v1.0", seeds=(7322528924094909334, 1570999273408051088, 3507442325620259414)),
    Round(name="v1.1", seeds=(1624344308455410291, 517984244576520566, 10051496985653635065)),
    Round(name="v2.0", seeds=(6655344265603136530, 15863379492028895792, 12662793979680847247)),
    Round(name="v2.1", seeds=(14284205019438841327, 4163916728725999944, 299063814864929621)),
    Round(name="v3.0", seeds=(10003631887983097364, 17183018601990103738, 12134888396634371638)),
    Round(name="v3.1", seeds=(148687905518835231, 520418551913322573, 811580660758947900)),
    Round(name="v4.0", seeds=(13281865557512327830, 198141574272810017, 7575108116881280410)),
    Round(name="v4.1", seeds=(3066443479025735752, 10688027786191513374, 14962580496156340209)),
    Round(name="v5.0", seeds=(6023615788873153749, 15036839855038426416, 9933818062894767841)),
    Round(name="v5.1", seeds=(1780908523862526354, 14771362308971278857, 18209322760996052031)),
    Round(name="v6.0", seeds=(2465351861681999779, 14276810075590677512, 3936089224930324775)),
    CURRENT,
)


def of_task(task: InferenceTask) -> Round:
    """The round by whose rules a benchmark is served: the current one, or the last that had it.

    Raises:
        ValueError: the task names no round in `ROUNDS`.
    """
    if task.last_round is None:
        return CURRENT
    found = next((known for known in ROUNDS if known.name == task.last_round), None)
    if found is None:
        accepted = ", ".join(known.name for known in ROUNDS)
        raise ValueError(
            f"last_round must be a round of MLPerf Inference, got {task.last_round!r}. One of: {accepted}."
        )
    return found


def described(right: Round) -> str:
    """Which round a run should have had the seeds of, for a message."""
    if right == CURRENT:
        return f"the current round is {right.name}"
    return f"the last round with this benchmark is {right.name}"


def of_log(values: Mapping[str, Any]) -> Round | None:
    """The round whose seeds a run used; None if no round in `ROUNDS` has them.

    Args:
        values: the values of the run's detail log.
    """
    seeds = tuple(values.get(f"effective_{name}") for name in _SEEDS)
    return next((found for found in ROUNDS if found.seeds == seeds), None)
