"""The rounds of MLPerf Inference, identified by LoadGen's seeds for samples and arrival times."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

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


# MODEL_CONFIG of tools/submission/submission_checker/constants.py in mlcommons/inference, "seeds" of each version.
CURRENT = Round(name="v6.1", seeds=(2085463073848966840, 2747215439041700203, 16159082839903944936))
ROUNDS = (
    Round(name="v5.0", seeds=(6023615788873153749, 15036839855038426416, 9933818062894767841)),
    Round(name="v5.1", seeds=(1780908523862526354, 14771362308971278857, 18209322760996052031)),
    Round(name="v6.0", seeds=(2465351861681999779, 14276810075590677512, 3936089224930324775)),
    CURRENT,
)


def of_log(values: Mapping[str, Any]) -> Round | None:
    """The round whose seeds a run used; None if no round in `ROUNDS` has them.

    Args:
        values: the values of the run's detail log.
    """
    seeds = tuple(values.get(f"effective_{name}") for name in _SEEDS)
    return next((found for found in ROUNDS if found.seeds == seeds), None)
