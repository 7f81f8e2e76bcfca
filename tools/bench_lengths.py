#!/usr/bin/env python3
"""Measures what serving samples at their own lengths is worth: Offline samples/s under LoadGen, with and without.

    tools/bench_lengths.py --data_dir SQUAD [--form graph-float32] [--layers 4] [--width 256] [--rounds 3]
                           [--seconds 5] [--threads 2]

The model is BERT's encoder with SQuAD's head and random weights, smaller than BERT-base unless --layers and --width say
otherwise. The samples are the windows of the SQuAD v1.1 file in --data_dir. One run sorts them into the benchmark's
lengths, the other pads all to the longest; both use the same form and the batch sizes that are fastest. Compared runs
alternate, each in its own process, and the medians over the rounds count.
"""

from __future__ import annotations

import dataclasses
import pathlib
import statistics
from collections.abc import Callable, Sequence

from tfperf import loadgen_log
from tfperf.inference import process
from tfperf.inference.job import Job, ServedModel, Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class LengthRates:
    """Samples per second in Offline, one figure for each round.

    Attributes:
        by_length: each sample padded to the next longer of the lengths.
        all_padded: every sample padded to the longest.
    """

    by_length: tuple[float, ...]
    all_padded: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The median over the rounds of the one divided by the other: what slows one round slows both."""
        return statistics.median(ours / padded for ours, padded in zip(self.by_length, self.all_padded, strict=True))


def offline_rates(
    open_served: Callable[[tuple[int, ...]], Callable[[], ServedModel]],
    lengths: Sequence[int],
    *,
    loadgen_model: str,
    samples: int,
    folder: pathlib.Path,
    rounds: int = 3,
    seconds: float = 5.0,
) -> LengthRates:
    """Measures a model under LoadGen in Offline with buckets of these lengths, and with the longest alone.

    Args:
        open_served: lengths -> a picklable function that opens the model, compiled for these, in a fresh process.
        lengths: the lengths, ascending.
        loadgen_model: the model's name in LoadGen's `mlperf.conf`.
        samples: samples in memory. Each run answers all of them at least twice, so that every length has its share.
        folder: a directory for LoadGen's logs.
        rounds: rounds of one run each.
        seconds: shortest time of each run.

    Raises:
        RuntimeError: a run did not end.
    """
    rates: dict[tuple[int, ...], list[float]] = {tuple(lengths): [], (lengths[-1],): []}
    for number in range(rounds):
        for chosen, found in rates.items():
            log_dir = folder / f"{len(chosen)}-lengths-{number}"
            settings = Settings(
                loadgen_model=loadgen_model,
                scenario="Offline",
                mode="performance",
                min_duration_s=seconds,
                performance_samples=samples,
                min_queries=2 * samples,
            )
            run = process.run(Job(settings=settings, open=open_served(chosen), log_dir=log_dir))
            if run.status != "ended":
                raise RuntimeError(f"The run in {log_dir} is {run.status}: {run.failure}")
            found.append(float(loadgen_log.read(log_dir).values["result_samples_per_second"]))
    by_length, all_padded = rates.values()
    return LengthRates(by_length=tuple(by_length), all_padded=tuple(all_padded))
