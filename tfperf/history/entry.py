"""One line of a history: a run as far as its list, its trend and its metrics need it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from tfperf.stored import facts
from tfperf.stored.run import Flaw, StoredRun

Source = Literal["tfperf", "loadgen", "mllog"]
State = Literal["finished", "unfinished", "damaged", "other", "none"]

TRAINING = "training"
RUNNING_S = 600.0  # an epoch may take minutes, during which a run writes nothing


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesKey:
    """What two runs must share to be in one series.

    Attributes:
        benchmark: its name.
        division: closed, open or internal.
        scenario: LoadGen's name of it, or `training`.
        system: the processors, in words, with a digest of everything about them that decides the speed.
        config: a digest of the config, without its seed, and of the round of MLPerf.
    """

    benchmark: str
    division: str
    scenario: str
    system: str
    config: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A run, or something that looks like one and can't be read.

    Attributes:
        path: its directory or log, relative to the history's directory.
        state: `finished` with a result; `unfinished` without one; `damaged` if it can't be read; `other` for sweeps and
            evaluations, which belong to no series; `none` for a file that turned out to be no log, kept so that it is
            not read again.
        source: who wrote it: tfperf, LoadGen alone, or an MLLOG file of any training.
        key: its series; None unless it is finished.
        started_s: when it started, seconds since 1970; None if unknown.
        commit: the commit of the user's code, or of tfperf; empty if unknown.
        valid: whether its result may be quoted.
        flaws: what speaks against using it, each with a sentence.
        figures: figure -> value, see `stored.figures`.
        quality: metric, value, target and whether it was reached; None without an evaluation.
        remarks: what a reader should know, such as a clock that was set back between runs.
        problem: why it is not in a series; empty if it is.
        sealed: whether it has a manifest, which is written last.
        touched_s: when one of its files was last changed, seconds since 1970.
        digest: the SHA-256 of its result, by which copies are recognised; empty without a manifest.
    """

    path: str
    state: State
    source: Source = "tfperf"
    key: SeriesKey | None = None
    started_s: float | None = None
    commit: str = ""
    valid: bool = False
    flaws: tuple[tuple[Flaw, str], ...] = ()
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict)
    quality: tuple[str, float | None, float | None, bool] | None = None
    remarks: tuple[str, ...] = ()
    problem: str = ""
    sealed: bool = False
    touched_s: float = 0.0
    digest: str = ""

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    def running(self, now_s: float) -> bool:
        """Whether it is probably still being measured: something was written lately, and no manifest yet."""
        return self.source == "tfperf" and not self.sealed and now_s - self.touched_s < RUNNING_S

    def fit(self, allow: tuple[str, ...] = ()) -> bool:
        """Whether it may be part of a baseline.

        Args:
            allow: flaws that don't matter.
        """
        return self.state == "finished" and all(flaw in allow for flaw, _ in self.flaws)


def described(found: StoredRun, *, round_name: str | None) -> tuple[SeriesKey, dict[str, str]]:
    """The series of a run, and the facts of its config behind the digest.

    Args:
        found: the run.
        round_name: the round of MLPerf Inference whose seeds it used; None for training and other seeds.
    """
    deciding = facts.deciding(found)
    config = {key: value for key, value in deciding.items() if key.startswith("config.")}
    system = {key: value for key, value in deciding.items() if key not in config}
    if round_name is not None:
        config["round"] = round_name
    key = SeriesKey(
        benchmark=found.outcome.benchmark,
        division=found.outcome.division,
        scenario=found.scenario or TRAINING,
        system=f"{_in_words(found)} #{digest_of(system)[:4]}" if system else _in_words(found),
        config=digest_of(config)[:8],
    )
    return key, config


def digest_of(value: object) -> str:
    """A digest of plain values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def encode(entry: Entry) -> str:
    """The entry as one line of JSON."""
    return json.dumps(dataclasses.asdict(entry))


def decode(text: str) -> Entry:
    """The entry that `encode` wrote.

    Raises:
        ValueError: it is something else.
    """
    try:
        fields: dict[str, Any] = json.loads(text)
        key, quality = fields["key"], fields["quality"]
        return Entry(
            **{
                **fields,
                "key": None if key is None else SeriesKey(**key),
                "flaws": tuple((flaw, why) for flaw, why in fields["flaws"]),
                "quality": None if quality is None else tuple(quality),
                "remarks": tuple(fields["remarks"]),
            }
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an entry of a history: {error}") from error


def _in_words(found: StoredRun) -> str:
    environment = found.outcome.environment
    platform = environment.get("platform") or environment.get("cpu") or "unknown system"
    return str(platform)
